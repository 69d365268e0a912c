"""Joint augmentation of label map and photo, on the device: of batches, and for the discriminator.

Sources: the pix2pix recipe resizes to 286x286, crops 256x256 at random and mirrors every other
image; the resizing was done once, when the pairs were decoded. Zhao, Liu, Lin, Zhu, Han,
"Differentiable Augmentation for Data-Efficient GAN Training", NeurIPS 2020.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from pix2pix_ilm.data.images import to_model_range

Augmentation = Literal["color", "translation", "cutout"]
SHIFT = 1 / 8  # of the size, at most
HOLE = 1 / 2  # of the size


@dataclass(frozen=True)
class CropIndices:
    """Positions of the pixels that make up a batch of size x size crops."""

    index: Int64[Tensor, "b 1 1"]
    rows: Int64[Tensor, "b size 1"]
    columns: Int64[Tensor, "b 1 size"]

    def cut(self, images: UInt8[Tensor, "n h w c"]) -> UInt8[Tensor, "b size size c"]:
        """Cut the crops out of all n images. Copies nothing but the batch."""
        return images[self.index, self.rows, self.columns]

    def gather(self, images: UInt8[Tensor, "n h w c"]) -> Float[Tensor, "b c size size"]:
        """Cut the crops out of all n images: float32 in [-1, 1]."""
        return to_model_range(self.cut(images))


def random_crop_flip(
    index: Int64[Tensor, " b"],
    load_size: int,
    size: int,
    flip: bool,
    generator: torch.Generator | None = None,
) -> CropIndices:
    """Draw one random crop, mirrored or not, for every image of a batch.

    Args:
        index: positions of the images in the data set, on the device to work on.
        load_size: height and width of the stored images.
        size: height and width of the crops; at most ``load_size``.
        flip: mirror each image left to right with probability 1/2.
        generator: source of the draws, on the same device; None is torch's default one.
    """
    batch, device = index.shape[0], index.device
    margin = load_size - size + 1
    corner = torch.randint(margin, (2, batch, 1), generator=generator, device=device)
    mirrored = torch.rand((batch, 1), generator=generator, device=device) < (0.5 if flip else 0.0)
    steps = torch.arange(size, device=device)
    rows = corner[0] + steps
    columns = corner[1] + torch.where(mirrored, steps.flip(0), steps)
    return CropIndices(index[:, None, None], rows[:, :, None], columns[:, None, :])


def random_crop_size(size: int, zoom: float, smallest: int = 1) -> int:
    """Draw the height and width of a batch's crops: ``size``, or 4, 5, 6 or 7 eighths of it.

    Args:
        size: height and width of the generator's images.
        zoom: probability of a smaller one.
        smallest: what is drawn instead of anything smaller.
    """
    if zoom == 0 or torch.rand(()) >= zoom:
        return size
    return max(smallest, size * int(torch.randint(4, 8, ())) // 8)


def augment_pairs(
    kinds: Collection[Augmentation],
    label_map: Float[Tensor, "b c1 h w"],
    *photos: Float[Tensor, "b c2 h w"],
) -> tuple[Tensor, ...]:
    """Change each pair of a batch in its own random way, all its photos alike.

    Gradients pass through, nothing waits for the device, and values may leave [-1, 1].

    Args:
        kinds: "color" changes brightness, saturation and contrast of photos; "translation" shifts
            by up to an eighth of the size and fills with 0; "cutout" sets a square of half the
            size, which may stick out, to 0; the last two do the same to label map and photos.
        label_map: of the pairs.
        photos: real and generated ones of these label maps.

    Returns:
        The label maps and all photos.
    """
    if not kinds:
        return label_map, *photos
    batch, _, height, width = label_map.shape
    draw = torch.rand(7, batch, 1, 1, 1, device=label_map.device, dtype=label_map.dtype)
    brightness, saturation, contrast, down, right, hole_down, hole_right = draw
    if "color" in kinds:
        photos = tuple(
            change_colors(photo, brightness - 0.5, 2 * saturation, contrast + 0.5)
            for photo in photos
        )
    images = (label_map, *photos)
    if "translation" in kinds:
        down, right = SHIFT * (2 * down - 1), SHIFT * (2 * right - 1)
        images = tuple(shift(image, down, right) for image in images)
    if "cutout" in kinds:
        hole = band(hole_down, height)[:, :, :, None] * band(hole_right, width)[:, :, None]
        images = tuple(image * (1 - hole.to(image.dtype)) for image in images)
    return images


def change_colors(
    photo: Float[Tensor, "b c h w"],
    brightness: Float[Tensor, "b 1 1 1"],
    saturation: Float[Tensor, "b 1 1 1"],
    contrast: Float[Tensor, "b 1 1 1"],
) -> Float[Tensor, "b c h w"]:
    """Add brightness, then multiply saturation (about gray) and contrast (about the mean)."""
    photo = photo + brightness
    gray = photo.mean(dim=1, keepdim=True)
    photo = (photo - gray) * saturation + gray
    mean = photo.mean(dim=(1, 2, 3), keepdim=True)
    return (photo - mean) * contrast + mean


def shift(
    image: Float[Tensor, "b c h w"],
    down: Float[Tensor, "b 1 1 1"],
    right: Float[Tensor, "b 1 1 1"],
) -> Float[Tensor, "b c h w"]:
    """Shift every image by whole pixels, given as fractions of the size; what comes in is 0."""
    batch, channels, height, width = image.shape
    margins = [int(size * SHIFT) + 1 for size in (height, width)]
    padded = F.pad(image, (margins[1], margins[1], margins[0], margins[0]))
    rows, columns = (
        torch.arange(size, device=image.device)
        + margin
        - (fraction * size).round().long().flatten(1)
        for size, margin, fraction in zip((height, width), margins, (down, right), strict=True)
    )
    rows = rows[:, None, :, None].expand(batch, channels, height, padded.shape[3])
    columns = columns[:, None, None, :].expand(batch, channels, height, width)
    return padded.gather(2, rows).gather(3, columns)


def band(uniform: Float[Tensor, "b 1 1 1"], size: int) -> Float[Tensor, "b 1 size"]:
    """Return 1 in a run of half the pixels of a side, 0 elsewhere; it may stick out of the image.

    Every place that overlaps the side is as likely, and so is every pixel to be hidden: a third of
    a side on average. DiffAugment's has its center on the side and hides its middle more often.
    """
    length = int(size * HOLE)
    start = (uniform.flatten(1) * (size + length)).floor() - length
    place = torch.arange(size, device=uniform.device)
    return ((place >= start) & (place < start + length))[:, None].to(uniform.dtype)
