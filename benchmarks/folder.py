"""Images a second that translating a folder makes, beside what the network alone makes.

Loading the model takes no part.

    python benchmarks/folder.py --images 500
"""

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from PIL import Image
from rich.console import Console
from rich.table import Table

from pix2pix_ilm.data.synthetic.dataset import draw_pair
from pix2pix_ilm.serving.files import translate_files
from pix2pix_ilm.serving.translator import Translator


@dataclass(frozen=True, kw_only=True)
class Options:
    """Measure translating a folder of drawn label maps."""

    checkpoint: str = "facades-in"
    images: int = 500
    image_size: int = 256
    """Height and width."""
    rounds: int = 3
    """Turns; the fastest of each counts."""


def main(options: Options) -> None:
    drawn = [draw_pair(seed, options.image_size)[0] for seed in range(20)]
    translator = Translator.load(options.checkpoint)
    start = time.perf_counter()
    Translator.load(options.checkpoint)
    loading = time.perf_counter() - start
    network, folder = [], []
    with tempfile.TemporaryDirectory() as temporary:
        maps = Path(temporary) / "maps"
        maps.mkdir()
        for number in range(options.images):
            Image.fromarray(drawn[number % len(drawn)]).save(maps / f"{number}.png")
        for turn in range(options.rounds):
            network.append(network_seconds(translator, drawn, options.images))
            start = time.perf_counter()
            translate_files([maps], options.checkpoint, Path(temporary) / f"photos{turn}")
            folder.append(time.perf_counter() - start - loading)
    shown = Table(title=f"{options.images} label maps, images/s")
    for column in ("network alone", "folder", "ratio"):
        shown.add_column(column, justify="right")
    alone, whole = (options.images / min(turns) for turns in (network, folder))
    shown.add_row(f"{alone:.1f}", f"{whole:.1f}", f"{whole / alone:.2f}")
    Console().print(shown)


def network_seconds(translator: Translator, drawn: list[np.ndarray], count: int) -> float:
    """Measure so many label maps that are in memory, one after the other."""
    start = time.perf_counter()
    for number in range(count):
        translator([drawn[number % len(drawn)]])
    return time.perf_counter() - start


if __name__ == "__main__":
    main(tyro.cli(Options))
