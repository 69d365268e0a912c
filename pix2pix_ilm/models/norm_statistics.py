"""Statistics of ILM layers: how omega and beta vary from image to image.

An ILM layer that had learned to ignore its input would give every image the same omega and beta,
and be a plain affine normalization.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pix2pix_ilm.models.norms import ILMNorm2d

CONSTANT = 1e-6  # standard deviation over images below which a channel does not vary


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


@torch.inference_mode()
def layer_statistics(
    network: nn.Module, inputs: Iterable[Float[Tensor, "b c h w"]]
) -> list[LayerStatistics]:
    """Measure how much every ILM layer's omega and beta vary over inputs, in the network's order.

    Args:
        network: in evaluation mode; without ILM layers the list is empty.
        inputs: batches of at least two instances in all, such as label maps in [-1, 1].
    """
    with record_rescaling(network) as records:
        for batch in inputs:
            network(batch)
    return [
        LayerStatistics(
            layer=name,
            omega=spread(torch.cat([omega for omega, _ in record])),
            beta=spread(torch.cat([beta for _, beta in record])),
        )
        for name, record in records.items()
    ]


@contextmanager
def record_rescaling(network: nn.Module) -> Iterator[dict[str, list[tuple[Tensor, Tensor]]]]:
    """Keep every (omega, beta), each (b, c), that a network's ILM layers compute, by layer."""
    records: dict[str, list[tuple[Tensor, Tensor]]] = {}
    layers = {n: m for n, m in network.named_modules() if isinstance(m, ILMNorm2d)}

    def record(name: str, layer: ILMNorm2d) -> None:
        records[name] = []
        compute = layer.rescaling

        def recorded(mean: Tensor, var: Tensor, *, pixels: int) -> tuple[Tensor, Tensor]:
            result = compute(mean, var, pixels=pixels)
            records[name].append(result)
            return result

        layer.rescaling = recorded  # of the instance: deleting it brings the method back

    for name, layer in layers.items():
        record(name, layer)
    try:
        yield records
    finally:
        for layer in layers.values():
            del layer.rescaling


def spread(values: Float[Tensor, "n c"]) -> Spread:
    """Measure the variation of one layer's omega or beta over n instances and over channels."""
    deviation = values.std(dim=0, correction=0)
    return Spread(
        over_images=deviation.square().mean().sqrt().item(),
        over_channels=values.mean(dim=0).std(correction=0).item(),
        constant_fraction=(deviation < CONSTANT).double().mean().item(),
    )
