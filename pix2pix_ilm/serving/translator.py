"""Images in, images out, with a trained generator."""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8

from pix2pix_ilm.checkpoints import ModelConfig, load_generator, resolve_checkpoint
from pix2pix_ilm.devices import Device, pick_device
from pix2pix_ilm.errors import UserError
from pix2pix_ilm.inference import fast_dtype, generate
from pix2pix_ilm.models.generator import UNetGenerator

LARGEST_SIDE = 4096


class Translator:
    """A trained generator for images of any size.

    Args:
        generator: the network; what translates is a copy.
        config: what it was trained for.
        device: where to compute.
        fast: compute in bfloat16 where the processor has instructions for it; photos differ by
            little more than a rounding.
    """

    def __init__(
        self,
        generator: UNetGenerator,
        config: ModelConfig,
        device: str | torch.device = "cpu",
        *,
        fast: bool = False,
    ) -> None:
        device = torch.device(device)
        dtype = fast_dtype(device) if fast else None
        self.generator = deepcopy(generator).to(device, dtype or torch.float32).eval()
        self.config = config

    @classmethod
    def load(
        cls, checkpoint: str | Path, device: Device = "auto", *, fast: bool = False
    ) -> "Translator":
        """Load a checkpoint, by default onto the fastest device that is there.

        Args:
            checkpoint: its folder, or OWNER/NAME on the Hugging Face hub.
            device: where to compute.
            fast: in bfloat16, where the processor has instructions for it.

        Raises:
            UserError: not a checkpoint, weights that do not fit, or no such device.
        """
        generator, config = load_generator(resolve_checkpoint(checkpoint))
        return cls(generator, config, pick_device(device), fast=fast)

    def __call__(
        self,
        labels: Sequence[UInt8[np.ndarray, "_ _ c1"]],
        batch_size: int = 1,
        *,
        sample: int | None = None,
    ) -> list[UInt8[np.ndarray, "_ _ c2"]]:
        """Translate label maps of any sizes into photos of the same sizes.

        Args:
            labels: uint8 images of shape (height, width, channels).
            batch_size: neighbors of one size are translated together, at most so many at once.
            sample: unset, dropout is off and a label map has one photo; else it is on, as in the
                original pix2pix, and every number (0, 1, ...) gives another variation.

        Raises:
            UserError: wrong number of channels, or a side of 0 or more than 4096 pixels.
        """
        return [
            photo
            for batch in batches(labels, batch_size)
            for photo in self._translate(batch, sample)
        ]

    def _translate(
        self, labels: Sequence[UInt8[np.ndarray, "h w c1"]], sample: int | None
    ) -> UInt8[np.ndarray, "b h w c2"]:
        for label in labels:
            self._check(label)
        photos = generate(self.generator, torch.from_numpy(np.stack(labels)), sample=sample)
        return photos.cpu().numpy()

    def _check(self, label: np.ndarray) -> None:
        channels = self.config.generator.in_channels
        if label.ndim != 3 or label.shape[2] != channels or label.dtype != np.uint8:
            raise UserError(
                f"expected a (height, width, {channels}) uint8 image, "
                f"found {label.shape} {label.dtype}"
            )
        if not 1 <= min(label.shape[:2]) <= max(label.shape[:2]) <= LARGEST_SIDE:
            raise UserError(
                f"expected sides of 1 to {LARGEST_SIDE} pixels, "
                f"found {label.shape[1]}x{label.shape[0]}; resize the image first"
            )


def batches(labels: Sequence[np.ndarray], batch_size: int) -> Iterator[list[np.ndarray]]:
    """Neighboring images of equal shape, at most ``batch_size`` together."""
    batch: list[np.ndarray] = []
    for label in labels:
        if batch and (len(batch) == batch_size or batch[0].shape != label.shape):
            yield batch
            batch = []
        batch.append(label)
    if batch:
        yield batch
