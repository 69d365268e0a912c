"""Time of one training step: IN against ILM+IN, eager against compiled, in one run.

The variants take turns, so that noise of a shared machine meets all of them alike; ratios of
their medians are what to read, absolute times only on a machine that does nothing else.

    python benchmarks/train_step.py --ngf 32
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
import tyro
from rich.console import Console
from rich.table import Table

from pix2pix_ilm.models.discriminator import DiscriminatorConfig
from pix2pix_ilm.models.generator import GeneratorConfig
from pix2pix_ilm.models.norms import NormName
from pix2pix_ilm.training.config import TrainConfig
from pix2pix_ilm.training.setup import build_networks, make_accelerator
from pix2pix_ilm.training.step import train_step


@dataclass(frozen=True, kw_only=True)
class Options:
    """Measure one training step of pix2pix."""

    ngf: int = 64
    """Width of both networks' first layers."""
    image_size: Literal[64, 128, 256, 512] = 256
    batch_size: int = 1
    precision: Literal["fp32", "bf16"] = "fp32"
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    norms: tuple[NormName, ...] = ("in", "ilm-in")
    """Normalisation of both networks."""
    modes: tuple[Literal["eager", "compile"], ...] = ("eager", "compile")
    rounds: int = 7
    """How often each variant takes its turn."""
    steps: int = 3
    """Steps in a turn."""


def main(options: Options) -> None:
    variants = {
        f"{norm} {mode}": prepare(options, norm, mode)
        for mode in options.modes
        for norm in options.norms
    }
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(options.rounds):
        for name, step in variants.items():
            seconds[name].append(time_turn(step, options.steps))
    Console().print(table(options, seconds))


def prepare(options: Options, norm: NormName, mode: Literal["eager", "compile"]) -> Callable:
    """A function that runs one warmed-up step on a fixed batch."""
    config = TrainConfig(
        image_size=options.image_size,
        batch_size=options.batch_size,
        generator=GeneratorConfig(ngf=options.ngf, norm=norm),
        discriminator=DiscriminatorConfig(ndf=options.ngf, norm=norm),
        precision=options.precision,
        device=options.device,
        accelerate_step=mode,
    )
    accelerator = make_accelerator(config)
    networks = build_networks(config, accelerator)
    shape = (options.batch_size, 3, options.image_size, options.image_size)
    label, photo = (torch.rand(shape, device=accelerator.device) * 2 - 1 for _ in range(2))

    def step() -> None:
        train_step(
            networks, label, photo, gan_loss="bce", l1_weight=100, backward=accelerator.backward
        )

    time_turn(step, 3)
    return step


def time_turn(step: Callable[[], None], steps: int) -> float:
    """Seconds per step over a few steps in a row."""
    start = time.perf_counter()
    for _ in range(steps):
        step()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / steps


def table(options: Options, seconds: dict[str, list[float]]) -> Table:
    """Medians, spread, and ratio to the first variant."""
    machine = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    shown = Table(
        title=f"ngf {options.ngf}, {options.image_size}x{options.image_size}, batch "
        f"{options.batch_size}, {options.precision}, {machine}, {torch.get_num_threads()} threads"
    )
    for column in ("variant", "ms a step (median)", "min to max", "ratio"):
        shown.add_column(column, justify="left" if column == "variant" else "right")
    first = statistics.median(next(iter(seconds.values())))
    for name, turns in seconds.items():
        median = statistics.median(turns)
        spread = f"{min(turns) * 1e3:.0f} to {max(turns) * 1e3:.0f}"
        shown.add_row(name, f"{median * 1e3:.1f}", spread, f"{median / first:.3f}")
    return shown


if __name__ == "__main__":
    main(tyro.cli(Options))
