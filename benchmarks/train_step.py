"""Time of one training step: ours against the plain recipe, IN against ILM+IN, in one run.

The variants take turns, so that noise of a shared machine meets all of them alike; ratios of
their medians are what to read, absolute times only on a machine that does nothing else.

    python benchmarks/train_step.py --ngf 32
"""

import itertools
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import tyro
from accelerate.state import AcceleratorState
from PIL import Image
from plain_recipe import Recipe
from rich.console import Console
from rich.table import Table
from torch.utils.flop_counter import FlopCounterMode

from pix2pix_ilm.data.cache import load_pairs
from pix2pix_ilm.data.pairs import find_pairs
from pix2pix_ilm.data.synthetic.dataset import synthesize
from pix2pix_ilm.devices import Device, pick_device
from pix2pix_ilm.errors import UserError
from pix2pix_ilm.models.discriminator import DiscriminatorConfig
from pix2pix_ilm.models.generator import GeneratorConfig
from pix2pix_ilm.models.norms import NormName
from pix2pix_ilm.training.config import Precision, StepMode, TrainConfig
from pix2pix_ilm.training.setup import build_networks, make_accelerator, make_step

PAIRS = 20
MATMUL = {"cuda": 2048, "cpu": 512}
"""Side of a large matrix; a CPU that emulates bfloat16 takes a minute for one of 2048."""
Step = Callable[[], Any]


@dataclass(frozen=True, kw_only=True)
class Options:
    """Measure one training step of pix2pix: both networks, everything included."""

    ngf: int = 64
    """Width of both networks' first layers."""
    image_size: Literal[64, 128, 256, 512] = 256
    batch_size: int = 1
    precision: Precision = "fp32"
    device: Device = "auto"
    norms: tuple[NormName, ...] = ("in", "ilm-in")
    """Normalization of both networks of ours."""
    modes: tuple[StepMode, ...] = ("auto",)
    """--step-mode of ours."""
    plain: tuple[Literal["in", "bn"], ...] = ("in",)
    """Normalization of the plain recipe's networks."""
    workers: int = 2
    """Processes of the plain recipe's DataLoader."""
    rounds: int = 7
    """Turns of each variant."""
    steps: int = 3
    """Steps in a turn."""


def main(options: Options) -> None:
    Console().print(table(measure(options)))


def measure(options: Options) -> dict[str, Any]:
    """Milliseconds a step in every turn of every variant; what was refused, and why."""
    device = pick_device(options.device)
    AcceleratorState._reset_state(reset_partial_state=True)  # of an earlier, other precision
    torch.set_flush_denormal(True)
    with tempfile.TemporaryDirectory() as temporary:
        data = draw_jpegs(Path(temporary), options.image_size)
        variants: dict[str, Step] = {}
        refused: dict[str, str] = {}
        for norm in options.plain:
            variants[f"plain {norm}"] = plain_step(options, data, norm, device)
        for mode in options.modes:
            for norm in options.norms:
                try:
                    variants[f"{norm} {mode}"] = our_step(options, data, norm, mode)
                except UserError as error:
                    refused[f"{norm} {mode}"] = str(error)
        operations = {name: flops(step) for name, step in variants.items() if "graph" not in name}
        for step in variants.values():
            time_turn(step, 4)  # a CUDA graph is captured in the fourth
        turns: dict[str, list[float]] = {name: [] for name in variants}
        peaks: list[float] = []
        for _ in range(options.rounds):
            for name, step in variants.items():
                turns[name].append(1e3 * time_turn(step, options.steps))
            peaks.append(matmul_flops(device, options.precision))
    machine = torch.cuda.get_device_name() if device.type == "cuda" else device.type
    return {
        "title": f"training step, ngf {options.ngf}, {options.image_size}x{options.image_size}, "
        f"batch {options.batch_size}, {options.precision}, {machine}, "
        f"{torch.get_num_threads()} threads",
        "batch_size": options.batch_size,
        "milliseconds": turns,
        "flops": operations,
        "matmul_flops_per_s": statistics.median(peaks),
        "refused": refused,
        "gpu_bytes": torch.cuda.max_memory_allocated() if device.type == "cuda" else None,
    }


