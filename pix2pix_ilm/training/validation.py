"""Sample grids and metrics of pairs that a run does not train on."""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor, nn
from torchvision.utils import make_grid

from pix2pix_ilm import metrics
from pix2pix_ilm.data.cache import PairedImages
from pix2pix_ilm.data.datasets import data_folder
from pix2pix_ilm.data.images import write_image
from pix2pix_ilm.data.pairs import validation_split
from pix2pix_ilm.files import make_folder
from pix2pix_ilm.inference import generate
from pix2pix_ilm.models.generator import UNetGenerator
from pix2pix_ilm.training.config import TrainConfig, ValidationMetric
from pix2pix_ilm.training.logging import LoggedLosses

MEASURES: dict[ValidationMetric, Callable[[Tensor, Tensor], Tensor]] = {
    "rmse_rgb": metrics.rmse_rgb,
    "ssim": metrics.ssim,
    "lpips": metrics.lpips,
}
BATCH = 8


class Validation:
    """Metrics of the generator on a split, and whether it is the best so far.

    The mean over few images is noisy: one that is chosen by it looks better there than it is.

    Args:
        pairs: the split, on the device.
        config: the training's; its ``keep_best`` is the metric that chooses, if any does.
        logged: what the run has logged before.
    """

    def __init__(
        self, pairs: PairedImages, config: TrainConfig, logged: Iterable[LoggedLosses]
    ) -> None:
        self.pairs = pairs
        self.metric = config.keep_best
        values = [getattr(row, f"val_{self.metric}", None) for row in logged]
        earlier = [self.goodness(value) for value in values if value is not None]
        self.best = max(earlier, default=float("-inf"))

    def goodness(self, value: float) -> float:
        """Return the metric's value with the sign that makes higher better."""
        return value if self.metric == "ssim" else -value

    def measure(self, generator: nn.Module) -> dict[str, float]:
        """Return the metrics' means over the split, under their names with ``val_`` before them."""
        assert isinstance(generator, UNetGenerator)
        values: dict[str, list[Tensor]] = {f"val_{name}": [] for name in MEASURES}
        batches = (images.split(BATCH) for images in (self.pairs.label_map, self.pairs.photo))
        for label_maps, photos in zip(*batches, strict=True):
            outputs = generate(generator, label_maps, palette=self.pairs.palette)
            images = [x.expand(-1, -1, -1, 3) for x in (outputs, photos)]
            for name, of in MEASURES.items():
                values[f"val_{name}"].append(of(*images))
        # on the CPU, since Apple's GPUs have no float64
        return {name: torch.cat(of).cpu().double().mean().item() for name, of in values.items()}

    def is_best(self, values: dict[str, float]) -> bool:
        """Return True, and remember it, if the chosen metric is better than ever before."""
        if self.metric is None:
            return False
        goodness = self.goodness(values[f"val_{self.metric}"])
        better = goodness > self.best  # which NaN is not
        self.best = goodness if better else self.best
        return better


def shown_split(config: TrainConfig) -> str:
    """Return the split that samples are drawn from; UserError if there is no such data set."""
    root = data_folder(config.data, config.image_size)
    return config.val_split or validation_split(root)


def write_samples(
    folder: Path, generator: nn.Module, pairs: PairedImages, step: int
) -> UInt8[np.ndarray, "h w c"]:
    """Write a grid of label maps above the generator's photos above the true ones; return it.

    Args:
        folder: the run's; the grid becomes ``samples/step-0000000.png`` in it.
        generator: without what distributes it.
        pairs: a column each.
        step: steps done.
    """
    assert isinstance(generator, UNetGenerator)
    outputs = [generate(generator, one, palette=pairs.palette) for one in pairs.label_map.split(1)]
    output, label_map = torch.cat(outputs), pairs.painted_label_map
    channels = max(label_map.shape[3], output.shape[3])
    rows = [
        images.permute(0, 3, 1, 2).expand(-1, channels, -1, -1)
        for images in (label_map, output, pairs.photo)
    ]
    grid = make_grid(torch.cat(rows), nrow=len(pairs), padding=4, pad_value=255)
    make_folder(folder / "samples")
    path = folder / "samples" / f"step-{step:07d}.png"
    pixels = grid.permute(1, 2, 0).cpu().numpy()
    write_image(path, pixels)
    return pixels
