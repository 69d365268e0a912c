"""Weights from files: read without running what is in them, and looked at before they are used."""

import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from pix2pix_ilm.errors import UserError, shorten


def read_saved(path: Path) -> object:
    """Return what ``torch.save`` wrote of tensors and plain values, on the CPU.

    Raises:
        UserError: anything else, such as a pickle of objects, whose code would have to run.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of TorchScript, which is refused all the same
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except OSError as error:
            raise UserError(f"cannot be read ({error.strerror})") from None
        except Exception:  # whatever a damaged file provokes
            raise UserError(
                "cannot be read (damaged, or more than plain weights, such as a whole module or "
                "TorchScript, which would have to run; save its state_dict())"
            ) from None


def check_weights(weights: object, like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return weights in the types of a network's own, after a look at every one.

    Args:
        weights: tensors by name; names that the network lacks are left to ``load_state_dict``.
        like: the network's own, e.g. on the meta device.

    Raises:
        UserError: names the first that is no tensor, of another kind of number, or not finite.
    """
    if not isinstance(weights, Mapping):
        raise UserError(f"expected tensors by name, found {type(weights).__name__}")
    checked: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        if not isinstance(tensor, Tensor):
            raise UserError(f"{shorten(name)}: expected a tensor, found {type(tensor).__name__}")
        if tensor.is_meta or tensor.layout != torch.strided:
            raise UserError(f"{name}: expected a dense tensor, found {tensor.layout}")
        wanted = like.get(name, tensor)
        whole = not tensor.is_floating_point()  # a counter may have become a fraction with others
        if tensor.is_complex() or (whole and wanted.is_floating_point()):
            raise UserError(f"{name}: expected {wanted.dtype}, found {tensor.dtype}")
        checked[name] = tensor.to(wanted.dtype)
        if not checked[name].isfinite().all():
            raise UserError(f"{name}: expected finite numbers, found infinite ones or NaN")
    return checked
