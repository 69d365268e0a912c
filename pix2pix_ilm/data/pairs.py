"""Files of a paired data set: where they lie, and what is wrong with them.

Two ways to store pairs are understood:

- side by side: ``root/train/1.jpg`` holds A on its left half and B on its right;
- two folders, matched by file name: ``root/A/train/1.png`` with ``root/B/train/1.jpg``,
  ``root/train/A`` with ``root/train/B``, or ``root/trainA`` (``train_A``) with ``root/trainB``.

Folders may have the other names of ``SPLIT_NAMES`` and ``SIDE_NAMES``, in upper or lower case.

Without split folders (side-by-side images directly in ``root``, or ``root/A`` with ``root/B``),
every tenth pair is held out as both ``val`` and ``test``.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from pix2pix_ilm.data.images import (
    SUFFIXES,
    Channels,
    as_array,
    describe_kinds,
    list_images,
    read_as,
    read_image,
    to_eight_bits,
)
from pix2pix_ilm.data.palette import Palette
from pix2pix_ilm.errors import UserError
from pix2pix_ilm.files import is_folder, list_folder, list_problems

SPLIT_NAMES = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
SPLITS = tuple(SPLIT_NAMES)
SIDE_NAMES = (("A", "label"), ("B", "img"))
"""Folders of A and of B; ``train_label`` with ``train_img`` is how pix2pixHD has them."""
LAYOUTS = "train, val and test, A and B, or trainA and trainB"
UNSPLIT = "."
HOLD_OUT_EVERY = 10
SPLIT_PATTERN = re.compile(r"(?!/|.*\.\.)(?P<folder>[^\[\]]+)(\[(?P<start>\d*):(?P<stop>\d*)\])?")


@dataclass(frozen=True)
class Pair:
    """The one file (side by side) or the two files (A, B) that hold a pair."""

    name: str
    files: tuple[Path, ...]

    def read(self, channels: tuple[Channels, Channels] = (3, 3)) -> tuple[np.ndarray, np.ndarray]:
        """Decode A and B, each (H, W, channels) uint8; (H, W, 1) where classes are read.

        Raises:
            UserError: unreadable file, values of no class, odd width of a side-by-side image, or
                unequal sizes.
        """
        if len(self.files) == 1:
            return read_halves(self.files[0], channels)
        a, b = (read_image(path, c) for path, c in zip(self.files, channels, strict=True))
        if a.shape[:2] != b.shape[:2]:
            raise UserError(
                f"{self.files[0]}: A is {a.shape[1]}x{a.shape[0]} but B ({self.files[1]}) is "
                f"{b.shape[1]}x{b.shape[0]}"
            )
        return a, b


def read_halves(path: Path, channels: tuple[Channels, Channels]) -> tuple[np.ndarray, np.ndarray]:
    """Read the left and right half of a side-by-side image, as A and B."""
    return read_as(path, lambda image: split_halves(image, channels))


def split_halves(
    image: Image.Image, channels: tuple[Channels, Channels]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the left and right half of a side-by-side image; UserError if its width is odd."""
    eight_bits = to_eight_bits(image)
    wholes = [image if isinstance(kind, Palette) else eight_bits for kind in channels]
    a, b = (as_array(crop_half(wholes[side], side), channels[side]) for side in (0, 1))
    return a, b


