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
        label_maps: Sequence[UInt8[np.ndarray, "_ _ _"]],
        batch_size: int = 1,
        *,
        sample: int | None = None,
    ) -> list[UInt8[np.ndarray, "_ _ c2"]]:
        """Translate label maps of any sizes into photos of the same sizes.

        Args:
            label_maps: uint8 images of shape (height, width, channels). A model of label classes
                takes any colors, each as the nearest class's, or indices in one channel.
            batch_size: neighbors of one size are translated together, at most so many at once.
            sample: unset, dropout is off and a label map has one photo; else it is on, as in the
                original pix2pix, and every number (0, 1, ...) gives another variation.

        Raises:
            UserError: wrong number of channels, indices of no class, or a side of 0 or more than
                4096 pixels.
        """
        return [
            photo
            for batch in batches(label_maps, batch_size)
            for photo in self._translate(batch, sample)
        ]

    def _translate(
        self, label_maps: Sequence[UInt8[np.ndarray, "h w c1"]], sample: int | None
    ) -> UInt8[np.ndarray, "b h w c2"]:
        for label_map in label_maps:
            self._check(label_map)
        batch = torch.from_numpy(np.stack(label_maps))
        photos = generate(self.generator, batch, palette=self.config.palette, sample=sample)
        return photos.cpu().numpy()

    def _check(self, label_map: np.ndarray) -> None:
        palette = self.config.palette
        channels = (self.config.generator.in_channels,) if palette is None else (3, 1)
        if label_map.ndim != 3 or label_map.shape[2] not in channels or label_map.dtype != np.uint8:
            shapes = " or ".join(f"(height, width, {c})" for c in channels)
            raise UserError(
                f"expected a {shapes} uint8 image, found {label_map.shape} {label_map.dtype}"
            )
        if palette is not None and label_map.shape[2] == 1:
            palette.check(label_map)
        if not 1 <= min(label_map.shape[:2]) <= max(label_map.shape[:2]) <= LARGEST_SIDE:
            raise UserError(
                f"expected sides of 1 to {LARGEST_SIDE} pixels, "
                f"found {label_map.shape[1]}x{label_map.shape[0]}; resize the image first"
            )


def batches(label_maps: Sequence[np.ndarray], batch_size: int) -> Iterator[list[np.ndarray]]:
    """Yield neighboring images of equal shape, at most ``batch_size`` together."""
    batch: list[np.ndarray] = []
    for label_map in label_maps:
        if batch and (len(batch) == batch_size or batch[0].shape != label_map.shape):
            yield batch
            batch = []
        batch.append(label_map)
    if batch:
        yield batch
