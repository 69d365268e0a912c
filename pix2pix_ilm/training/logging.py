"""Progress of a run on the terminal, and the losses that are kept of it."""

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import TracebackType

import torch
from accelerate import Accelerator
from jaxtyping import Float
from pydantic import TypeAdapter, ValidationError
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from torch import Tensor

from pix2pix_ilm.errors import UserError
from pix2pix_ilm.files import describe_first, read_bytes, write_atomically
from pix2pix_ilm.terminal import make_console
from pix2pix_ilm.training.config import TrainConfig
from pix2pix_ilm.training.run_folder import METRICS
from pix2pix_ilm.training.step import Networks
from pix2pix_ilm.training.trackers import open_trackers


def mean_losses(
    losses: list[Float[Tensor, " losses"]],
    names: Sequence[str],
    accelerator: Accelerator,
    done: int,
    tell_last_save: Callable[[], str],
) -> dict[str, float]:
    """Read losses from the device; return the means over steps and processes by name.

    Args:
        losses: of the last steps, on the device.
        names: of the losses of a step.
        accelerator: of the training.
        done: steps done, to name the step of a loss.
        tell_last_save: returns which steps are kept.

    Raises:
        UserError: one is not finite; so weights that are lost never overwrite a good save.
    """
    values = torch.as_tensor(accelerator.reduce(torch.stack(losses), "mean")).cpu()
    bad = (~values.isfinite()).nonzero()
    if len(bad):
        row, column = bad[0].tolist()
        raise UserError(
            f"step {done - len(values) + row + 1}: the {names[column]} loss became "
            f"{values[row, column].item()}; {tell_last_save()}; try a lower learning rate"
        )
    return dict(zip(names, values.mean(dim=0).tolist(), strict=True))


class Reporter:
    """Progress in the terminal (plain lines where there is none), metrics.jsonl, trackers.

    Lines of ``metrics.jsonl`` about steps after ``start`` are dropped, and trackers forget those
    steps: they will be done again.

    Args:
        folder: the run's.
        accelerator: whose trackers get the losses, and whose main process alone reports.
        config: the run's, whose tracker draws the losses.
        start: steps that were done before.
        total: steps when training ends.
        steps_per_epoch: to name the epoch.
        images_per_step: images that all processes see in one step.
    """

    def __init__(
        self,
        folder: Path,
        accelerator: Accelerator,
        config: TrainConfig,
        *,
        start: int,
        total: int,
        steps_per_epoch: int,
        images_per_step: int,
    ) -> None:
        self.folder = folder
        self.accelerator = accelerator
        self.total = total
        self.steps_per_epoch = steps_per_epoch
        self.images_per_step = images_per_step
        self.started = self.last = (start, time.perf_counter())
        self.console = make_console(quiet=not accelerator.is_main_process)
        self.bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[status]}", markup=False),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self.task = self.bar.add_task("", total=total, completed=start, status="")
        if accelerator.is_main_process:
            drop_later_lines(folder / METRICS, start)
        open_trackers(accelerator, folder, config, start)

    def __enter__(self) -> "Reporter":
        self.bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.bar.stop()
        for tracker in self.accelerator.trackers:
            tracker.finish()

    def begin(self, networks: Networks, num_pairs: int, image_size: int) -> None:
        """Print one line on what is trained, on what, and where."""
        generator, discriminator = (
            f"{sum(weight.numel() for weight in network.parameters()) / 1e6:.1f} M"
            for network in (networks.generator, networks.discriminator)
        )
        self.say(
            f"{self.folder}: {num_pairs} pairs at {image_size}x{image_size}, {generator} + "
            f"{discriminator} weights, {self.accelerator.device}, steps {self.started[0]} to "
            f"{self.total}"
        )

    def say(self, line: str) -> None:
        """Print a line above the progress bar."""
        self.console.print(line, soft_wrap=True)

    def report(self, step: int, losses: dict[str, float], learning_rate: float) -> None:
        """Report mean losses of the steps since the last report, and metrics if there are any."""
        if not self.accelerator.is_main_process:
            return
        images_per_s, seconds_left = self.speed(step)
        epoch = math.ceil(step / self.steps_per_epoch)
        row = losses | {"learning_rate": learning_rate, "images_per_s": images_per_s}
        with (self.folder / METRICS).open("a") as file:
            file.write(json.dumps({"step": step, "epoch": epoch} | row) + "\n")
        self.accelerator.log(row, step=step)

        epochs = self.total // self.steps_per_epoch
        shown = "  ".join(f"{name} {value:.3f}" for name, value in losses.items())
        left = timedelta(seconds=round(seconds_left))
        status = f"{shown}  {images_per_s:.1f} images/s  {left} left"
        self.bar.update(
            self.task, completed=step, description=f"epoch {epoch}/{epochs}", status=status
        )
        if not self.console.is_terminal:
            self.say(f"epoch {epoch}/{epochs}  step {step}/{self.total}  {status}")

    def speed(self, step: int) -> tuple[float, float]:
        """Return images per second since the last call, and seconds left at the average speed."""
        now = time.perf_counter()
        (first_step, first_time), (last_step, last_time) = self.started, self.last
        self.last = (step, now)
        seconds_per_step = (now - first_time) / max(step - first_step, 1)
        recent = (step - last_step) * self.images_per_step / max(now - last_time, 1e-9)
        return recent, seconds_per_step * (self.total - step)


@dataclass(frozen=True, kw_only=True)
class LoggedLosses:
    """A line of ``metrics.jsonl``: means since the line before."""

    step: int
    epoch: int
    discriminator: float
    adversarial: float
    l1: float
    learning_rate: float
    images_per_s: float
    feature_matching: float | None = None
    perceptual: float | None = None
    val_rmse_rgb: float | None = None
    val_ssim: float | None = None
    val_lpips: float | None = None


def read_losses(metrics: Path) -> list[tuple[bytes, LoggedLosses]]:
    """Return a run's lines, as they stand there and as numbers; none if there is no such file.

    A last line that is torn, as a kill leaves it, is left out.

    Raises:
        UserError: names the file, and the line and field that is not what was logged.
    """
    if not metrics.exists():
        return []
    *whole, _torn = read_bytes(metrics).split(b"\n")
    read = TypeAdapter(LoggedLosses).validate_json
    logged: list[tuple[bytes, LoggedLosses]] = []
    for number, line in enumerate(whole, start=1):
        try:
            logged.append((line, read(line, strict=True)))
        except ValidationError as error:
            raise UserError(f"{metrics}: line {number}: {describe_first(error)}") from None
    return logged


def drop_later_lines(metrics: Path, step: int) -> None:
    """Forget what was logged after the save that training goes on from."""
    if metrics.exists():
        kept = [line for line, row in read_losses(metrics) if row.step <= step]
        write_atomically(metrics, lambda file: file.write(b"".join(k + b"\n" for k in kept)))
