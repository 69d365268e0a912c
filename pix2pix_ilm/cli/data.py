"""``pix2pix-ilm data``: image pairs, downloaded, checked or drawn; palettes of label maps."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro
from tyro.conf import Positional

from pix2pix_ilm.data import Direction
from pix2pix_ilm.files import write_atomically
from pix2pix_ilm.terminal import make_console, say


@dataclass(frozen=True, kw_only=True)
class Download:
    """Download a data set of pix2pix, check it and unpack it."""

    name: Positional[Literal["facades", "maps", "cityscapes"]]
    """CMP Facades (30 MB), aerial photos and maps (240 MB), or Cityscapes (100 MB)."""
    out: Path | None = None
    """Folder to put it into; unset: data/NAME."""
    archive: Path | None = None
    """A local copy of NAME.tar.gz, to use instead of the network."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """Say what a folder of image pairs holds, by split, and every problem in it."""

    path: Positional[Path]
    """The data set's folder."""
    label_classes: str = "none"
    """facades, cityscapes, or a JSON file of classes: index maps must not have others' numbers."""
    direction: Direction = "BtoA"
    """Side of the label maps, where there are label classes: A (AtoB), or B (BtoA)."""


@dataclass(frozen=True, kw_only=True)
class Synthesize:
    """Draw facades and their label maps as a folder of image pairs."""

    out: Path
    """A new folder for train, val and test."""
    count: int = 500
    """Number of pairs."""
    size: int = 256
    """Height and width of each image."""
    seed: int = 0
    """Other seeds draw other facades."""


@dataclass(frozen=True, kw_only=True)
class Palette:
    """Propose classes for label maps, from their colors, as a file for 'train --label-classes'."""

    path: Positional[Path]
    """The data set's folder."""
    direction: Direction = "BtoA"
    """Side of the label maps: A (AtoB), or B (BtoA)."""
    split: str = "train"
    """Split to look at, or a slice of one, such as train[:50]."""
    out: Path | None = None
    """The JSON file; unset: it is printed."""


def run(prog: str, arguments: list[str]) -> None:
    """Download, check or draw image pairs; propose classes for label maps."""
    options = tyro.cli(Download | Check | Synthesize | Palette, prog=prog, args=arguments)
    if isinstance(options, Download):
        from pix2pix_ilm.data.datasets import DATA
        from pix2pix_ilm.data.downloads import KNOWN, download

        folder = options.out or DATA / options.name
        download(options.name, folder, archive=options.archive)
        say(f"{KNOWN[options.name].title}, verified: {folder}")
    elif isinstance(options, Check):
        from pix2pix_ilm.data.check import check_folder
        from pix2pix_ilm.data.palette import find_palette

        palette = find_palette(options.label_classes)
        found = check_folder(options.path, palette, options.direction)
        make_console().print(found, soft_wrap=True)
    elif isinstance(options, Palette):
        from pix2pix_ilm.data.palette_proposal import propose_palette, to_json

        palette, shares = propose_palette(options.path, options.split, options.direction)
        for one, share in zip(palette.classes, shares, strict=True):
            say(f"{one.name}: {share:.2%} of the pixels")
        text = to_json(palette)
        if options.out is None:
            make_console().print(text, end="", soft_wrap=True)
        else:
            write_atomically(options.out, lambda file: file.write(text.encode()))
            say(f"Done: {options.out}; name its classes as you like")
    else:
        from pix2pix_ilm.data.synthetic.dataset import synthesize

        synthesize(options.out, options.count, options.size, options.seed)
        say(f"Done: {options.out}")
