"""The whole training step as a CUDA graph, for GPUs that would wait for Python otherwise.

A graph repeats the kernels of one step on the same memory. What differs between steps is therefore
written into place before: the positions of the batch's pairs, the learning rate (a tensor in the
optimizers), and the seed, which a graph reads from PyTorch's generator at every replay, so that
crops, flips and dropout are drawn anew.
"""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor

Step = Callable[[Int64[Tensor, " b"]], Float[Tensor, " losses"]]
"""A training step: positions of the batch's pairs, on the device -> the losses, there too."""
Capture = Callable[[Callable[[], Tensor]], tuple[Callable[[], Any], Tensor]]
"""A recorder of a function's kernels -> their replay, and the tensor that gets the result."""
WARMUP_STEPS = 3
"""Steps done without a graph, in which everything that is made or chosen once comes about."""


class CapturedStep:
    """A training step that is captured after a few ordinary ones, and replayed from then on.

    The ordinary ones are steps of the training like any other, so nothing has to be undone. Where
    capturing fails, the training goes on as it began.

    Args:
        step: the step.
        say: prints a line.
        capture: as ``cuda_capture``.
        fall_back: go on without a graph where it fails, instead of raising.
    """

    def __init__(
        self,
        step: Step,
        say: Callable[[str], None],
        capture: Capture,
        *,
        fall_back: bool,
    ) -> None:
        self.step = step
        self.say = say
        self.capture = capture
        self.fall_back = fall_back
        self.warmup_steps = 0
        self.replay: Callable[[], Any] | None = None
        self.refused = False

    def __call__(self, index: Int64[Tensor, " b"]) -> Float[Tensor, " losses"]:
        if self.replay is None and (self.refused or self.warmup_steps < WARMUP_STEPS):
            self.warmup_steps += 1
            return self.step(index)
        if self.replay is None and not self.try_capture(index):
            return self.step(index)
        assert self.replay is not None
        self.index.copy_(index)
        self.replay()
        return self.losses.clone()  # the next replay writes into the same place

    def try_capture(self, index: Int64[Tensor, " b"]) -> bool:
        """Record the step without doing it; False, with a line said, where that is impossible."""
        self.index = index.clone()
        try:
            self.replay, self.losses = self.capture(lambda: self.step(self.index))
        except RuntimeError as error:
            if not self.fall_back:
                raise
            self.refused = True
            self.say(f"no CUDA graph, going on without: {str(error).splitlines()[0]}")
        return self.replay is not None


def cuda_capture(work: Callable[[], Tensor]) -> tuple[Callable[[], Any], Tensor]:
    """Record a function's kernels in a CUDA graph.

    Where that fails, the device's stream and random generator are as before. Older PyTorch leaves
    the capture's stream current, and (before 2.13) the generator in the capture: whatever it is to
    draw from then on raises "Offset increment outside graph capture".
    """
    graph = torch.cuda.CUDAGraph()
    generator = torch.cuda.default_generators[torch.cuda.current_device()]
    before = generator.clone_state()
    try:
        with torch.cuda.stream(torch.cuda.current_stream()), torch.cuda.graph(graph):
            result = work()
    except RuntimeError:
        generator.graphsafe_set_state(before)
        raise
    return graph.replay, result


def on_a_side_stream(step: Step) -> Step:
    """Return the step on a stream of its own, as warming up for a capture needs it."""
    stream = torch.cuda.Stream()

    def aside(index: Int64[Tensor, " b"]) -> Float[Tensor, " losses"]:
        if torch.cuda.is_current_stream_capturing():
            return step(index)
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            losses = step(index)
        torch.cuda.current_stream().wait_stream(stream)
        return losses

    return aside
