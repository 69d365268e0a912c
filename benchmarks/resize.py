"""Milliseconds of a generator that enlarges by transposed convolutions, and by resizing.

Resizing is measured as it is, and with every layer enlarging its map before it convolves.

    python benchmarks/resize.py
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
import tyro
from rich.console import Console
from rich.table import Table

from pix2pix_ilm.inference import infer
from pix2pix_ilm.models import cpu_kernels
from pix2pix_ilm.models.generator import GeneratorConfig, UNetGenerator, Upsampling


@dataclass(frozen=True, kw_only=True)
class Options:
    """Measure what doubling a map costs."""

    size: int = 256
    """Height and width."""
    ngf: int = 32
    rounds: int = 9
    """Measured runs of each; the median is shown."""
    threads: int = 1


def main(options: Options) -> None:
    torch.set_num_threads(options.threads)
    table = Table(title=f"ngf {options.ngf}, {options.size}x{options.size}, ms")
    for column in ("upsample", "forward and backward", "photo"):
        table.add_column(column)
    forms: dict[str, tuple[Upsampling, float]] = {
        "deconv": ("deconv", cpu_kernels.MANY),
        "resize": ("resize", cpu_kernels.MANY),
        "resize, enlarged first": ("resize", float("inf")),
    }
    for name, (upsample, many) in forms.items():
        cpu_kernels.MANY = many
        config = GeneratorConfig(ngf=options.ngf, norm="ilm-in", depth=7, upsample=upsample)
        generator = UNetGenerator(config)
        label_map = torch.randn(1, 3, options.size, options.size)

        def train(generator: UNetGenerator = generator, x: torch.Tensor = label_map) -> None:
            generator.zero_grad()
            generator(x).square().sum().backward()

        def translate(generator: UNetGenerator = generator, x: torch.Tensor = label_map) -> None:
            infer(generator, x)

        times = [milliseconds(work, options.rounds) for work in (train, translate)]
        table.add_row(name, *(f"{value:.0f}" for value in times))
    Console().print(table)


def milliseconds(work: Callable[[], None], rounds: int) -> float:
    """Return the median time of some work, after two runs that are not counted."""
    times = []
    for _ in range(rounds + 2):
        start = time.perf_counter()
        work()
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times[2:])


if __name__ == "__main__":
    main(tyro.cli(Options))
