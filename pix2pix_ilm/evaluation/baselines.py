"""Baselines: what needs no network, as mean colors of the training photos predict it."""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from pix2pix_ilm.data.cache import PairedImages
from pix2pix_ilm.data.palette import FACADES_PALETTE, MOST_CLASSES, Palette
from pix2pix_ilm.evaluation.scores import as_rgb

Predictor = Callable[[UInt8[Tensor, "b h w c"]], UInt8[Tensor, "b h w 3"]]
NEAR = 60  # largest distance of a pixel that JPEG and resizing still leave near its class
LEAST_NEAR = 0.6  # share of pixels that must be near a class


def constant_color(train: PairedImages) -> Predictor:
    """Return a predictor of the training photos' mean color everywhere."""
    mean = torch.stack([photo.double().mean(dim=(0, 1)) for photo in train.photo]).mean(dim=0)
    color = mean.round().to(torch.uint8)
    return lambda label_maps: color.expand(*label_maps.shape[:3], 3)


def baselines(train: PairedImages) -> dict[str, Predictor]:
    """Fit every baseline that the training pairs allow, by the name that tables give it."""
    fitted = {
        "constant color": constant_color(train),
        "per-class color": class_colors(train),
    }
    return {name: predict for name, predict in fitted.items() if predict is not None}


def class_colors(train: PairedImages) -> Predictor | None:
    """Return a predictor of the mean color that each pixel's class has in the training photos.

    Classes that are not in them have the mean color of all.
    None where classes are not known: label maps that were read without a palette have classes only
    if they are painted with that of CMP Facades.
    """
    if train.palette is None and not has_facades_colors(train.label_map):
        return None
    colors = torch.zeros(MOST_CLASSES, 3, dtype=torch.float64)
    counts = torch.zeros(MOST_CLASSES, dtype=torch.float64)
    for label_map, photo in zip(train.label_map, as_rgb(train.photo), strict=True):
        classes = class_indices(label_map, train.palette).flatten()
        colors.index_add_(0, classes, photo.double().flatten(0, 1))
        counts.index_add_(0, classes, torch.ones(len(classes), dtype=torch.float64))
    overall = colors.sum(dim=0) / counts.sum()
    means = torch.where(counts[:, None] > 0, colors / counts[:, None], overall)
    means = means.round().to(torch.uint8)
    return lambda label_maps: means[class_indices(label_maps, train.palette)]


def class_indices(
    label_maps: UInt8[Tensor, "*b h w c"], palette: Palette | None
) -> Int64[Tensor, "*b h w"]:
    """Return every pixel's class: the label maps' own, or the nearest of CMP Facades."""
    if palette is None:
        label_maps = torch.from_numpy(FACADES_PALETTE.nearest(as_rgb(label_maps).numpy()))
    return label_maps[..., 0].long()


def has_facades_colors(label_maps: UInt8[Tensor, "n h w c"]) -> bool:
    """Return True if most pixels have about the color of one of CMP Facades' classes."""
    near = 0.0
    for label_map in as_rgb(label_maps).numpy():
        nearest = FACADES_PALETTE.paint(FACADES_PALETTE.nearest(label_map))
        distance = np.linalg.norm(nearest.astype(float) - label_map, axis=2)
        near += float((distance < NEAR).mean()) / len(label_maps)
    return near >= LEAST_NEAR
