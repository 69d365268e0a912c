"""The innermost layers of the U-Net: as convolutions, and as matrix products of their windows.

Forward and backward of one layer, batch 1, in turns. ``FEW`` in models/cpu_kernels.py is what
follows from it.

    python benchmarks/convolutions.py
"""

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from unittest.mock import patch

import torch
import tyro
from rich.console import Console
from rich.table import Table

from pix2pix_ilm.models import cpu_kernels
from pix2pix_ilm.models.cpu_kernels import DownConv, UpConv


@dataclass(frozen=True, kw_only=True)
class Options:
    """Measure the inner layers of a generator for 256x256."""

    ngf: int = 64
    """Width of the generator's first layer."""
    bf16: bool = False
    """Convolve in bfloat16, by autocast."""
    rounds: int = 15
    """Turns of each variant."""


def main(options: Options) -> None:
    torch.set_flush_denormal(True)
    shown = Table(title=f"ngf {options.ngf}, {torch.get_num_threads()} threads, ms")
    for column in ("layer", "channels", "map", "convolved", "multiplied", "ratio"):
        shown.add_column(column, justify="left" if column == "layer" else "right")
    for layer, size in layers(options.ngf):
        work = pass_through(layer, size, bf16=options.bf16)
        turns: dict[int, list[float]] = {0: [], size * size: []}  # windows: convolved, multiplied
        for _ in range(options.rounds):
            for few, times in turns.items():
                with patch.object(cpu_kernels, "FEW", few):
                    work()
                    start = time.perf_counter()
                    work()
                    times.append(1e3 * (time.perf_counter() - start))
        convolved, multiplied = map(statistics.median, turns.values())
        shown.add_row(
            type(layer).__name__, f"{layer.in_channels} to {layer.out_channels}", f"{size}x{size}",
            f"{convolved:.2f}", f"{multiplied:.2f}", f"{multiplied / convolved:.2f}",
        )  # fmt: skip
    Console().print(shown)


def layers(ngf: int) -> Iterator[tuple[DownConv | UpConv, int]]:
    """Yield the inner layers of a 256x256 generator, each with the size of its map."""
    wide = 8 * ngf
    for size in (32, 16, 8, 4, 2):
        yield DownConv(wide if size < 32 else wide // 2, wide), size
    yield UpConv(wide, wide), 1
    for size in (2, 4, 8):
        yield UpConv(2 * wide, wide), size
    yield UpConv(2 * wide, wide // 2), 16


def pass_through(layer: DownConv | UpConv, size: int, *, bf16: bool) -> Callable[[], None]:
    """Forward and backward of a layer for one map."""
    x = torch.randn(1, layer.in_channels, size, size, requires_grad=True)

    def work() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            y = layer(x)
        y.backward(torch.ones_like(y))
        x.grad = None
        layer.zero_grad()

    return work


if __name__ == "__main__":
    main(tyro.cli(Options))
