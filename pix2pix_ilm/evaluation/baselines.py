"""Floors: what can be had without a network, by predicting mean colors of the training photos."""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from pix2pix_ilm.data.cache import PairedImages
from pix2pix_ilm.data.facades import PALETTE
from pix2pix_ilm.evaluation.scores import as_rgb

Predictor = Callable[[UInt8[Tensor, "b h w 3"]], UInt8[Tensor, "b h w 3"]]
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

    None where label maps are not painted with the palette of CMP Facades, whose classes alone
    are known.
    """
    colors = torch.zeros(len(PALETTE), 3, dtype=torch.float64)
    counts = torch.zeros(len(PALETTE), dtype=torch.float64)
    near = 0.0
    for label_map, photo in zip(as_rgb(train.label_map), as_rgb(train.photo), strict=True):
        distance, classes = nearest_class(label_map)
        near += (distance < NEAR).double().mean().item() / len(train)
        colors.index_add_(0, classes.flatten(), photo.double().flatten(0, 1))
        counts.index_add_(0, classes.flatten(), torch.ones(classes.numel(), dtype=torch.float64))
    if near < LEAST_NEAR:
        return None
    means = (colors / counts.clamp(min=1)[:, None]).round().to(torch.uint8)
    return lambda label_maps: torch.stack(
        [means[nearest_class(label_map)[1]] for label_map in label_maps]
    )


def nearest_class(
    label_map: UInt8[Tensor, "h w 3"],
) -> tuple[Float[Tensor, "h w"], Int64[Tensor, "h w"]]:
    """Return the distance in RGB to the palette's nearest color, and its position there."""
    palette = torch.tensor(list(PALETTE.values()), dtype=torch.float32)
    distances = torch.cdist(label_map.float().flatten(0, 1), palette)
    nearest, classes = distances.min(dim=1)
    return nearest.view(label_map.shape[:2]), classes.view(label_map.shape[:2])
