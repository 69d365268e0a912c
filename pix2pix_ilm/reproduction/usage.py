"""What ILM layers do with the freedom they have: how omega and beta vary from image to image.

An ILM layer that had learned to ignore its input would give every image the same omega and beta,
and be a plain affine normalisation.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from pix2pix_ilm.evaluation import plots
from pix2pix_ilm.inference import generate
from pix2pix_ilm.models.generator import UNetGenerator
from pix2pix_ilm.models.norms import ILMNorm2d

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, kw_only=True)
class Spread:
    """One parameter (omega or beta) of one layer, over a set of images."""

    over_images: float
    """Standard deviation over images, root mean square over channels: the ILM layer's own part."""
    over_channels: float
    """Standard deviation over channels of the means over images: what an affine layer has too."""
    silent: float
    """Share of channels whose value is the same for all images (to a millionth)."""


@dataclass(frozen=True, kw_only=True)
class LayerUsage:
    """What one ILM layer of a network did."""

    layer: str
    omega: Spread
    beta: Spread


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What ``ilm-usage.json`` says."""

    configurations: dict[str, list[LayerUsage]]
    """Configuration, such as ILM+IN / IN -> the layers of its first seed's generator."""


def layer_usage(generator: UNetGenerator, labels: UInt8[Tensor, "n h w c"]) -> list[LayerUsage]:
    """How much every ILM layer's omega and beta vary over label maps, in the network's order.

    Args:
        generator: without ILM layers the list is empty.
        labels: at least two, of the size that the generator was trained for.
    """
    with recording(generator) as records:
        for label in labels.split(1):
            generate(generator, label)
    return [
        LayerUsage(
            layer=name,
            omega=spread(torch.cat([omega for omega, _ in record])),
            beta=spread(torch.cat([beta for _, beta in record])),
        )
        for name, record in records.items()
    ]


@contextmanager
def recording(network: nn.Module) -> Iterator[dict[str, list[tuple[Tensor, Tensor]]]]:
    """Keep every (omega, beta) that the ILM layers inside a network compute, by layer."""
    records: dict[str, list[tuple[Tensor, Tensor]]] = {}
    layers = {n: m for n, m in network.named_modules() if isinstance(m, ILMNorm2d)}

    def record(name: str, layer: ILMNorm2d) -> None:
        records[name] = []
        compute = layer.rescaling

        def recorded(key_mean: Tensor, key_var: Tensor) -> tuple[Tensor, Tensor]:
            result = compute(key_mean, key_var)
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
    """Variation of one layer's omega or beta over images and over channels."""
    deviation = values.std(dim=0, correction=0)
    return Spread(
        over_images=deviation.square().mean().sqrt().item(),
        over_channels=values.mean(dim=0).std(correction=0).item(),
        silent=(deviation < 1e-6).double().mean().item(),
    )


def figure(used: Sequence[LayerUsage], title: str) -> "Figure":
    """Two panels, omega and beta: a pair of bars per layer."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with plots.own_style():
        drawn = Figure((plots.WIDTH, 6.5), layout="constrained")
        FigureCanvasAgg(drawn)
        drawn.suptitle(title, x=0.01, ha="left", fontsize=13, fontweight="bold")
        for axes, part in zip(drawn.subplots(2, 1, sharex=True), ("omega", "beta"), strict=True):
            spreads: list[Spread] = [getattr(layer, part) for layer in used]
            bars = {
                "over images (what ILM adds)": [one.over_images for one in spreads],
                "over channels (what any affine norm has)": [one.over_channels for one in spreads],
            }
            for i, (label, heights) in enumerate(bars.items()):
                places = [place + 0.4 * (i - 0.5) for place in range(len(used))]
                axes.bar(places, heights, 0.38, color=plots.COLOURS[1 - i], label=label)
            axes.set_title(f"standard deviation of {part}", loc="left", fontsize=11)
            axes.grid(axis="y", color=plots.FAINT, linewidth=0.6)
            axes.set_xticks(
                range(len(used)),
                [layer.layer.removesuffix(".norm").replace(".", " ") for layer in used],
                rotation=45,
                ha="right",
            )
            axes.legend(frameon=False)
    return drawn
