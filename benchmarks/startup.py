"""Time to --help, and to the first training step of ``train quick``.

Every measurement starts a new process; the caches are warm, as they are from the second time on.

    python benchmarks/startup.py
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import tyro
from rich.console import Console
from rich.table import Table

PROGRAM = [sys.executable, "-m", "pix2pix_ilm"]


@dataclass(frozen=True, kw_only=True)
class Options:
    """Measure the start of commands."""

    rounds: int = 5
    """Measured starts of each."""
    warm_ups: int = 1
    """Starts before that, unmeasured."""
    image_size: int = 128
    """Height and width of the facades that are drawn and trained on."""


def main(options: Options) -> None:
    Console().print(table(measure(options)))


def measure(options: Options) -> dict[str, Any]:
    """Seconds of every start."""
    measured = {
        "--help": help_seconds,
        "train quick, to its first step": partial(first_step_seconds, options.image_size),
    }
    times = options.warm_ups + options.rounds
    return {
        name: [work() for _ in range(times)][options.warm_ups :] for name, work in measured.items()
    }


def help_seconds() -> float:
    start = time.perf_counter()
    subprocess.run([*PROGRAM, "--help"], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def first_step_seconds(image_size: int) -> float:
    """Until the losses of the first step are printed; then the training is stopped."""
    with tempfile.TemporaryDirectory() as folder:
        size = ["--image-size", str(image_size)]
        command = [*PROGRAM, "train", "quick", *size, "--log-every", "1", "--checkpoints", folder]
        start = time.perf_counter()
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, cwd=Path.cwd(),
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        ) as process:  # fmt: skip
            assert process.stdout is not None
            for line in process.stdout:
                if "step 1/" in line:
                    break
            seconds = time.perf_counter() - start
            process.kill()
    return seconds


def table(found: dict[str, Any]) -> Table:
    shown = Table(title="from the command to its answer, warm caches")
    for column in ("command", "s (median)", "min to max"):
        shown.add_column(column, justify="left" if column == "command" else "right")
    for name, seconds in found.items():
        spread = f"{min(seconds):.2f} to {max(seconds):.2f}"
        shown.add_row(name, f"{statistics.median(seconds):.2f}", spread)
    return shown


if __name__ == "__main__":
    main(tyro.cli(Options))
