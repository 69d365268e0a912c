"""Costs of a growing data set: drawing, importing, starting again, memory.

Importing decodes all pairs into the cache once; every later start, here in a process of its own,
only opens it. Everything is put into a temporary folder and deleted.

    python benchmarks/data_scale.py --pairs 500 5000 50000
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro
from rich.console import Console
from rich.table import Table

from pix2pix_ilm.data.synthetic.dataset import synthesize

STARTED = """
import json, sys, time
start = time.perf_counter()
from pathlib import Path
import psutil, torch
from pix2pix_ilm.data.augment import random_crop_flip
from pix2pix_ilm.data.cache import load_pairs
from pix2pix_ilm.data.pairs import find_pairs

def memory():
    info = psutil.Process().memory_info()
    return {"resident": info.rss, "shared": info.shared}

folder, cache = map(Path, sys.argv[1:3])
size, batches = map(int, sys.argv[3:5])
imported = memory()
opening = time.perf_counter()
pairs = load_pairs(find_pairs(folder, "train"), size, direction="BtoA", cache=cache)
opened = time.perf_counter()
before = memory()
for _ in range(batches):
    crops = random_crop_flip(torch.randint(len(pairs), (4,)), size, size // 2, flip=True)
    crops.gather(pairs.label_map), crops.gather(pairs.photo)
read = time.perf_counter()
print(json.dumps({"pairs": len(pairs), "open_seconds": opened - opening,
    "start_seconds": opened - start, "read_seconds": read - opened,
    "imported": imported, "opened": before, "read": memory()}))
"""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Measure data sets of several sizes."""

    pairs: tuple[int, ...] = (500, 5000)
    """Numbers of pairs; four fifths of them are the training split that is opened."""
    size: int = 64
    """Height and width of each image."""
    drawn: int = 1000
    """Pairs to draw at most; of more, the others are copies of their files."""
    batches: int = 1000
    """Random batches of 4 pairs to read."""


def main(options: Options) -> None:
    Console().print(table(measure(options)))


def measure(options: Options) -> dict[str, Any]:
    """Tabulate a row of figures for every number of pairs."""
    return {"size": options.size, "rows": [measure_one(options, pairs) for pairs in options.pairs]}


def measure_one(options: Options, pairs: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as temporary:
        folder, cache = Path(temporary) / "data", Path(temporary) / "cache"
        drawn = min(pairs, options.drawn)
        _, drawing = timed(lambda: synthesize(folder, drawn, options.size))
        multiply(folder / "train", pairs / drawn)
        first, second = (start(folder, cache, options) for _ in range(2))
    return {
        "pairs": pairs,
        "draw_ms_a_pair": 1e3 * drawing / drawn,
        "import_ms_a_pair": 1e3 * first["open_seconds"] / first["pairs"],
        "first": first,
        "second": second,
    }


def multiply(folder: Path, times: float) -> None:
    """Copy the files of a folder, one after the other, until there are so many times as many."""
    files = sorted(folder.iterdir())
    for number in range(len(files), round(times * len(files))):
        copy, place = divmod(number, len(files))
        path = files[place]
        shutil.copyfile(path, folder / f"{path.stem}-{copy}{path.suffix}")


def start(folder: Path, cache: Path, options: Options) -> dict[str, Any]:
    """Open the data set in a new process; what it says of itself, and its whole time."""
    arguments = map(str, (folder, cache, options.size, options.batches))
    command = [sys.executable, "-c", STARTED, *arguments]
    printed, seconds = timed(lambda: subprocess.check_output(command, text=True))
    return json.loads(printed.splitlines()[-1]) | {"process_seconds": seconds}


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    begin = time.perf_counter()
    result = work()
    return result, time.perf_counter() - begin


def table(found: dict[str, Any]) -> Table:
    size = found["size"]
    shown = Table(title=f"data sets of {size}x{size} pairs, decoded once, then memory-mapped")
    columns = {
        "pairs": lambda row: f"{row['pairs']:,}",
        "drawing, ms a pair": lambda row: f"{row['draw_ms_a_pair']:.1f}",
        "import, ms a pair": lambda row: f"{row['import_ms_a_pair']:.2f}",
        "second start, s": lambda row: f"{row['second']['start_seconds']:.2f}",
        "of it opening": lambda row: f"{row['second']['open_seconds']:.2f}",
        "own memory, MiB": lambda row: own(row["second"]["opened"]),
        "after the batches": lambda row: own(row["second"]["read"]),
        "mapped, MiB": lambda row: f"{row['second']['read']['shared'] / 2**20:.0f}",
    }
    for column in columns:
        shown.add_column(column, justify="right")
    for row in found["rows"]:
        shown.add_row(*(cell(row) for cell in columns.values()))
    return shown


def own(memory: dict[str, int]) -> str:
    """Return what a process holds alone, in MiB: resident, less files' and shared pages."""
    return f"{(memory['resident'] - memory['shared']) / 2**20:.0f}"


if __name__ == "__main__":
    main(tyro.cli(Options))
