"""Images in, images out, with a trained generator."""

from collections.abc import Iterable, Iterator, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, get_args, overload

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image

from pix2pix_ilm.checkpoints import ModelConfig, load_generator, resolve_checkpoint
from pix2pix_ilm.data.images import as_array, as_image, first_frame, read_image
from pix2pix_ilm.devices import Backend, Device, pick_device
from pix2pix_ilm.errors import ArgumentError, SettingError, UserError
from pix2pix_ilm.inference import ExportedNetwork, fast_dtype, generate
from pix2pix_ilm.models.generator import UNetGenerator
from pix2pix_ilm.serving.onnx_runtime import load_exported

LARGEST_SIDE = 4096


LabelMap = np.ndarray | Image.Image | str | Path
"""A label map: pixels, an image, or an image file."""


class Translator:
    """A trained generator for images of any size.

    Examples:
        >>> translator = Translator.from_pretrained("facades-ilm")
        >>> translator("label_map.png").save("photo.png")

    Args:
        generator: the network; what translates is a copy.
        config: what it was trained for.
        device: where to compute.
        fast: compute in bfloat16 where the processor has instructions for it; photos differ by
            little more than a rounding.
        exported: the same network in another program, in float32 on the CPU; photos with dropout
            are still made here.
    """

    def __init__(
        self,
        generator: UNetGenerator,
        config: ModelConfig,
        device: str | torch.device = "cpu",
        *,
        fast: bool = False,
        exported: ExportedNetwork | None = None,
    ) -> None:
        device = torch.device(device)
        dtype = fast_dtype(device) if fast else None
        self.generator = deepcopy(generator).to(device, dtype or torch.float32).eval()
        self.config = config
        self.exported = exported

    @classmethod
    def from_pretrained(
        cls,
        checkpoint: str | Path,
        device: Device = "auto",
        *,
        fast: bool = False,
        backend: Backend = "auto",
    ) -> "Translator":
        """Load a checkpoint, by default onto the fastest device that is there.

        Args:
            checkpoint: a folder, the name of a model that comes with the package ("facades-ilm"),
                or OWNER/NAME on the Hugging Face hub, with @REVISION after it if need be.
            device: where to compute.
            fast: in bfloat16, where the processor has instructions for it.
            backend: torch; onnx: ONNX Runtime, for which the network must have been exported into
                the checkpoint's folder; auto: that one on a CPU, if it is there and not ``fast``.

        Raises:
            UserError: not a checkpoint, weights that do not fit, no such device, or what ONNX
                Runtime needs is missing.
        """
        folder, place = resolve_checkpoint(checkpoint), pick_device(device)
        if backend not in get_args(Backend):
            raise SettingError("backend", f"one of {', '.join(get_args(Backend))}", backend)
        generator, config = load_generator(folder)
        if fast or place.type != "cpu":
            if backend == "onnx":
                found = "fast" if fast else f"device {place.type}"
                raise SettingError("backend", f"torch or auto with {found}", backend)
            backend = "torch"
        return cls(generator, config, place, fast=fast, exported=load_exported(folder, backend))

    load = from_pretrained

    @overload
    def __call__(
        self, label_maps: np.ndarray, batch_size: int = 1, *, sample: int | None = None
    ) -> np.ndarray: ...

    @overload
    def __call__(
        self,
        label_maps: Image.Image | str | Path,
        batch_size: int = 1,
        *,
        sample: int | None = None,
    ) -> Image.Image: ...

    @overload
    def __call__(
        self, label_maps: Sequence[np.ndarray], batch_size: int = 1, *, sample: int | None = None
    ) -> list[np.ndarray]: ...

    @overload
    def __call__(
        self,
        label_maps: Sequence[Image.Image | str | Path],
        batch_size: int = 1,
        *,
        sample: int | None = None,
    ) -> list[Image.Image]: ...

    def __call__(
        self,
        label_maps: LabelMap | Iterable[LabelMap],
        batch_size: int = 1,
        *,
        sample: int | None = None,
    ) -> Any:
        """Translate label maps of any sizes into photos of the same sizes.

        Args:
            label_maps: one, or several. A file is read as training reads it: as gray, colors, or
                classes, with its first frame, upright; an image likewise, with the frame it is at,
                but index maps of 2 or 4 bits only before their pixels are loaded. An array is uint8
                of shape (height, width, channels); a model of label classes takes any colors, each
                as the nearest class's, or indices in one channel.
            batch_size: neighbors of one size are translated together, at most so many at once.
            sample: unset, dropout is off and a label map has one photo; else it is on, as in the
                original pix2pix, and every number (0, 1, ...) gives another variation.

        Returns:
            A photo, or a list of them: arrays (height, width, channels) uint8 for arrays, images
            for images and files.

        Raises:
            UserError: wrong number of channels, indices of no class, a side of 0 or more than 4096
                pixels, or a file or image that cannot be read.
            ValueError: no such batch size or sample.
        """
        if batch_size < 1:
            raise ArgumentError("batch_size", "at least 1", batch_size)
        if sample is not None and sample < 0:
            raise ArgumentError("sample", "at least 0", sample)
        alone = isinstance(label_maps, LabelMap)
        given = [label_maps] if alone else list(label_maps)
        arrays = [self._read(label_map) for label_map in given]
        photos = [
            photo
            for batch in batches(arrays, batch_size)
            for photo in self._translate(batch, sample)
        ]
        translated = [
            photo if isinstance(label_map, np.ndarray) else as_image(photo)
            for label_map, photo in zip(given, photos, strict=True)
        ]
        return translated[0] if alone else translated

    def _read(self, label_map: LabelMap) -> np.ndarray:
        if isinstance(label_map, np.ndarray):
            return label_map
        if isinstance(label_map, Image.Image):
            try:
                image = first_frame(label_map)
            except (OSError, ValueError, AssertionError) as error:  # truncated, or closed
                raise UserError(f"an image cannot be read ({error or 'it is closed'})") from None
            return as_array(image, self.config.label_channels)
        return read_image(Path(label_map), self.config.label_channels)

    def _translate(
        self, label_maps: Sequence[UInt8[np.ndarray, "h w c1"]], sample: int | None
    ) -> UInt8[np.ndarray, "b h w c2"]:
        for label_map in label_maps:
            self._check(label_map)
        batch = torch.from_numpy(np.stack(label_maps))
        palette = self.config.palette
        photos = generate(
            self.generator, batch, palette=palette, sample=sample, exported=self.exported
        )
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
