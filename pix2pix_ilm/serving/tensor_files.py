"""Files of named tensors that other programs wrote."""

from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from pix2pix_ilm.checkpoints import read_saved
from pix2pix_ilm.errors import UserError

WRAPPERS = ("module", "_orig_mod")  # DataParallel, torch.compile


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read the named tensors of a file, on the CPU; UserError where it holds anything else."""
    if path.is_dir():
        raise UserError("expected a file of weights, found a folder")
    if not path.exists():
        raise UserError("no such file; expected a generator's weights, such as latest_net_G.pth")
    try:
        content = load_file(path) if path.suffix.lower() == ".safetensors" else read_saved(path)
    except (OSError, SafetensorError) as error:
        raise UserError(f"cannot be read ({str(error).splitlines()[0]})") from None
    return named_tensors(content)


def named_tensors(content: object) -> dict[str, Tensor]:
    """Return what a file held, if that is tensors by name; UserError otherwise."""
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]  # beside what mmagic says of the training
    if not isinstance(content, dict):
        raise UserError(f"expected tensors by name, found {type(content).__name__}")
    if not content:
        raise UserError("expected tensors by name, found none")
    for name, value in content.items():
        if not isinstance(value, Tensor):
            raise UserError(f"{name}: expected a tensor, found {type(value).__name__}")
        if not isinstance(name, str):
            raise UserError(f"{name}: expected a tensor with a name, found {type(name).__name__}")
    return content


def unwrapped(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Remove the prefixes that DataParallel and torch.compile put before all names."""
    wrappers = takewhile(lambda part: part in WRAPPERS, next(iter(tensors)).split("."))
    prefix = "".join(f"{wrapper}." for wrapper in wrappers)
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}


def flip_colors(weights: Tensor, dim: int, channels: Sequence[int]) -> Tensor:
    """Return weights for images with red in the place of blue.

    Args:
        weights: of a convolution.
        dim: that of its input or output channels.
        channels: of the images that lie behind one another there; gray ones stay.
    """
    images = weights.split(list(channels), dim)
    return torch.cat([one.flip(dim) if one.shape[dim] == 3 else one for one in images], dim)
