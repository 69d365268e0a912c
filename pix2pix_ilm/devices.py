"""Where to compute."""

from typing import Literal

import torch

from pix2pix_ilm.errors import UserError

Device = Literal["auto", "cpu", "cuda", "mps"]


def pick_device(device: Device) -> torch.device:
    """The device that was asked for; auto: the fastest that is there.

    Raises:
        UserError: there is no such device.
    """
    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if device == "auto":
        device = next(name for name in ("cuda", "mps", "cpu") if there[name])
    if not there[device]:
        raise UserError(f"--device {device}: no such device found; use --device auto")
    return torch.device(device)
