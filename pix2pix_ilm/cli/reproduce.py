"""``pix2pix-ilm reproduce``: the ILM Norm paper's Table 6, and studies of our own."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro
from tyro.conf import Positional

from pix2pix_ilm.cli.compatibility import rename_flags
from pix2pix_ilm.errors import SettingError
from pix2pix_ilm.terminal import make_console, say

GIVEN_ELSEWHERE = {
    "data": "--data",
    "seed": "--seeds",
    "checkpoints": "--out",
    "name": "the configuration",
}
"""Settings of a training that a study chooses -> what gives them."""


@dataclass(frozen=True, kw_only=True)
class Reproduce:
    """Train the configurations of a study over several seeds, and print the table of all.

    Run it again to go on after a stop. Several at once, with the same flags, share the trainings.
    """

    study: Positional[Literal["table6", "recipe", "norms", "ilm"]] = "table6"
    """table6: IN/IN, ILM+IN/IN and ILM+IN/ILM+IN, as the ILM Norm paper's Table 6; recipe: the
    parts of our recipe, each alone and each left out; norms: where ILM Norm stands and how it
    starts; ilm: those of them that are worth many seeds."""
    data: str = "facades"
    """Folder of image pairs; 'facades' is data/facades."""
    seeds: int = 3
    """Trainings of each configuration, with seeds 0, 1, ..."""
    only: tuple[str, ...] = ()
    """Configurations to train now, by the names of their runs, such as in-in; unset: all. The
    table has all that are done."""
    split: str | None = None
    """Split to evaluate on, or 'paper': the ILM Norm paper's held-out 200; unset: the one that the
    trainings show their samples of."""
    out: Path | None = None
    """Folder for all trainings; its report/ gets tables, plots and gallery.html. Unset:
    checkpoints/STUDY, and checkpoints/reproduction for table6."""
    set: tuple[str, ...] = ()
    """Hyper-parameters of every training that differ from the study's, such as
    --set epochs=100 generator.ngf=32; 'pix2pix-ilm train paper --help' lists them all. One that
    takes several values is given once for each."""

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise SettingError("seeds", "at least 1", self.seeds)
        for setting in self.set:
            name, equals, _ = setting.partition("=")
            if not equals or not name.replace("-", "_").replace(".", "_").isidentifier():
                raise SettingError("set", "NAME=VALUE", setting)
            if name in GIVEN_ELSEWHERE:
                expected = f"no {name}, which {GIVEN_ELSEWHERE[name]} gives"
                raise SettingError("set", expected, setting)

    @property
    def folder(self) -> Path:
        """Return the folder for all trainings."""
        name = "reproduction" if self.study == "table6" else self.study
        return self.out or Path("checkpoints", name)


def run(prog: str, arguments: list[str]) -> None:
    """Train and compare the configurations of a study, such as the ILM Norm paper's Table 6."""
    options = tyro.cli(Reproduce, prog=prog, args=arguments)
    from pix2pix_ilm.evaluation.report import terminal_report
    from pix2pix_ilm.reproduction.reproduce import reproduce
    from pix2pix_ilm.reproduction.studies import STUDIES, make_arms
    from pix2pix_ilm.training.interrupts import Interrupted

    design = STUDIES[options.study]
    for name in options.only:
        if name not in design.arms:
            raise SettingError("only", f"some of {', '.join(design.arms)}", name)
    arms = make_arms(design, options.data, rename_flags(as_flags(options.set)), options.only)
    try:
        evaluation = reproduce(
            arms, options.folder, options.seeds, say, only=options.only, split=options.split
        )
    except Interrupted as stop:
        say(f"Stopped and saved at step {stop.step} of {stop.folder}. Run the same again to go on.")
        raise KeyboardInterrupt from stop
    if evaluation:
        console = make_console()
        console.print(terminal_report(evaluation, console.width))
        say(f"Done: {options.folder / 'report'}")


def as_flags(settings: Sequence[str]) -> list[str]:
    """Return --epochs=5 for epochs=5, --no-flip for flip=false, --a x y for a=x and a=y."""
    values: dict[str, list[str]] = {}
    for setting in settings:
        name, _, value = setting.partition("=")
        values.setdefault(name, []).append(value)
    flags = []
    for name, given in values.items():
        if len(given) > 1:
            flags += [f"--{name}", *given]
        elif given[0].lower() in ("true", "false"):
            group, dot, last = name.rpartition(".")
            flags.append(f"--{group}{dot}{'' if given[0].lower() == 'true' else 'no-'}{last}")
        else:
            flags.append(f"--{name}={given[0]}")
    return flags
