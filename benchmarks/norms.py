"""CPU time of a training step with IN, with ILM+IN, and with ILM+IN in PyTorch's operations alone.

Then that of single layers, forward and backward. Variants take turns, and the least time of each
counts: what other programs on the machine add is not ours.

    python benchmarks/norms.py
"""

import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import torch
import train_step
import tyro
from rich.console import Console
from rich.table import Table
from torch import nn

from pix2pix_ilm.models import cpu_kernels
from pix2pix_ilm.models.norms import NormName, make_norm

VARIANTS: dict[str, tuple[NormName, bool]] = {
    "IN": ("in", False),
    "ILM+IN": ("ilm-in", False),
    "ILM+IN, written out": ("ilm-in", True),
}
LAYERS = ((256, 2), (256, 16), (128, 32), (64, 64), (32, 128))
"""Channels and side of maps of a generator of ngf 32."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Measure what ILM+IN costs beside IN."""

    sizes: tuple[tuple[int, int], ...] = ((16, 128), (32, 256), (64, 256))
    """Width of both networks' first layers, and height and width of images."""
    rounds: int = 15
    """Turns of each variant."""
    steps: int = 3
    """Steps in a turn."""
    threads: int = 1


def main(options: Options) -> None:
    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)
    shown = Table(title=f"CPU ms, {options.threads} threads")
    for column in ("", *VARIANTS, "ILM+IN / IN", "written out / ILM+IN"):
        shown.add_column(column, justify="right")
    for ngf, size in options.sizes:
        shown.add_row(f"step, ngf {ngf}, {size}x{size}", *cells(steps(ngf, size), options))
    for channels, side in LAYERS:
        shown.add_row(f"layer, {channels}x{side}x{side}", *cells(layers(channels, side), options))
    Console().print(shown)


def steps(ngf: int, size: int) -> dict[str, Callable[[], object]]:
    """Make a training step of each variant."""
    options = train_step.Options(ngf=ngf, image_size=size)  # pyright: ignore[reportArgumentType]
    with tempfile.TemporaryDirectory() as folder:
        data = train_step.draw_jpegs(Path(folder), size)
        return {
            name: train_step.our_step(options, data, norm, "eager")
            for name, (norm, _) in VARIANTS.items()
        }


def layers(channels: int, side: int) -> dict[str, Callable[[], object]]:
    """Make forward and backward of a layer of each variant."""
    x, dy = torch.randn(2, 1, channels, side, side)
    x.requires_grad_()

    def work(norm: nn.Module) -> Callable[[], object]:
        return lambda: norm(x).backward(dy)

    return {name: work(make_norm(norm, channels)) for name, (norm, _) in VARIANTS.items()}


def cells(works: dict[str, Callable[[], object]], options: Options) -> list[str]:
    """Measure the variants in turns, and return a row."""
    least = dict.fromkeys(works, float("inf"))
    for _ in range(options.rounds + 1):  # the first warms up
        for name, work in works.items():
            with form(name):
                start = time.process_time()
                for _ in range(options.steps):
                    work()
                taken = (time.process_time() - start) / options.steps
            least[name] = min(least[name], 1e3 * taken)
    plain, ilm, written_out = least.values()
    return [
        *(f"{value:.2f}" for value in least.values()),
        f"{ilm / plain:.3f}",
        f"{written_out / ilm:.3f}",
    ]


def form(variant: str) -> AbstractContextManager[object]:
    """Return a context in which ILM layers are written out, or as they are."""
    _, written_out = VARIANTS[variant]
    if not written_out:
        return nullcontext()
    return patch.object(cpu_kernels, "has_ilm_norm", lambda *_: False)


if __name__ == "__main__":
    main(tyro.cli(Options))