def draw_jpegs(folder: Path, size: int) -> Path:
    """Drawn facades as side-by-side JPEGs, as CMP Facades comes."""
    synthesize(folder / "drawn", PAIRS, size)
    (folder / "jpeg" / "train").mkdir(parents=True)
    for path in (folder / "drawn" / "train").iterdir():
        Image.open(path).save(folder / "jpeg" / "train" / f"{path.stem}.jpg", quality=90)
    return folder / "jpeg"


def plain_step(
    options: Options, data: Path, norm: Literal["in", "bn"], device: torch.device
) -> Step:
    recipe = Recipe(
        data / "train",
        ngf=options.ngf,
        size=options.image_size,
        batch_size=options.batch_size,
        norm=norm,
        device=device,
        bf16=options.precision == "bf16",
        workers=options.workers,
    )
    return recipe.step


def our_step(options: Options, data: Path, norm: NormName, mode: StepMode) -> Step:
    """Make the training loop's own step: pairs in memory, jitter, updates, losses left there."""
    config = TrainConfig(
        data=str(data),
        image_size=options.image_size,
        batch_size=options.batch_size,
        generator=GeneratorConfig(ngf=options.ngf, norm=norm),
        discriminator=DiscriminatorConfig(ndf=options.ngf, norm=norm),
        precision=options.precision,
        device=options.device,
        step_mode=mode,
        tracker="none",
    )
    return make_training_step(config, data, data / "cache")


def make_training_step(config: TrainConfig, data: Path, cache: Path) -> Step:
    """Make the step of a training on a folder's pairs, which go round and round."""
    accelerator = make_accelerator(config)
    pairs = load_pairs(
        find_pairs(data, config.train_split),
        config.stored_size,
        direction=config.direction,
        label_channels=config.label_channels,
        cache=cache,
    )
    pairs = pairs.to(accelerator.device)
    step = make_step(config, accelerator, build_networks(config, accelerator), pairs, print)
    order = torch.randint(len(pairs), (10**4, config.batch_size), device=accelerator.device)
    indices = itertools.cycle(order)
    return lambda: step(next(indices))


def flops(step: Step) -> int:
    """Floating-point operations of one step's convolutions and matrix products."""
    with FlopCounterMode(display=False) as counter:
        step()
    return counter.get_total_flops()


def time_turn(step: Step, steps: int) -> float:
    """Seconds per step over a few steps in a row, after one in which the turn before dies away."""
    step()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(steps):
        step()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / steps


def matmul_flops(device: torch.device, precision: Precision) -> float:
    """Operations per second of a large matrix product: what this machine can do."""
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    side = MATMUL.get(device.type, 1024)
    matrix = torch.randn(side, side, device=device, dtype=dtype)
    return 2 * side**3 / time_turn(lambda: matrix @ matrix, 3)


def table(found: dict[str, Any]) -> Table:
    """Medians, spread, ratio to the first variant, share of what the machine can do."""
    shown = Table(title=found["title"])
    columns = ("variant", "ms a step", "min to max", "ratio", "images/s", "of a matmul's rate")
    for column in columns:
        shown.add_column(column, justify="left" if column == "variant" else "right")
    for row in rows(found):
        shown.add_row(*row)
    if found["refused"]:
        shown.caption = "\n".join(f"{name}: {why}" for name, why in found["refused"].items())
    return shown


def rows(found: dict[str, Any]) -> list[tuple[str, ...]]:
    """Return the table's cells."""
    medians = {name: statistics.median(turns) for name, turns in found["milliseconds"].items()}
    first = next(iter(medians.values()))
    counted = next(iter(found["flops"].values()), 0)
    made = []
    for name, turns in found["milliseconds"].items():
        rate = found["flops"].get(name, counted) / (1e-3 * medians[name])
        made.append(
            (
                name,
                f"{medians[name]:.1f}",
                f"{min(turns):.1f} to {max(turns):.1f}",
                f"{medians[name] / first:.3f}",
                f"{1e3 * found['batch_size'] / medians[name]:.1f}",
                f"{rate / found['matmul_flops_per_s']:.0%}",
            )
        )
    return made


if __name__ == "__main__":
    main(tyro.cli(Options))
