"""``pix2pix-ilm data``: image pairs, downloaded, checked or drawn."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro
from tyro.conf import Positional

from pix2pix_ilm.terminal import say


@dataclass(frozen=True, kw_only=True)
class Download:
    """Download CMP Facades (30 MB), check it and unpack it."""

    name: Positional[Literal["facades"]]
    """Which data set."""
    out: Path = Path("data/facades")
    """Folder to put it into."""
    archive: Path | None = None
    """A local copy of facades.tar.gz, to use instead of the network."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """Say what a folder of image pairs holds, by split, and every problem in it."""

    path: Positional[Path]
    """The data set's folder."""


@dataclass(frozen=True, kw_only=True)
class Synthesize:
    """Draw facades and their label maps as a folder of image pairs."""

    out: Path
    """A new folder for train, val and test."""
    count: int = 500
    """How many pairs."""
    size: int = 256
    """Height and width of each image."""
    seed: int = 0
    """Other seeds draw other facades."""


def run(prog: str, arguments: list[str]) -> None:
    """Download, check or draw image pairs."""
    options = tyro.cli(Download | Check | Synthesize, prog=prog, args=arguments)
    if isinstance(options, Download):
        from pix2pix_ilm.data import facades

        facades.download(options.out, archive=options.archive)
        say(f"CMP Facades, verified: {options.out}")
    elif isinstance(options, Check):
        from pix2pix_ilm.data.check import check_folder

        say(check_folder(options.path))
    else:
        from pix2pix_ilm.data.synthetic.dataset import synthesize

        synthesize(options.out, options.count, options.size, options.seed)
        say(f"Done: {options.out}")
