"""What the page does with a label map: translate, compare, measure, keep as files."""

import time
import zipfile
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from uuid import uuid4

import numpy as np
import torch
from gradio.utils import get_upload_folder
from jaxtyping import UInt8
from PIL import Image

from pix2pix_ilm.data.facades import PALETTE
from pix2pix_ilm.data.synthetic.dataset import draw_labels
from pix2pix_ilm.data.synthetic.layout import lay_out
from pix2pix_ilm.errors import UserError
from pix2pix_ilm.evaluation.baselines import nearest_class
from pix2pix_ilm.web.canvas import CANVAS_SIZE
from pix2pix_ilm.web.shelf import Model, Shelf
from pix2pix_ilm.web.uploads import Picture, read_label_map

LARGEST_SIDE = 1024
MOST_FILES = 100  # in a batch
LONGEST_NAME = 50  # characters of a model's name in a file's: those may have 255 bytes


@dataclass(frozen=True, kw_only=True)
class Photo:
    """What one model made of a label map."""

    model: Model
    label: Picture
    """The label map as the model saw it."""
    image: Picture
    seconds: float
    """Time that the translation took."""


@dataclass(frozen=True, kw_only=True)
class Files:
    """A label map and its photos as PNG files."""

    label: Path
    photos: tuple[Path, ...]
    pair: Path
    """The first photo and the label map side by side, as its model's data set has them."""


def translate(
    shelf: Shelf,
    label: Picture,
    name: str | None,
    *,
    painted: bool = False,
    sample: int | None = None,
) -> Photo:
    """Translate a label map with the model of this name.

    Args:
        shelf: the models.
        label: any size up to 1024x1024; see ``fit``.
        name: one of the shelf; None for its default.
        painted: the label map was painted here, so that it may take the size that the model was
            trained on, at which its photos are best.
        sample: number of a variation, drawn with dropout; None for the photo without dropout.

    Raises:
        UserError: no such model, or it cannot be loaded.
    """
    model = shelf.get(name)
    translator = shelf.translator(model)
    if painted:
        label = to_size(label, model.config.image_size, model.config.image_size)
    seen = to_channels(label, model.config.generator.in_channels)
    with shelf.at_work:
        start = time.perf_counter()
        image = translator([seen], sample=sample)[0]
        seconds = time.perf_counter() - start
    return Photo(model=model, label=label, image=as_rgb(image), seconds=seconds)


def draw_facade(seed: int | None = None) -> Picture:
    """The label map of a drawn facade; without a seed, of a new one every time."""
    return draw_labels(lay_out(np.random.default_rng(seed)), CANVAS_SIZE)


def snap(label: Picture) -> tuple[Picture, float]:
    """Every pixel in the nearest of the twelve colours, and the share of those that changed."""
    distance, classes = nearest_class(torch.from_numpy(np.array(label)))
    palette = np.array(list(PALETTE.values()), np.uint8)
    return palette[classes.numpy()], (distance > 0).double().mean().item()


def fit(label: Picture) -> Picture:
    """Reduce a label map to at most 1024x1024, without blending colours."""
    height, width = label.shape[:2]
    scale = LARGEST_SIDE / max(height, width)
    if scale >= 1:
        return label
    return to_size(label, max(1, round(width * scale)), max(1, round(height * scale)))


def to_size(label: Picture, width: int, height: int) -> Picture:
    """Resize by the nearest pixel, which invents no colours."""
    if label.shape[:2] == (height, width):
        return label
    return np.asarray(Image.fromarray(label).resize((width, height), Image.Resampling.NEAREST))


def to_channels(label: Picture, channels: int) -> UInt8[np.ndarray, "h w c"]:
    """The label map with the channels that a generator expects: colour, or grey."""
    if channels == 3:
        return label
    return np.asarray(Image.fromarray(label).convert("L"))[..., None]


def as_rgb(image: UInt8[np.ndarray, "h w c"]) -> Picture:
    return np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image


def new_folder() -> Path:
    """A folder for files that the page may show; the server deletes them after a while."""
    folder = Path(get_upload_folder()) / uuid4().hex
    folder.mkdir(parents=True)
    return folder


def save(path: Path, image: Picture) -> None:
    """Write a PNG, fast: it is read once and deleted soon."""
    Image.fromarray(image).save(path, compress_level=1)


def keep(photos: Sequence[Photo]) -> Files:
    """Write the label map, the photos, and the pair that can be trained on."""
    first, names = photos[0], list[str]()
    folder = new_folder()
    for photo in photos:
        names.append(free_name(f"photo-{photo.model.name[:LONGEST_NAME]}", names))
    files = Files(
        label=folder / "label_map.png",
        photos=tuple(folder / f"{name}.png" for name in names),
        pair=folder / "pair.png",
    )
    save(files.label, first.label)
    for path, photo in zip(files.photos, photos, strict=True):
        save(path, photo.image)
    sides = [first.image, first.label]  # BtoA: the label map is on the right
    if first.model.config.direction == "AtoB":
        sides.reverse()
    save(files.pair, np.hstack(sides))
    return files


def check_batch(paths: Sequence[str]) -> None:
    """Refuse a batch of no files, or too many, with a UserError."""
    if not paths:
        raise UserError("Choose some label maps first.")
    if len(paths) > MOST_FILES:
        raise UserError(f"These are {len(paths)} files; at most {MOST_FILES} go at once.")


def translate_batch(
    shelf: Shelf, paths: Iterable[str], name: str | None
) -> tuple[list[Path], list[str]]:
    """Write the photo of every uploaded label map.

    Returns:
        The photos' files, and a sentence for each upload that was skipped because it is bad.

    Raises:
        UserError: all of them are bad.
    """
    folder, photos, problems = new_folder(), dict[str, Path](), list[str]()
    for path in paths:
        try:
            photo = translate(shelf, fit(read_label_map(path)), name)
        except UserError as error:
            problems.append(str(error))
            continue
        stem = free_name(Path(path).stem, photos)
        photos[stem] = folder / f"{stem}.png"
        save(photos[stem], photo.image)
    if not photos:
        raise UserError(" ".join(problems))
    return list(photos.values()), problems


def free_name(stem: str, taken: Container[str]) -> str:
    """The name itself, or with a number where another file of a batch has it already."""
    names = chain([stem], (f"{stem}-{number}" for number in count(2)))
    return next(name for name in names if name not in taken)


def pack(files: Sequence[Path]) -> Path:
    """One zip of a batch's photos."""
    archive = new_folder() / "photos.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as target:  # PNG is compressed already
        for file in files:
            target.write(file, file.name)
    return archive
