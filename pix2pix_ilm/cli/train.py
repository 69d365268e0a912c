"""``pix2pix-ilm train``: from image pairs to a trained model."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from pix2pix_ilm.cli.compatibility import rename_flags
from pix2pix_ilm.devices import is_main_process
from pix2pix_ilm.terminal import say

if TYPE_CHECKING:
    from types import ModuleType


@dataclass(frozen=True, kw_only=True)
class Resume:
    """Continue a run from its last save, exactly as if it had never stopped."""

    resume: str
    """The run's folder, or its name in checkpoints/."""
    data: str | None = None
    """Present place of the training data, if they were moved; they must be the same."""
    epochs: int | None = None
    """Train up to this epoch instead of the run's last one. The learning rate of every epoch to
    come is that of a run of so many epochs: where it had begun to fall, it rises again."""


def run(prog: str, arguments: list[str]) -> None:
    """Train a model on image pairs."""
    if any(argument.split("=")[0] == "--resume" for argument in arguments):
        options = tyro.cli(Resume, prog=prog, args=arguments)
        report_training(
            lambda loop: loop.resume(
                find_run(options.resume), data=options.data, epochs=options.epochs
            )
        )
        return

    from pix2pix_ilm.training.config import PRESETS, TrainConfig

    file, others = take_config(rename_flags(arguments))
    if file is not None:
        from pix2pix_ilm.training.settings import read_settings

        config = tyro.cli(TrainConfig, prog=prog, args=others, default=read_settings(file))
    else:
        config = tyro.extras.overridable_config_cli(
            PRESETS,
            prog=prog,
            args=others,
            description="Train a model on image pairs. 'pix2pix-ilm train PRESET --help' lists "
            "every hyper-parameter; 'pix2pix-ilm train --resume NAME' continues a run; "
            "'pix2pix-ilm train --config FILE' starts one with the settings of a run's run.json, "
            "or of a JSON file of your own, in place of a preset's.",
        )
    report_training(lambda loop: loop.train(config))


def find_run(name: str) -> Path:
    """Return the folder of a run: the one named, or if there is none, that in checkpoints/."""
    folder, inside = Path(name), Path("checkpoints", name)
    return inside if inside.exists() and not folder.exists() else folder


def take_config(arguments: list[str]) -> tuple[Path | None, list[str]]:
    """Return the file of --config, if it is given, and the other arguments."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--config", type=Path)
    given, others = parser.parse_known_args(arguments)
    return given.config, others


def report_training(work: Callable[["ModuleType"], Path]) -> None:
    """Train, and say what can be done next."""
    from pix2pix_ilm.training import loop
    from pix2pix_ilm.training.curves import CURVES
    from pix2pix_ilm.training.interrupts import Interrupted
    from pix2pix_ilm.training.run_folder import METRICS, open_run

    try:
        folder = work(loop)
    except Interrupted as stop:
        say(
            f"Stopped and saved at step {stop.step}. "
            f"Continue with: pix2pix-ilm train --resume {stop.folder}"
        )
        raise KeyboardInterrupt from stop
    if is_main_process():
        drawn = (folder / CURVES).exists()  # where the training validates
        curves = f"{folder / (CURVES if drawn else METRICS)}"
        if open_run(folder).config.tracker == "tensorboard":
            curves += f", or tensorboard --logdir {folder}"
        say(
            f"Done: {folder}\n"
            f"  sample grids (label maps, outputs, photos):  {folder / 'samples'}\n"
            f"  curves:      {curves}\n"
            f"  translate:   pix2pix-ilm translate LABEL_MAP... --checkpoint {folder} --out outputs"
        )
