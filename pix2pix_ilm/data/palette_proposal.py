"""A palette for label maps that come without one, from the colors that are in them."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int, Int64, UInt8
from PIL import Image, ImageFilter

from pix2pix_ilm.data import Direction
from pix2pix_ilm.data.images import as_array, index_numbers, read_as
from pix2pix_ilm.data.pairs import Pair, crop_half, find_pairs
from pix2pix_ilm.data.palette import MOST_CLASSES, Color, LabelClass, Palette, find_outside
from pix2pix_ilm.data.parallel import all_or_listing
from pix2pix_ilm.errors import UserError

FLAT = 12  # levels that compression leaves between neighbors of one class
RADIUS = 40  # largest distance in RGB of a flat pixel from its class's color
LEAST_SHARE = 2e-4  # of the flat pixels; rarer colors are of edges
NEAR, LEAST_NEAR = 16, 0.7  # so near to a class's color are so many flat pixels, but not in photos


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Frequencies of numbers: of indices, or of colors as 0xRRGGBB."""

    numbers: Int64[np.ndarray, " n"]
    counts: Int64[np.ndarray, " n"]

    @classmethod
    def of(cls, values: Int64[np.ndarray, "*shape"]) -> "Counts":
        """Count every value."""
        numbers, counts = np.unique(values, return_counts=True)
        return cls(numbers=numbers, counts=counts)

    @classmethod
    def sum(cls, parts: list["Counts"]) -> "Counts":
        """Add up the counts of several images."""
        every = np.concatenate([part.numbers for part in parts])
        numbers, places = np.unique(every, return_inverse=True)
        counts = np.zeros(len(numbers), np.int64)
        np.add.at(counts, places, np.concatenate([part.counts for part in parts]))
        return cls(numbers=numbers, counts=counts)

    @property
    def total(self) -> int:
        """Return how many values were counted."""
        return int(self.counts.sum())

    @property
    def colors(self) -> Int64[np.ndarray, "n 3"]:
        """Return the numbers as RGB colors."""
        return np.stack([self.numbers >> 16, self.numbers >> 8 & 255, self.numbers & 255], axis=1)


@dataclass(frozen=True, kw_only=True)
class Content:
    """Content of one label map."""

    is_index_map: bool
    every: Counts
    """Of all pixels."""
    flat: Counts
    """Of those in regions of one color."""


def propose_palette(
    root: Path, split: str = "train", direction: Direction = "BtoA"
) -> tuple[Palette, list[float]]:
    """Return a palette for a folder's label maps, and the share of their pixels in each class.

    Label maps of at most 256 colors have those as classes. Where compression or smoothing made
    more, classes are those of flat regions, so that a class of thin lines alone is missed, and
    pixels belong to the nearest. Both are ordered by their shares. Index maps have a class for
    every number up to the largest, in the colors of Pascal VOC.

    Args:
        root: folder of pairs.
        split: a split, or a slice of one.
        direction: AtoB if A is the label map, BtoA if B is.

    Raises:
        UserError: no pairs, unreadable files, or nothing in them that looks like classes.
    """
    pairs = find_pairs(root, split)
    side = 0 if direction == "AtoB" else 1
    found = all_or_listing(lambda pair: read_content(pair, side), pairs, "Reading label maps")
    kinds = [content.is_index_map for content in found]
    if len(set(kinds)) > 1:
        odd = label_file(pairs[kinds.index(not kinds[0])], side)
        raise UserError(f"{odd}: expected only index maps or only colored label maps, found both")
    every = Counts.sum([content.every for content in found])
    if kinds[0]:
        colors = [voc_color(index) for index in range(every.numbers.max() + 1)]
    elif len(every.numbers) <= MOST_CLASSES:
        colors = list(map(as_color, every.colors))
    else:
        colors = find_peaks(Counts.sum([content.flat for content in found]))
    if not 2 <= len(colors) <= MOST_CLASSES:
        raise UserError(
            f"{root}: expected label maps of 2 to {MOST_CLASSES} classes, found "
            f"{len(colors) or 'colors as of photos'}; is --direction {direction} right?"
        )
    if kinds[0]:
        return named(colors), (np.bincount(every.numbers, every.counts) / every.total).tolist()
    indices = named(colors).nearest(every.colors.astype(np.uint8))[..., 0]
    shares = np.bincount(indices, every.counts, minlength=len(colors)) / every.total
    order = np.argsort(-shares, kind="stable")
    return named([colors[place] for place in order]), shares[order].tolist()


