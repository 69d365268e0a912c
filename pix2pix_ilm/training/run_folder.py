"""A run's folder: what it holds, and how it is written so that nothing is ever half there.

config.json           the generator's configuration and how to use it
model.safetensors     the generator's weights
run.json              the whole configuration, versions, data, split lists
training_state.pt     both networks and optimizers at one step: all that resuming needs
metrics.jsonl         losses, a line every few steps
samples/              a grid of label maps, outputs and photos every few epochs
curves.png            losses and metrics over steps, where the training validates
diagnostics.json      norms and gradients at a few epochs, where they are looked at
tensorboard/          the losses and samples as curves and images
.lock                 held by the process that trains; no more than a leftover without one
"""

import platform
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from torch import nn
from torch.optim import Optimizer

from pix2pix_ilm.checkpoints import (
    STATE,
    ModelConfig,
    check_weights,
    read_saved,
    save_discriminator,
    save_generator,
)
from pix2pix_ilm.data.datasets import data_folder
from pix2pix_ilm.errors import LockedError, SettingError, UserError, shorten
from pix2pix_ilm.files import (
    TEMPORARY,
    is_folder,
    make_folder,
    making_folder,
    read_json,
    take_lock,
    write_atomically,
)
from pix2pix_ilm.training.config import TrainConfig
from pix2pix_ilm.training.step import Networks

RUN, METRICS, LOCK = "run.json", "metrics.jsonl", ".lock"
VERSIONED = ("pix2pix-ilm", "torch", "torchvision", "accelerate", "numpy", "pillow")


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """Content of a run's ``run.json``."""

    config: TrainConfig
    data_digest: str
    """SHA-256 over names and contents of the training files."""
    train: list[str]
    """Names of the training pairs."""
    val: list[str]
    """Names of all pairs of the validation split."""
    versions: dict[str, str]
    processes: int = 1
    """Number of processes at its start; together they see one global batch per step."""

    def __post_init__(self) -> None:
        if self.processes < 1:
            raise SettingError("processes", "at least 1", self.processes)


def move_or_lengthen(record: RunRecord, data: str | None, epochs: int | None) -> RunRecord:
    """Return a run's record with what resuming may change: where the data lie, and the end.

    Raises:
        UserError: the data are not where they lay, and nobody says where.
        SettingError: fewer epochs than the learning rate falls over.
    """
    config = record.config
    decay = config.decay_epochs
    if epochs is not None and decay is not None and epochs < decay:
        expected = f"at least {decay}, as its learning rate falls over so many"
        raise SettingError("epochs", expected, epochs)
    if data is None:
        try:
            data_folder(config.data, config.image_size)
        except UserError as error:
            raise UserError(f"{error}; or say where the data lie now: --data FOLDER") from None
    config = replace(
        config,
        data=config.data if data is None else data,
        epochs=config.epochs if epochs is None else epochs,
    )
    return replace(record, config=config)


