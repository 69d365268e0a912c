"""Images shared among the processes of an evaluation, and their results brought together.

Process p of n has the images p, p + n, p + 2 n, ... of a data set.
"""

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import gather
from jaxtyping import Float64, UInt8
from torch import Tensor

Image = UInt8[np.ndarray, "_ _ 3"]  # each of its own size


def process_shard(count: int) -> list[int]:
    """Return the positions of this process's images; none where there are more processes."""
    state = PartialState()
    return list(range(state.process_index, count, state.num_processes))


def gather_shards(values: Float64[Tensor, "mine m"], count: int) -> Float64[Tensor, "count m"]:
    """Return all processes' rows, in the order of the data set, as one tensor from each."""
    state = PartialState()
    if state.num_processes == 1:
        return values
    largest = -(-count // state.num_processes)
    padded = torch.zeros(largest, values.shape[1], dtype=values.dtype)
    padded[: len(values)] = values
    everything = torch.as_tensor(gather(padded.to(state.device))).cpu()
    # Row i of process p is image i * processes + p.
    return (
        everything.unflatten(0, (state.num_processes, largest))
        .transpose(0, 1)
        .flatten(0, 1)[:count]
    )


def gather_photos(photos: list[Image], count: int) -> list[Image]:
    """Return all processes' photos in the main one, in the order of the data set; [] in others."""
    state = PartialState()
    if state.num_processes == 1:
        return photos
    shards: list[list[Image]] | None = [[]] * state.num_processes if state.is_main_process else None
    torch.distributed.gather_object(photos, shards)
    if shards is None:
        return []
    return [shards[i % len(shards)][i // len(shards)] for i in range(count)]
