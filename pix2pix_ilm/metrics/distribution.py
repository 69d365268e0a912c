"""Distances between two sets of images, by the distributions of their features.

Both use AlexNet, whose weights come with this package, not Inception: they are not FID and KID, and
their values compare with none published. Over few images the Frechet distance is too large, by more
the fewer there are; the kernel distance is right on average.
"""

import torch
from jaxtyping import Float64
from torch import Tensor

from pix2pix_ilm.data.images import to_model_range
from pix2pix_ilm.metrics.image import Images
from pix2pix_ilm.metrics.perceptual import LPIPS_CHUNK, lpips_network

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
