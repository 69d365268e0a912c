"""Photos that checkpoints make of label maps no data set has: painted ones, and drawn facades.

Writes a picture of twelve painted maps and everybody's photos of them, and prints the amplitude of
patterns that repeat every few pixels in the flat walls and backgrounds of drawn facades' photos,
beside that of real photos.

    python benchmarks/painted.py facades-ilm facades-in --data data/facades --out painted.jpg
"""

from dataclasses import dataclass
from pathlib import Path

import tyro
from rich.console import Console
from rich.table import Table
from tyro.conf import Positional

from pix2pix_ilm.checkpoints import resolve_checkpoint
from pix2pix_ilm.data import Direction
from pix2pix_ilm.data.cache import load_pairs
from pix2pix_ilm.data.datasets import data_folder
from pix2pix_ilm.data.pairs import find_pairs
from pix2pix_ilm.data.synthetic.dataset import draw_pair
from pix2pix_ilm.files import write_atomically
from pix2pix_ilm.reproduction.painted_maps import painted_maps
from pix2pix_ilm.reproduction.summary import (
    FLAT_CLASSES,
    JPEG_QUALITY,
    PERIODS,
    Artifacts,
    Images,
    artifacts,
    contact_sheet,
    flat_regions,
    stack,
    translate,
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Look at photos of painted and drawn label maps."""

    checkpoints: Positional[tuple[str, ...]]
    """Folders, names in checkpoints/, or models of the package; of colors of CMP Facades."""
    data: str | None = None
    """Pairs whose test photos' patterns stand beside, as of ``evaluate``; unset: none."""
    direction: Direction = "BtoA"
    """Of these pairs."""
    drawn: int = 50
    """Facades that are drawn to measure patterns in."""
    size: int = 256
    """Height and width."""
    out: Path = Path("painted.jpg")
    """The picture."""


def main(options: Options) -> None:
    painted = list(painted_maps(options.size).values())
    drawn = [draw_pair(seed, options.size)[0] for seed in range(options.drawn)]
    rows: dict[str, Images] = {"label maps": painted}
    patterns: dict[str, Artifacts] = {}
    if options.data is not None:
        test = find_pairs(data_folder(options.data, options.size), "test")
        pairs = load_pairs(test, options.size, direction=options.direction)
        patterns["photos of test"] = measure(
            list(pairs.photo.numpy()), list(pairs.label_map.numpy())
        )
    for name in options.checkpoints:
        photos = translate(resolve_checkpoint(name), [*painted, *drawn])
        rows[name] = photos[: len(painted)]
        patterns[name] = measure(photos[len(painted) :], drawn)
    picture = contact_sheet(rows)
    write_atomically(options.out, lambda file: picture.save(file, "JPEG", quality=JPEG_QUALITY))
    Console().print(table(patterns))


def measure(photos: Images, label_maps: Images) -> Artifacts:
    return artifacts(stack(photos), flat_regions(label_maps))


def table(patterns: dict[str, Artifacts]) -> Table:
    shown = Table(title=f"gray levels of a pattern every {', '.join(map(str, PERIODS))} pixels")
    for column in ("", *FLAT_CLASSES):
        shown.add_column(column)
    for name, found in patterns.items():
        shown.add_row(
            name,
            *(
                " / ".join("-" if value is None else f"{value:.2f}" for value in found[region])
                for region in FLAT_CLASSES
            ),
        )
    return shown


if __name__ == "__main__":
    main(tyro.cli(Options))
