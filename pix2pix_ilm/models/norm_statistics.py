"""Statistics of ILM layers: how omega and beta vary from image to image, and what prevents it.

An ILM layer that had learned to ignore its input would give every image the same omega and beta,
and be a plain affine normalization.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pix2pix_ilm.models.moments import channel_moments
from pix2pix_ilm.models.norms import ILMNorm2d

CONSTANT = 1e-6  # standard deviation over images below which a channel does not vary
SATURATED = 0.02  # distance from 0 or 1


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Variation of one parameter (omega or beta) of one layer over a set of images."""

    over_images: float
    """Standard deviation over images, root mean square over channels: the ILM layer's own part."""
    over_channels: float
    """Standard deviation over channels of the means over images: what an affine layer has too."""
    constant_fraction: float
    """Fraction of channels whose value is the same for all images (to a millionth)."""


@dataclass(frozen=True, kw_only=True)
class LayerStatistics:
    """Statistics of one ILM layer."""

    layer: str
    """Its name in the network."""
    omega: Spread
    beta: Spread
    dead_mean_rows: float
    """Fraction of the rows of W1 whose ReLU(W1 mu), eq. (4), is 0 for every image."""
    dead_var_rows: float
    """Fraction of those whose ReLU(W1 gamma) is 0 for every image."""
    saturated_fraction: float
    """Fraction of the values of D_gamma, eq. (5), of all channels and images that are below 0.02 or
    above 0.98, where a sigmoid hardly passes a gradient."""


@torch.inference_mode()
def layer_statistics(
    network: nn.Module, inputs: Iterable[tuple[Float[Tensor, "b _ h w"], ...]]
) -> list[LayerStatistics]:
    """Measure how much every ILM layer's omega and beta vary over inputs, in the network's order.

    Args:
        network: in evaluation mode; without ILM layers the list is empty.
        inputs: arguments of the network, batches of at least two instances in all, such as label
            maps in [-1, 1].
    """
    with record_rescaling(network) as records:
        for arguments in inputs:
            network(*arguments)
    return [
        LayerStatistics(
            layer=name,
            omega=spread(omega),
            beta=spread(beta),
            dead_mean_rows=dead_fraction(e_mu),
            dead_var_rows=dead_fraction(e_gamma),
            saturated_fraction=(d_gamma.sub(0.5).abs() > 0.5 - SATURATED).double().mean().item(),
        )
        for name, record in records.items()
        for omega, beta, e_mu, e_gamma, d_gamma in [map(torch.cat, zip(*record, strict=True))]
    ]


@contextmanager
def record_rescaling(network: nn.Module) -> Iterator[dict[str, list[tuple[Tensor, ...]]]]:
    """Keep what a network's ILM layers compute for every batch, by layer.

    In the order omega, beta, each (b, c), ReLU(W1 mu), ReLU(W1 gamma), (b, m), and D_gamma, (b, n),
    on the CPU.
    """
    layers = {n: m for n, m in network.named_modules() if isinstance(m, ILMNorm2d)}
    records: dict[str, list[tuple[Tensor, ...]]] = {name: [] for name in layers}

    def record(layer: ILMNorm2d, inputs: tuple[Tensor, ...], _output: Tensor, name: str) -> None:
        (x,) = inputs
        x = x if x.dim() == 4 else x[None]
        pixels = x.shape[2] * x.shape[3]
        with torch.autocast(x.device.type, enabled=False):
            made = layer.rescaling(*channel_moments(x), *layer.weights, pixels=pixels)
        values = (made.omega, made.beta, *made.embedded, made.d_gamma)
        records[name].append(tuple(of.cpu() for of in values))  # Apple's GPUs have no float64

    hooks = [
        layer.register_forward_hook(partial(record, name=name)) for name, layer in layers.items()
    ]
    try:
        yield records
    finally:
        for hook in hooks:
            hook.remove()


def dead_fraction(embedded: Float[Tensor, "n m"]) -> float:
    """Return the fraction of entries that are 0 for all of n instances."""
    return (embedded == 0).all(dim=0).double().mean().item()


def spread(values: Float[Tensor, "n c"]) -> Spread:
    """Measure the variation of one layer's omega or beta over n instances and over channels."""
    deviation = values.std(dim=0, correction=0)
    return Spread(
        over_images=deviation.square().mean().sqrt().item(),
        over_channels=values.mean(dim=0).std(correction=0).item(),
        constant_fraction=(deviation < CONSTANT).double().mean().item(),
    )
