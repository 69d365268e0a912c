"""Properties of images by themselves, to hold against those of photos: color, contrast, weave."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from pix2pix_ilm.metrics.image import Images, PerImage

ERODED, SMOOTHED = 9, 17  # pixels: sides of the windows of an erosion and of a box mean
LEAST_REGION = 4000 / 256**2  # of the image's pixels; smaller regions are too noisy


def saturation(images: Images) -> PerImage:
    """Return the mean over pixels of the largest less the smallest of R, G and B: 0 to 1."""
    return (images.amax(dim=3) - images.amin(dim=3)).double().mean(dim=(1, 2)) / 255


def contrast(images: Images) -> PerImage:
    """Return the standard deviation over pixels of the gray value, the mean of RGB: 0 to 0.5."""
    return images.double().mean(dim=3).flatten(1).std(dim=1, correction=0) / 255


def erode(region: Bool[Tensor, "n h w"]) -> Bool[Tensor, "n h w"]:
    """Return where the 9x9 pixels around, those inside the image, all lie in the region."""
    outside = (~region).float()[:, None]
    return F.max_pool2d(outside, ERODED, stride=1, padding=ERODED // 2)[:, 0] == 0


def periodic_artifacts(images: Images, region: Bool[Tensor, "n h w"], period: int) -> float:
    """Return the amplitude in gray levels (0 to 255) of a pattern that repeats every few pixels.

    In every image, gray values less their 17x17 box mean, and less what is left of a mean in the
    region, are averaged over the region's pixels of each phase of a period x period grid; the root
    mean square of these means, weighted by their pixels, is averaged over images. Photos are not at
    0: their few pixels do not average out.

    Args:
        images: uint8 (N, H, W, 3).
        region: pixels to look at, flat ones such as walls.
        period: in pixels.

    Returns:
        NaN if no image has a region of 4000 pixels in 256x256, or as much of its size.
    """
    found = []
    for image, inside in zip(images, region, strict=True):
        if inside.double().mean() < LEAST_REGION:
            continue
        residual = remove_box_mean(image.double().mean(dim=2))[inside]
        rows, columns = inside.nonzero().T
        phase = rows % period * period + columns % period
        counts = torch.bincount(phase, minlength=period**2).double()
        sums = torch.bincount(phase, weights=residual - residual.mean(), minlength=period**2)
        found.append(((sums**2 / counts.clamp(min=1)).sum() / counts.sum()).sqrt())
    return torch.stack(found).mean().item() if found else float("nan")


def remove_box_mean(gray: Float[Tensor, "h w"]) -> Float[Tensor, "h w"]:
    """Subtract the mean of the 17x17 pixels around; beyond the edges the image is mirrored."""
    margin = SMOOTHED // 2
    padded = F.pad(gray[None, None], (margin,) * 4, mode="reflect")
    return gray - F.avg_pool2d(padded, SMOOTHED, stride=1)[0, 0]