def named(colors: Sequence[Color]) -> Palette:
    """Return a palette whose classes have numbers for names."""
    classes = (LabelClass(name=f"class {i}", color=color) for i, color in enumerate(colors))
    return Palette(classes=tuple(classes))


def to_json(palette: Palette) -> str:
    """Write a palette as a file for ``--label-classes``, a class a line."""
    lines = ",\n".join(f"  {json.dumps(asdict(one))}" for one in palette.classes)
    return f'{{"classes": [\n{lines}\n]}}\n'


def read_content(pair: Pair, side: int) -> Content:
    """Return what is in the label map of a pair, which is A (0) or B (1)."""

    def count(image: Image.Image) -> Content:
        label_map = image if len(pair.files) > 1 else crop_half(image, side)
        numbers = index_numbers(label_map)
        if numbers is None:
            pixels = as_array(label_map, 3)
            colors = pixels.astype(np.int64) @ np.array([1 << 16, 1 << 8, 1])
            every, flat = Counts.of(colors), Counts.of(colors[is_flat(pixels)])
            return Content(is_index_map=False, every=every, flat=flat)
        outside = find_outside(numbers, MOST_CLASSES)
        if outside is not None:
            raise UserError(
                f"expected indices of classes, 0 to {MOST_CLASSES - 1}, in a single-channel "
                f"label map, found {outside}"
            )
        every = Counts.of(numbers)
        return Content(is_index_map=True, every=every, flat=every)

    return read_as(label_file(pair, side), count)


def label_file(pair: Pair, side: int) -> Path:
    """Return the file that holds a pair's label map, A (0) or B (1)."""
    return pair.files[side if len(pair.files) > 1 else 0]


def is_flat(pixels: UInt8[np.ndarray, "h w 3"]) -> Bool[np.ndarray, "h w"]:
    """Return where a pixel and its eight neighbors have about one color."""
    image = Image.fromarray(pixels)
    highest = np.asarray(image.filter(ImageFilter.MaxFilter(3)))
    lowest = np.asarray(image.filter(ImageFilter.MinFilter(3)))
    return (highest - lowest).max(axis=2) <= FLAT


def find_peaks(flat: Counts) -> list[Color]:
    """Return the most frequent color, the most frequent of those far from it, and so on.

    There are none where colors are spread as in photos.
    """
    colors, left = flat.colors, flat.counts.copy()
    peaks, near = [], 0
    while left.any():
        peak = colors[left.argmax()]
        distance = np.linalg.norm(colors - peak, axis=1)
        share = left[distance < RADIUS].sum()
        if share >= LEAST_SHARE * flat.total:
            peaks.append(as_color(peak))
            near += left[distance < NEAR].sum()
        left[distance < RADIUS] = 0
    return peaks if near >= LEAST_NEAR * flat.total else []


def as_color(values: Int[np.ndarray, "3"]) -> Color:
    """Return three numbers as a color."""
    red, green, blue = map(int, values)
    return red, green, blue


def voc_color(index: int) -> Color:
    """Return a color of Pascal VOC's map, which spreads the bits of the index over R, G and B."""
    red, green, blue = (
        sum((index >> 3 * bit + channel & 1) << 7 - bit for bit in range(3)) for channel in range(3)
    )
    return red, green, blue