def crop_half(image: Image.Image, side: int) -> Image.Image:
    """Return the left (0) or right (1) half of an image; UserError if its width is odd."""
    width, height = image.size
    if width % 2:
        raise UserError(f"a side-by-side image must have an even width, found {width}")
    return image.crop((side * width // 2, 0, (side + 1) * width // 2, height))


def find_pairs(root: Path, split: str) -> list[Pair]:
    """Find the pairs of one split, in natural order of their names.

    Args:
        root: folder of the data set, laid out in one of the ways that this module lists.
        split: a split's name, or a slice of one: ``train``, ``train[:200]``, ``train[200:]``.

    Raises:
        UserError: no such folder or split, no pairs in it, or A and B that do not match.
    """
    match = SPLIT_PATTERN.fullmatch(split)
    if match is None:
        raise UserError(f"split {split!r}: expected a name or a slice of one, such as train[:200]")
    start, stop = (int(match[name]) if match[name] else None for name in ("start", "stop"))
    pairs = find_whole_split(root, match["folder"])
    if not pairs[start:stop]:
        raise UserError(f"{root}: split {split!r} is empty; {match['folder']} has {len(pairs)}")
    return pairs[start:stop]


def find_whole_split(root: Path, split: str) -> list[Pair]:
    """Find all pairs of a split by name; errors as in ``find_pairs``."""
    if not is_folder(root):
        raise UserError(f"{root}: no such folder; expected a folder of image pairs")
    folders = split_folders(root, split)
    if folders is not None:
        return pairs_in(folders)
    usual, found = usual_split(split), list_splits(root)
    if found or usual is None:
        folders = describe_kinds(filter(is_folder, list_folder(root)), root) or "no folders"
        raise UserError(
            f"{root}: no split {split!r}; splits found: {', '.join(found) or 'none'}, in {folders}"
        )
    folders = split_folders(root, UNSPLIT) or (root,)
    if folders == (root,) and not list_images(root):
        raise no_images(root, f", or the folders {LAYOUTS}")
    pairs = pairs_in(folders)
    if usual == "train" and len(pairs) < 2:
        raise UserError(
            f"{root}: expected at least 2 pairs where there are no folders train and val, since "
            f"some are held out; found {len(pairs)}"
        )
    return hold_out(pairs, usual)


def usual_split(split: str) -> str | None:
    """Return which of train, val and test a name stands for, if any."""
    names = SPLIT_NAMES.items()
    return next((usual for usual, known in names if split.casefold() in known), None)


def list_splits(root: Path) -> list[str]:
    """List which of train, val and test the folder has."""
    return [split for split in SPLITS if split_folders(root, split)]


def validation_split(root: Path) -> str:
    """Return the split to look at while training: val, else test, else train itself."""
    splits = list_splits(root)
    return next((split for split in ("val", "test", "train") if split in splits), "val")


def split_folders(root: Path, split: str) -> tuple[Path, ...] | None:
    """Return the folder (side by side) or two (A, B) of a split; None where there is none.

    Raises:
        UserError: several folders could be meant.
    """
    usual = usual_split(split)
    names = SPLIT_NAMES[usual] if usual else (split,)
    whole = subfolder(root, names)
    starts = [f"{name}{joint}" for name in names for joint in ("", "_")]
    layouts = [
        [subfolder(subfolder(root, side), names) for side in SIDE_NAMES],
        [subfolder(whole, side) for side in SIDE_NAMES],
        [
            subfolder(root, [start + name for start in starts for name in side])
            for side in SIDE_NAMES
        ],
    ]
    found = list(dict.fromkeys(tuple(layout) for layout in layouts if any(map(is_folder, layout))))
    if is_folder(whole) and not any(folders[0].parent == whole for folders in found):
        found.append((whole,))
    if len(found) > 1:
        places = " or ".join(name_folders(root, folders) for folders in found)
        raise UserError(f"{root}: split {split!r} could be {places}; keep one of them")
    return found[0] if found else None


def name_folders(root: Path, folders: tuple[Path, ...]) -> str:
    """Name a split's folders as seen from the data set's: "A in trainA, B in trainB"."""
    a, *b = (str(folder.relative_to(root)) for folder in folders)
    if b:
        return f"A in {a}, B in {b[0]}"
    return "side by side" if a == "." else f"side by side in {a}"


def subfolder(parent: Path, names: Sequence[str]) -> Path:
    """Return the folder that has one of these names in any case, or the first name's place.

    Raises:
        UserError: several folders have one of the names.
    """
    wanted = {unify(name).casefold() for name in names}
    entries = list_folder(parent) if is_folder(parent) else []
    found = [path for path in entries if unify(path.name).casefold() in wanted and is_folder(path)]
    if len(found) > 1:
        several = ", ".join(sorted(path.name for path in found))
        raise UserError(f"{parent}: expected one of the folders {several}; rename the others")
    return found[0] if found else parent / names[0]


def unify(name: str) -> str:
    """Return a name as NFC; macOS's archives have NFD, accents as characters of their own."""
    return unicodedata.normalize("NFC", name)


def pairs_in(folders: tuple[Path, ...]) -> list[Pair]:
    """Match the files of one folder, or of two, by name without suffix."""
    for folder, other in zip(folders, reversed(folders), strict=True):
        if not is_folder(folder):
            raise UserError(f"{folder}: no such folder; expected the partners of {other}")
    a, *others = map(by_stem, folders)
    b = others[0] if others else a  # side by side
    if not a and not b:
        raise no_images(folders[0])
    unpaired = [a[name] for name in a if name not in b] + [b[name] for name in b if name not in a]
    if unpaired:
        raise UserError(
            list_problems(f"{folders[0]} and {folders[1]}: images without a partner", unpaired)
        )
    return [Pair(a[name].stem, (a[name], b[name])[: len(folders)]) for name in a]


def no_images(folder: Path, otherwise: str = "") -> UserError:
    """Return the error for a folder without images, which says what is there instead."""
    found = describe_kinds(list_folder(folder), folder) or "an empty folder"
    return UserError(
        f"{folder}: no images found; expected {', '.join(SUFFIXES)}{otherwise}; found {found}"
    )


def by_stem(folder: Path) -> dict[str, Path]:
    """Return a folder's images by name without suffix (as NFC), in natural order."""
    images = list_images(folder)
    files = {unify(path.stem): path for path in images}
    same = [path for path in images if files[unify(path.stem)] != path]
    if same:
        raise UserError(list_problems(f"{folder}: names that differ only in their suffix", same))
    return files


def hold_out(pairs: list[Pair], split: str) -> list[Pair]:
    """Divide pairs that came without splits: every tenth (at least the last) is not trained on."""
    held_out = pairs[HOLD_OUT_EVERY - 1 :: HOLD_OUT_EVERY] or pairs[-1:]
    if split != "train":
        return held_out
    names = {pair.name for pair in held_out}
    return [pair for pair in pairs if pair.name not in names]
