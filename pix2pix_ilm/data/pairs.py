"""Where the files of a paired data set lie, and what is wrong with them.

Two ways to store pairs are understood:

- side by side: ``root/train/1.jpg`` holds A on its left half and B on its right;
- two folders, matched by file name: ``root/A/train/1.png`` with ``root/B/train/1.jpg``,
  ``root/train/A`` with ``root/train/B``, or ``root/trainA`` with ``root/trainB``.

Without split folders (side-by-side images directly in ``root``, or ``root/A`` with ``root/B``),
every tenth pair is held out as both ``val`` and ``test``.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from pix2pix_ilm.data.images import SUFFIXES, as_array, list_images, open_image, read_image
from pix2pix_ilm.errors import UserError
from pix2pix_ilm.files import is_folder

Direction = Literal["AtoB", "BtoA"]
SPLITS = ("train", "val", "test")
UNSPLIT = "."
HOLD_OUT_EVERY = 10
LISTED_PROBLEMS = 10
SPLIT_PATTERN = re.compile(r"(?P<folder>[^\[\]]+)(\[(?P<start>\d*):(?P<stop>\d*)\])?")


@dataclass(frozen=True)
class Pair:
    """The one file (side by side) or the two files (A, B) that hold a pair."""

    name: str
    files: tuple[Path, ...]

    def read(self, channels: tuple[int, int] = (3, 3)) -> tuple[np.ndarray, np.ndarray]:
        """Decode A and B, each (H, W, channels) uint8.

        Raises:
            UserError: unreadable file, odd width of a side-by-side image, or unequal sizes.
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


def read_halves(path: Path, channels: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Left and right half of a side-by-side image, as A and B."""
    both = open_image(path)
    width, height = both.size
    if width % 2:
        raise UserError(f"{path}: a side-by-side image must have an even width, found {width}")
    left, right = both.crop((0, 0, width // 2, height)), both.crop((width // 2, 0, width, height))
    return as_array(left, channels[0]), as_array(right, channels[1])


def find_pairs(root: Path, split: str) -> list[Pair]:
    """The pairs of one split, in natural order of their names.

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
    """All pairs of a split by name; errors as in ``find_pairs``."""
    if not is_folder(root):
        raise UserError(f"{root}: no such folder; expected a folder of image pairs")
    folders = split_folders(root, split)
    if folders is None and split in SPLITS and not list_splits(root):
        return hold_out(pairs_in(split_folders(root, UNSPLIT) or (root,)), split)
    if folders is None:
        found = ", ".join(list_splits(root)) or "none"
        raise UserError(f"{root}: no split {split!r}; splits found: {found}")
    return pairs_in(folders)


def list_splits(root: Path) -> list[str]:
    """Which of train, val and test the folder has."""
    return [split for split in SPLITS if split_folders(root, split)]


def validation_split(root: Path) -> str:
    """The split to look at while training: val, else test, else train itself."""
    splits = list_splits(root)
    return next((split for split in ("val", "test", "train") if split in splits), "val")


def split_folders(root: Path, split: str) -> tuple[Path, ...] | None:
    """The folder (side by side) or two folders (A, B) of a split; None where there is none."""
    for a, b in (
        (root / "A" / split, root / "B" / split),
        (root / split / "A", root / split / "B"),
        (root / f"{split}A", root / f"{split}B"),
    ):
        if is_folder(a) or is_folder(b):
            return a, b
    return (root / split,) if is_folder(root / split) else None


def pairs_in(folders: tuple[Path, ...]) -> list[Pair]:
    """Match the files of one folder, or of two, by name without suffix."""
    for folder in folders:
        if not is_folder(folder):
            raise UserError(f"{folder}: no such folder; expected the partners of the other folder")
    a, *others = map(by_stem, folders)
    b = others[0] if others else a  # side by side
    if not a and not b:
        raise UserError(f"{folders[0]}: no images found; expected {', '.join(SUFFIXES)}")
    unpaired = [a[name] for name in a if name not in b] + [b[name] for name in b if name not in a]
    if unpaired:
        raise UserError(
            listing(f"{folders[0]} and {folders[1]}: images without a partner", unpaired)
        )
    return [Pair(name, (a[name], b[name])[: len(folders)]) for name in a]


def by_stem(folder: Path) -> dict[str, Path]:
    """The images of a folder by name without suffix, in natural order."""
    images = list_images(folder)
    files = {path.stem: path for path in images}
    same = [path for path in images if files[path.stem] != path]
    if same:
        raise UserError(listing(f"{folder}: names that differ only in their suffix", same))
    return files


def hold_out(pairs: list[Pair], split: str) -> list[Pair]:
    """Divide pairs that came without splits: every tenth (at least the last) is not trained on."""
    held_out = pairs[HOLD_OUT_EVERY - 1 :: HOLD_OUT_EVERY] or pairs[-1:]
    if split != "train":
        return held_out
    names = {pair.name for pair in held_out}
    return [pair for pair in pairs if pair.name not in names]


def listing(headline: str, problems: Iterable[object]) -> str:
    """A headline with the number of problems, the first ten, and how many more there are."""
    problems = [str(problem) for problem in problems]
    shown = problems[:LISTED_PROBLEMS]
    if len(problems) > len(shown):
        shown.append(f"... and {len(problems) - len(shown)} more")
    return "\n  ".join([f"{headline} ({len(problems)}):", *shown])
