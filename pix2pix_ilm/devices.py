"""Devices to compute on, and programs and processes that compute."""

from typing import TYPE_CHECKING, Literal

from pix2pix_ilm.errors import SettingError

if TYPE_CHECKING:
    import torch

Device = Literal["auto", "cpu", "cuda", "mps"]
Backend = Literal["auto", "torch", "onnx"]


def pick_device(device: Device) -> "torch.device":
    """Return the device that was asked for; auto: the fastest that is there.

    Raises:
        SettingError: there is no such device.
    """
    import torch  # here: the command line shares Device, and starts without PyTorch

    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if device == "auto":
        device = next(name for name in ("cuda", "mps", "cpu") if there[name])
    if not there.get(device):
        found = ", ".join(name for name in there if there[name])
        raise SettingError("device", f"a device that is there (auto, {found})", device)
    return torch.device(device)


def is_main_process() -> bool:
    """Return True in the one process that speaks and writes."""
    from accelerate import PartialState

    return PartialState().is_main_process
