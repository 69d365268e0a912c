"""``pix2pix-ilm reproduce``: the ILM Norm paper's Table 6."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from pix2pix_ilm.cli.compatibility import rename_flags
from pix2pix_ilm.errors import SettingError
from pix2pix_ilm.terminal import make_console, say

if TYPE_CHECKING:
    from pix2pix_ilm.training.config import TrainConfig


@dataclass(frozen=True, kw_only=True)
class Reproduce:
    """Train IN/IN, ILM+IN/IN and ILM+IN/ILM+IN over several seeds, and print the paper's Table 6.

    Run it again to go on after a stop. Several at once, with the same flags, share the trainings.
    """

    data: str = "facades"
    """Folder of image pairs; 'facades' is data/facades."""
    seeds: int = 3
    """Trainings of each configuration, with seeds 0, 1, ..."""
    out: Path = Path("checkpoints/reproduction")
    """Folder for all trainings; its report/ gets tables, plots and gallery.html."""
    set: tuple[str, ...] = ()
    """Hyper-parameters of every training that differ from the paper preset's, such as
    --set epochs=100 generator.ngf=32; 'pix2pix-ilm train paper --help' lists them all."""

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise SettingError("seeds", "at least 1", self.seeds)
        for setting in self.set:
            name, equals, _ = setting.partition("=")
            if not equals or not name.replace("-", "_").replace(".", "_").isidentifier():
                raise SettingError("set", "NAME=VALUE", setting)


def run(prog: str, arguments: list[str]) -> None:
    """Train and compare the ILM Norm paper's three configurations (Table 6)."""
    options = tyro.cli(Reproduce, prog=prog, args=arguments)
    from pix2pix_ilm.evaluation.report import terminal_report
    from pix2pix_ilm.reproduction.reproduce import reproduce
    from pix2pix_ilm.training.interrupts import Interrupted

    try:
        evaluation = reproduce(study_config(options), options.out, options.seeds, say)
    except Interrupted as stop:
        say(f"Stopped and saved at step {stop.step} of {stop.folder}. Run the same again to go on.")
        raise KeyboardInterrupt from stop
    if evaluation:
        console = make_console()
        console.print(terminal_report(evaluation, console.width))
        say(f"Done: {options.out / 'report'}")


def as_flag(setting: str) -> str:
    """Return --epochs=5 for epochs=5, --no-flip for flip=false."""
    name, _, value = setting.partition("=")
    if value.lower() not in ("true", "false"):
        return f"--{setting}"
    group, dot, last = name.rpartition(".")
    return f"--{group}{dot}{'' if value.lower() == 'true' else 'no-'}{last}"


def study_config(options: Reproduce) -> "TrainConfig":
    """Return what all trainings share: the paper preset with the flags' data and settings."""
    from pix2pix_ilm.training.config import PRESETS, TrainConfig

    _, paper = PRESETS["paper"]
    flags = [*rename_flags(map(as_flag, options.set)), f"--data={options.data}"]
    return tyro.cli(TrainConfig, prog="pix2pix-ilm reproduce --set", args=flags, default=paper)
