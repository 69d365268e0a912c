"""Progress of a study's trainings, and the way to their end.

Every training is a run's folder like any other inside the study's. What is done is read from these
folders each time, so a study goes on wherever it was stopped, and several processes that are given
the same study share its trainings: each takes one that nobody holds.
"""

import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from pathlib import Path

from pix2pix_ilm import checkpoints
from pix2pix_ilm.errors import LockedError, UserError, shorten
from pix2pix_ilm.training import loop, run_folder
from pix2pix_ilm.training.config import TrainConfig
from pix2pix_ilm.training.logging import read_losses

Say = Callable[[str], None]


def check_settings(trainings: Sequence[TrainConfig]) -> None:
    """Refuse to go on with trainings that were begun with other settings; UserError with them."""
    for config in trainings:
        folder = config.checkpoints / config.run_name
        if not (folder / run_folder.RUN).exists():
            continue
        begun = run_folder.open_run(folder).config
        begun = replace(begun, name=config.name, checkpoints=config.checkpoints, data=config.data)
        if begun != config:
            changed = ", ".join(differences(asdict(begun), asdict(config)))
            raise UserError(
                f"{folder}: was begun with other settings ({changed}); go on with those, or choose "
                "another folder"
            )


def differences(before: dict, now: dict, prefix: str = "") -> Iterator[str]:
    """Tell settings that differ, as "generator.ngf 32 instead of 64": the study's, then the new."""
    for name, value in before.items():
        if isinstance(value, dict) and isinstance(now[name], dict):
            yield from differences(value, now[name], f"{prefix}{name}.")
        elif value != now[name]:
            old, new = (shorten(of) for of in (value, now[name]))
            yield f"{prefix}{name} {old} instead of {new}"


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Progress of a training."""

    done: int = 0
    """Steps behind its saved generator."""
    total: int | None = None
    """Steps when it ends; None if it was never started."""
    seconds_per_step: float | None = None
    """Median of what was logged; None if nothing was."""

    @property
    def finished(self) -> bool:
        """Return True if all steps are done."""
        return self.done == self.total


def progress(config: TrainConfig) -> Progress:
    """Read from its folder how far a training of the study is."""
    folder = config.checkpoints / config.run_name
    if not (folder / run_folder.RUN).exists():
        return Progress()
    record = run_folder.open_run(folder)
    steps_per_epoch = len(record.train) // (record.config.batch_size * record.processes)
    saved = (folder / checkpoints.MODEL_CONFIG).exists()
    return Progress(
        done=(checkpoints.read_model_config(folder).step or 0) if saved else 0,
        total=record.config.epochs * steps_per_epoch,
        seconds_per_step=seconds_per_step(folder, record.config.batch_size * record.processes),
    )


def seconds_per_step(folder: Path, global_batch: int) -> float | None:
    """Return the median time of a logged step in seconds; None if there is none."""
    speeds = [row.images_per_s for _, row in read_losses(folder / run_folder.METRICS)]
    return global_batch / statistics.median(speeds) if speeds else None


def time_left(all_progress: Sequence[Progress]) -> str:
    """Tell how long the rest takes, one after the other; trainings not begun are like others.

    "unknown" before the first training has logged anything.
    """
    speeds = [one.seconds_per_step for one in all_progress if one.seconds_per_step]
    totals = [one.total for one in all_progress if one.total]
    if not speeds or not totals:
        return "unknown"
    seconds = sum(
        ((one.total or max(totals)) - one.done) * (one.seconds_per_step or statistics.mean(speeds))
        for one in all_progress
    )
    return f"about {timedelta(seconds=60 * math.ceil(seconds / 60))}"


def train_all(trainings: Sequence[TrainConfig], say: Say) -> bool:
    """Train whatever is not done and nobody else is at; returns whether all are done.

    Raises:
        UserError: as ``training.loop.train``.
        Interrupted: after a signal; what was done is saved.
    """
    for number, config in enumerate(trainings, start=1):
        if progress(config).finished:
            continue
        title = f"[{number}/{len(trainings)}] {config.run_name}"
        left = time_left([progress(one) for one in trainings])
        say(f"{title} (time left for all: {left})")
        try:
            train_or_resume(config)
        except LockedError:
            say(f"{title}: another process is at it")
    return all(progress(config).finished for config in trainings)


def train_or_resume(config: TrainConfig) -> None:
    """Train, or go on where the folder has a run."""
    folder = config.checkpoints / config.run_name
    if (folder / run_folder.RUN).exists():
        loop.resume(folder, data=config.data)
    else:
        loop.train(config)
