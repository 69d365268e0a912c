"""The one way from label maps to photos: for translating, evaluating, samples, page and export."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from pix2pix_ilm.data.images import encode_label_maps, to_model_range, to_uint8
from pix2pix_ilm.data.palette import Palette
from pix2pix_ilm.models.generator import UNetGenerator
from pix2pix_ilm.seeds import SAMPLE, derive_seed

ExportedNetwork = Callable[[Tensor], Tensor]
"""A network that runs elsewhere: label maps (B, C, H, W) in [-1, 1] to photos."""


def generate(
    generator: UNetGenerator,
    label_maps: UInt8[Tensor, "b h w c1"],
    *,
    palette: Palette | None = None,
    sample: int | None = None,
    seed: int = 0,
    exported: ExportedNetwork | None = None,
) -> UInt8[Tensor, "b h w c2"]:
    """Return the photos of label maps of any size, on the generator's device.

    Height and width are padded, by repeating the edge and its classes, to multiples of what the
    U-Net can halve, and the photos are cropped to the label maps' size.

    Args:
        generator: is left as it was found, in its mode, too.
        label_maps: on any device; with a palette in any colors, or indices of its classes.
        palette: of the classes that the generator takes one-hot, if it does.
        sample: unset, dropout is off; else it is on, as in the original pix2pix, and every number
            (0, 1, ...) gives another photo.
        seed: of the dropout masks.
        exported: the same network in another program, without dropout: it takes padded label maps
            in [-1, 1], colors where there is a palette.
    """
    height, width = label_maps.shape[1:3]
    if exported is not None and sample is None:
        if palette is not None and label_maps.shape[3] == 1:
            label_maps = torch.from_numpy(palette.paint(label_maps.cpu().numpy()))
        images = to_model_range(label_maps.cpu())
        padded = pad_to_multiple(images, generator.config.size_multiple)
        return to_uint8(exported(padded)[:, :, :height, :width])
    label_maps = label_maps.to(next(generator.parameters()).device)
    images = encode_label_maps(label_maps, palette)
    padded = pad_to_multiple(images, generator.config.size_multiple)
    photos = infer(generator, padded, sample=sample, seed=seed)
    return to_uint8(photos[:, :, :height, :width])


@torch.inference_mode()
def infer(
    generator: UNetGenerator,
    label_maps: Float[Tensor, "b c1 h w"],
    *,
    sample: int | None = None,
    seed: int = 0,
) -> Float[Tensor, "b c2 h w"]:
    """Return the float32 photos of encoded label maps; arguments as in ``generate``.

    The dropout masks follow from seed and sample alone, so that a photo is the same in any batch.
    """
    weight = next(generator.parameters())
    label_maps = label_maps.to(weight.device, weight.dtype)
    with evaluating(generator, dropout=sample is not None), flushed_denormals():
        if sample is None:
            return generator(label_maps).float()
        photos = []
        for label_map in label_maps.split(1):
            with seeded(weight.device, derive_seed(seed, SAMPLE, sample)):
                photos.append(generator(label_map))
        return torch.cat(photos).float()


def pad_to_multiple(images: Float[Tensor, "b c h w"], multiple: int) -> Float[Tensor, "b c h2 w2"]:
    """Repeat the right and bottom edge until height and width are multiples of ``multiple``."""
    height, width = images.shape[2:]
    return F.pad(images, (0, -width % multiple, 0, -height % multiple), mode="replicate")


def fast_dtype(device: torch.device) -> torch.dtype | None:
    """Return bfloat16 where the processor has instructions for it, else None."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else None
    if device.type == "cpu" and torch.backends.mkldnn.is_available():
        return torch.bfloat16 if torch.cpu._is_avx512_bf16_supported() else None
    return None


@contextmanager
def evaluating(network: nn.Module, *, dropout: bool = False) -> Iterator[None]:
    """Put a network in evaluation mode, with or without dropout; then as it was found."""
    changed = [
        module
        for module in network.modules()
        if module.training != (dropout and isinstance(module, nn.Dropout))
    ]
    for module in changed:
        module.training = not module.training
    try:
        yield
    finally:
        for module in changed:
            module.training = not module.training


@contextmanager
def flushed_denormals() -> Iterator[None]:
    """Take denormal numbers for 0: on a CPU, they slow networks down several times.

    This is a setting of the thread that computes, so it belongs around the computation.
    """
    before = flushes_denormals()
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


def flushes_denormals() -> bool:
    """Return whether this thread takes denormal numbers for 0."""
    return not (torch.full((), torch.finfo().tiny, device="cpu") / 2).item()


@contextmanager
def seeded(device: torch.device, seed: int) -> Iterator[None]:
    """Draw from a seed on one device; then its generator goes on as if nothing had been drawn."""
    generators = torch if device.type == "cpu" else torch.get_device_module(device)
    place = () if device.type == "cpu" else (device,)
    before = generators.get_rng_state(*place)
    generators.set_rng_state(torch.Generator(device).manual_seed(seed).get_state(), *place)
    try:
        yield
    finally:
        generators.set_rng_state(before, *place)
