"""Time of each metric over a set of images.

    python benchmarks/metrics.py --images 200

Every metric sees one image before its time is taken: imports and building LPIPS's network do not
count.
"""

import time
from dataclasses import dataclass
from typing import Literal

import torch
import tyro
from rich.console import Console
from rich.table import Table

from pix2pix_ilm import metrics

METRICS = {
    metric.__name__: metric
    for metric in (
        metrics.rmse,
        metrics.rmse_rgb,
        metrics.psnr,
        metrics.l1,
        metrics.ssim,
        metrics.ssim_paper,
        metrics.lpips,
    )
}


@dataclass(frozen=True, kw_only=True)
class Options:
    """Measure the metrics on random images."""

    images: int = 200
    """Number of pairs of images to compare."""
    image_size: int = 256
    """Height and width."""
    batch_size: int = 8
    """Images handed to a metric at a time; as many as the evaluator hands over."""
    device: Literal["cpu", "cuda", "mps"] = "cpu"
    threads: int | None = None
    """CPU threads of PyTorch; by default one per core."""


def main(options: Options) -> None:
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    shape = (options.images, options.image_size, options.image_size, 3)
    images, targets = (torch.randint(256, shape, dtype=torch.uint8) for _ in range(2))
    batches = [
        (x.to(options.device), y.to(options.device))
        for x, y in zip(
            images.split(options.batch_size), targets.split(options.batch_size), strict=True
        )
    ]
    Console().print(table(options, {name: time_metric(name, batches) for name in METRICS}))


def time_metric(name: str, batches: list[tuple[torch.Tensor, torch.Tensor]]) -> float:
    """Seconds for all batches, the results brought to the CPU."""
    x, y = batches[0]
    METRICS[name](x[:1], y[:1])
    start = time.perf_counter()
    for batch in batches:
        METRICS[name](*batch).cpu()
    return time.perf_counter() - start


def table(options: Options, seconds: dict[str, float]) -> Table:
    """Tabulate the times of the metrics and their sum."""
    shown = Table(
        title=f"{options.images} images, {options.image_size}x{options.image_size}, "
        f"{options.device}, {torch.get_num_threads()} threads"
    )
    shown.add_column("metric")
    shown.add_column("seconds", justify="right")
    shown.add_column("ms an image", justify="right")
    for name, value in [*seconds.items(), ("all", sum(seconds.values()))]:
        shown.add_row(name, f"{value:.2f}", f"{value / options.images * 1e3:.2f}")
    return shown


if __name__ == "__main__":
    main(tyro.cli(Options))
