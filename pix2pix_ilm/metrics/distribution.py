"""Distances between two sets of images, by the distributions of their features.

Two use AlexNet, whose weights come with this package, not Inception: they are not FID and KID, and
their values compare with none published. FID and KID themselves are torch-fidelity's. Over few
images a Frechet distance is too large, by more the fewer there are; a kernel distance is right on
average.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float64
from torch import Tensor
from torch.utils.data import Subset

from pix2pix_ilm.data.images import to_model_range
from pix2pix_ilm.errors import UserError
from pix2pix_ilm.metrics.image import Images
from pix2pix_ilm.metrics.perceptual import LPIPS_CHUNK, lpips_network

KID_SUBSETS = 100
Features = Float64[Tensor, "n d"]
OtherFeatures = Float64[Tensor, "m d"]


@torch.inference_mode()
def pooled_features(images: Images) -> Features:
    """Return the means over positions of AlexNet's five layers of ReLUs, 1152 in all, on the CPU.

    Args:
        images: uint8 (N, H, W, 3), height and width at least 31 pixels.
    """
    network = lpips_network("alex", images.device)
    scale, trunk = network.get_submodule("scaling_layer"), network.get_submodule("net")
    pooled = []
    for chunk in images.split(LPIPS_CHUNK):
        layers = trunk(scale(to_model_range(chunk)))
        pooled.append(torch.cat([layer.mean(dim=(2, 3)) for layer in layers], dim=1))
    return torch.cat(pooled).cpu().double()


def frechet_distance(features: Features, reference: OtherFeatures) -> float:
    """Return the squared Frechet distance of Gaussians fitted to two sets: 0 or more, lower better.

    Source: Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash
    Equilibrium", NeurIPS 2017 (with Inception's features, it is FID).

    |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)), where the last trace is the sum of the singular
    values of X1 X2^T / sqrt((n1 - 1) (n2 - 1)), of the centered sets.
    """
    means = features.mean(dim=0), reference.mean(dim=0)
    first, second = (
        (of - mean) / (len(of) - 1) ** 0.5
        for of, mean in zip((features, reference), means, strict=True)
    )
    spread = first.square().sum() + second.square().sum()
    common = torch.linalg.svdvals(first @ second.T).sum()
    return ((means[0] - means[1]).square().sum() + spread - 2 * common).item()


def kernel_distance(features: Features, reference: OtherFeatures) -> float:
    """Return the squared maximum mean discrepancy; lower is better.

    It is unbiased, and so can be below 0.

    Source: Binkowski et al., "Demystifying MMD GANs", ICLR 2018 (with Inception's features, it is
    KID), with its kernel (x.y / d + 1)^3.
    """

    def kernel(x: Tensor, y: Tensor) -> Tensor:
        return (x @ y.T / x.shape[1] + 1) ** 3

    def mean_of_others(values: Tensor) -> Tensor:
        count = len(values)
        return (values.sum() - values.trace()) / (count * (count - 1))

    own = mean_of_others(kernel(features, features)) + mean_of_others(kernel(reference, reference))
    return (own - 2 * kernel(features, reference).mean()).item()


@dataclass(frozen=True, kw_only=True)
class InceptionDistances:
    """FID and KID of two sets of images; lower is better."""

    fid: float
    kid: float
    """Mean over subsets; unbiased, and so it can be below 0."""
    kid_deviation: float
    """Its standard deviation over subsets."""


def kid_subset(count: int) -> int:
    """Return how many of so many images a subset has: half of them, at most 1000 as usual."""
    return min(count // 2, 1000)


def as_dataset(images: Images) -> Subset:
    """Return images as torch-fidelity takes them: a data set of uint8 (3, H, W)."""
    rows: Any = images.permute(0, 3, 1, 2).contiguous()
    return Subset(rows, range(len(rows)))


def inception_distances(
    images: Images, reference: Images, device: torch.device, weights: Path | None = None
) -> InceptionDistances:
    """Return FID and KID with Inception's features, as torch-fidelity computes them.

    Args:
        images: uint8 (N, H, W, 3), at least 4; torch-fidelity enlarges them to 299x299.
        reference: as many, in any order.
        device: where to compute.
        weights: file of Inception's weights; unset: torch-fidelity's, downloaded once (91 MB).

    Raises:
        UserError: too few images, torch-fidelity is missing, or there are no weights.
    """
    if len(images) < 4:
        raise UserError(f"--fid: expected at least 4 images, found {len(images)}")
    try:
        from torch_fidelity import calculate_metrics
    except ImportError:
        raise UserError(
            "--fid: torch-fidelity is missing; (uv) pip install torch-fidelity"
        ) from None
    first, second = map(as_dataset, (images, reference))
    try:
        found = calculate_metrics(
            input1=first,
            input2=second,
            fid=True,
            kid=True,
            kid_subsets=KID_SUBSETS,
            kid_subset_size=kid_subset(len(images)),
            cuda=device.type == "cuda",
            feature_extractor_weights_path=None if weights is None else str(weights),
            batch_size=8,
            save_cpu_ram=True,  # in this process: it starts none to load images in memory
            cache=False,
            verbose=False,
        )
    except OSError as error:  # URLError is one
        raise UserError(
            f"--fid: Inception's weights cannot be had ({error}); download them elsewhere, and "
            "name the file with --fid-weights"
        ) from None
    return InceptionDistances(
        fid=found["frechet_inception_distance"],
        kid=found["kernel_inception_distance_mean"],
        kid_deviation=found["kernel_inception_distance_std"],
    )