def share_batch(record: RunRecord, processes: int) -> TrainConfig:
    """Return a run's configuration for this many processes, which keep its global batch.

    Raises:
        UserError: the global batch cannot be divided among them.
    """
    global_batch = record.config.batch_size * record.processes
    if global_batch % processes:
        raise UserError(
            f"this run sees {global_batch} pairs per step, which {processes} processes cannot "
            f"share evenly; resume with a number of processes that divides {global_batch}"
        )
    return replace(record.config, batch_size=global_batch // processes)


def lock_run(folder: Path) -> AbstractContextManager[object]:
    """Hold a run's lock: one process trains it at a time.

    Raises:
        LockedError: another process trains it.
    """
    try:
        return take_lock(folder / LOCK)
    except LockedError:
        raise LockedError(
            f"{folder}: another process is training this run; wait until it ends, or stop it"
        ) from None


def create_folder(config: TrainConfig) -> tuple[Path, AbstractContextManager[object]]:
    """Make a new run's folder and hold its lock; without an explicit name, one that is not taken.

    An empty folder, such as a start leaves that was cut short, is as good as none.

    Raises:
        LockedError: another process starts or trains a run of the explicit name.
        UserError: the explicit name is taken, or the folder cannot be made.
    """
    folder, count = config.checkpoints / config.run_name, 1
    while True:
        try:
            lock = lock_if_new(folder)
        except LockedError:
            if config.name is not None:
                raise
            lock = None
        if lock is not None:
            return folder, lock
        if config.name is not None:
            if (folder / LOCK).exists():
                with lock_run(folder):
                    pass
            raise UserError(
                f"{folder}: is there already; continue it with 'pix2pix-ilm train --resume "
                f"{folder}', or choose another name"
            )
        count += 1
        folder = config.checkpoints / f"{config.run_name}-{count}"


@contextmanager
def share_new_folder(config: TrainConfig, accelerator: Accelerator) -> Iterator[Path]:
    """Give all processes a new run's folder, which the main one makes and holds the lock of.

    It goes again if nothing was written into it.
    """
    with ExitStack() as held:
        folders = [config.checkpoints]
        if accelerator.is_main_process:
            held.enter_context(making_folder(config.checkpoints))
            folders[0], lock = create_folder(config)
            held.enter_context(lock)
            held.callback(remove_if_empty, folders[0])
        broadcast_object_list(folders)
        yield folders[0]


def remove_if_empty(folder: Path) -> None:
    """Remove a folder that holds nothing but a lock."""
    with suppress(OSError):
        if is_empty(folder):
            (folder / LOCK).unlink(missing_ok=True)
            folder.rmdir()


def lock_if_new(folder: Path) -> AbstractContextManager[object] | None:
    """Make a folder, unless it is there, and hold its lock; None if there is anything in it."""
    if not is_folder(folder):
        make_folder(folder)
    if not is_empty(folder):
        return None
    lock = lock_run(folder)
    if is_empty(folder):
        return lock
    with lock:  # a run began and ended between the two looks
        return None


def is_empty(folder: Path) -> bool:
    """Return True if a folder holds nothing but a lock."""
    return all(path.name == LOCK for path in folder.iterdir())


def drop_older(epochs: Path, keep_last: int | None) -> None:
    """Remove kept generators but the last few, or none for None."""
    if keep_last is not None:
        kept = [folder for folder in epochs.iterdir() if folder.name.isdecimal()]
        for folder in sorted(kept, key=lambda folder: int(folder.name))[:-keep_last]:
            shutil.rmtree(folder)


def remove_leftovers(folder: Path) -> None:
    """Remove what a killed process was writing; nobody else may be writing into the run."""
    for path in folder.rglob(f".*{TEMPORARY}"):
        path.unlink(missing_ok=True)


def current_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that results depend on."""
    return {"python": platform.python_version()} | {name: version(name) for name in VERSIONED}


def open_run(folder: Path) -> RunRecord:
    """Read the record of an existing run; UserError if the folder is none."""
    if not (folder / RUN).is_file():
        raise UserError(f"{folder}: not a training run (no {RUN} in it)")
    return read_json(folder / RUN, RunRecord)


def save_run(folder: Path, networks: Networks, step: int, config: ModelConfig) -> None:
    """Write all that resuming needs in one file, and the generator for everybody else.

    Raises:
        UserError: the disk is full or the like; what resuming needs of the last save is intact.
    """
    export_generator(folder, networks.generator_in_use, step, config)
    state = {name: part.state_dict() for name, part in networks.parts.items()} | {"step": step}
    write_atomically(folder / STATE, lambda file: torch.save(state, file))  # last: the step is done


def export_generator(folder: Path, generator: nn.Module, step: int, config: ModelConfig) -> None:
    """Write a training's generator, so that it can be used."""
    save_generator(folder, generator.state_dict(), replace(config, step=step))


def export_best(folder: Path, networks: Networks, step: int, config: ModelConfig) -> None:
    """Write the best generator so far, and the discriminator to go on with, into ``best/``."""
    make_folder(folder / "best")
    export_generator(folder / "best", networks.generator_in_use, step, config)
    save_discriminator(folder / "best", networks.discriminator.state_dict())


def restore(folder: Path, networks: Networks) -> int:
    """Load the last save into networks and optimizers; returns its step, 0 if there is none.

    Raises:
        UserError: the file is damaged or of another network; names the file and what in it.
    """
    path = folder / STATE
    if not path.exists():
        return 0
    try:
        state = read_saved(path)
        if not isinstance(state, dict):
            raise UserError(f"expected a dict, found {type(state).__name__}")
        step = state.get("step")
        if type(step) is not int or step < 0:
            found = shorten(step) if "step" in state else "none"
            raise UserError(f"step: expected a whole number from 0, found {found}")
        for name, part in networks.parts.items():
            restore_part(part, name, state)
    except UserError as error:
        raise UserError(f"{path}: cannot be resumed from ({error})") from None
    return step


def restore_part(part: nn.Module | Optimizer, name: str, state: dict) -> None:
    """Load one part of a save; UserError that names what does not fit."""
    try:
        saved = state[name]
        if isinstance(part, nn.Module):
            saved = check_weights(saved, part.state_dict())
        part.load_state_dict(saved)
    except UserError as error:
        raise UserError(f"{name}: {error}") from None
    except Exception as error:  # whatever damaged contents provoke
        reason = str(error).strip().splitlines()[-1:] or [type(error).__name__]
        raise UserError(f"{name}: missing or damaged: {reason[0].strip()}") from None
