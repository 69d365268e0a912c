"""Photos as files that visitors can save: PNG, training pairs, and zips of many."""

import zipfile
from collections.abc import Container, Sequence
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from uuid import uuid4

import numpy as np
from gradio.utils import get_upload_folder
from PIL import Image

from pix2pix_ilm.data import Direction
from pix2pix_ilm.web.uploads import RGBImage

MAX_NAME = 50  # characters of a model's name in a file's: those may have 255 bytes


@dataclass(frozen=True, kw_only=True)
class Downloads:
    """A label map and its photos as PNG files."""

    label_map: Path
    photos: tuple[Path, ...]
    pair: Path
    """The first photo and the label map side by side, as its model's data set has them."""


def write_downloads(
    given: RGBImage,
    seen: RGBImage,
    photos: Sequence[tuple[str, RGBImage]],
    direction: Direction,
) -> Downloads:
    """Write a label map, its photos, and the pair that can be trained on.

    Args:
        given: the label map as the visitor made it.
        seen: the label map as the model saw it, of the first photo's size.
        photos: with the name of the model that made each.
        direction: of the first one's data set; BtoA: the label map is on the right of a pair.
    """
    folder, stems = new_folder(), list[str]()
    for name, _ in photos:
        stems.append(free_name(f"photo-{name[:MAX_NAME]}", stems))
    downloads = Downloads(
        label_map=save_label_map(given),
        photos=tuple(folder / f"{stem}.png" for stem in stems),
        pair=folder / "pair.png",
    )
    for path, (_, photo) in zip(downloads.photos, photos, strict=True):
        write_png(path, photo)
    sides = [photos[0][1], seen]
    if direction == "AtoB":
        sides.reverse()
    write_png(downloads.pair, np.hstack(sides))
    return downloads


def save_label_map(label_map: RGBImage) -> Path:
    """Write a label map into a file that the page may show."""
    path = new_folder() / "label_map.png"
    write_png(path, label_map)
    return path


def new_folder() -> Path:
    """Make a folder for files that the page may show; the server deletes them after a while."""
    folder = Path(get_upload_folder()) / uuid4().hex
    folder.mkdir(parents=True)
    return folder


def write_png(path: Path, image: RGBImage) -> None:
    """Write a PNG, fast: it is read once and deleted soon."""
    Image.fromarray(image).save(path, compress_level=1)


def free_name(stem: str, taken: Container[str]) -> str:
    """Return the name itself, or with a number where another file of a batch has it already."""
    names = chain([stem], (f"{stem}-{number}" for number in count(2)))
    return next(name for name in names if name not in taken)


def write_zip(files: Sequence[Path]) -> Path:
    """Write one zip of a batch's photos."""
    archive = new_folder() / "photos.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as target:  # PNG is compressed already
        for file in files:
            target.write(file, file.name)
    return archive
