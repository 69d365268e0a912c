"""Named classes of label maps: colors <-> indices <-> one-hot.

A class's index is its position in the palette. Label maps with a palette are kept as indices,
(..., h, w, 1) uint8; the networks see them as one channel for each class, 1 where a pixel is of
that class and -1 elsewhere.
"""

from collections import Counter
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
from jaxtyping import Integer, UInt8

from pix2pix_ilm.errors import SettingError, UserError
from pix2pix_ilm.files import read_json

Color = tuple[int, int, int]
MOST_CLASSES = 256  # indices are uint8
CHUNK = 1 << 16  # pixels whose distances from all colors are in memory at once


@dataclass(frozen=True, kw_only=True)
class LabelClass:
    """A class of label maps."""

    name: str
    color: Color
    """RGB, 0 to 255."""

    def __post_init__(self) -> None:
        if not all(0 <= value <= 255 for value in self.color):
            raise SettingError(f"classes.{self.name}.color", "three numbers 0 to 255", self.color)


@dataclass(frozen=True, kw_only=True)
class Palette:
    """The classes of label maps, and the colors that stand for them."""

    classes: tuple[LabelClass, ...]
    """In the order of their indices; 2 to 256, each with a name and a color of its own."""

    def __post_init__(self) -> None:
        if not 2 <= len(self) <= MOST_CLASSES:
            raise SettingError("classes", f"2 to {MOST_CLASSES} of them", len(self))
        for field in ("name", "color"):
            value, count = Counter(getattr(one, field) for one in self.classes).most_common(1)[0]
            if count > 1:
                raise SettingError("classes", f"a {field} of its own for each", value)

    def __len__(self) -> int:
        return len(self.classes)

    @property
    def colors(self) -> UInt8[np.ndarray, "k 3"]:
        """Return the classes' RGB colors."""
        return np.array([one.color for one in self.classes], np.uint8)

    @property
    def content_hash(self) -> str:
        """Return 16 hexadecimal digits that tell palettes of other colors, or order, apart."""
        return sha256(self.colors.tobytes()).hexdigest()[:16]

    @property
    def title(self) -> str:
        """Name the palette: "facades", "cityscapes", or how many classes it has and its hash."""
        for name, known in PALETTES.items():
            if self == known:
                return name
        return f"{len(self)} classes ({self.content_hash[:6]})"

    def check(self, indices: Integer[np.ndarray, "*shape"]) -> None:
        """Refuse numbers that are no class's index; UserError with one that was found."""
        found = find_outside(indices, len(self))
        if found is not None:
            raise UserError(
                f"expected indices of the {len(self)} label classes, 0 to {len(self) - 1}, in a "
                f"single-channel label map, found {found}; give the palette a class for it, or "
                "save the image as RGB if its values are colors"
            )

    def nearest(self, colors: UInt8[np.ndarray, "*shape 3"]) -> UInt8[np.ndarray, "*shape 1"]:
        """Return the index of the class whose color is nearest in RGB, the first of equals.

        The squared distance less the pixel's own square, |c|^2 - 2 x.c, orders classes as the
        distance does. Its terms are whole numbers below 2^24, so that no float32 rounds them.
        """
        own = self.colors.astype(np.float32)
        squares = (own * own).sum(axis=1)
        flat = colors.reshape(-1, 3)
        indices = np.empty(len(flat), np.uint8)
        for start in range(0, len(flat), CHUNK):
            chunk = flat[start : start + CHUNK].astype(np.float32)
            indices[start : start + CHUNK] = (squares - 2 * chunk @ own.T).argmin(axis=1)
        return indices.reshape(*colors.shape[:-1], 1)

    def paint(self, indices: UInt8[np.ndarray, "*shape 1"]) -> UInt8[np.ndarray, "*shape 3"]:
        """Return the classes' colors."""
        return self.colors[indices[..., 0]]


FACADES_COLORS: dict[str, Color] = {
    "background": (0, 0, 223),
    "facade": (0, 48, 255),
    "window": (0, 128, 255),
    "door": (0, 207, 255),
    "cornice": (32, 255, 223),
    "sill": (112, 255, 143),
    "balcony": (191, 255, 64),
    "blind": (255, 239, 0),
    "deco": (255, 159, 0),
    "molding": (255, 80, 0),
    "pillar": (255, 0, 0),
    "shop": (175, 0, 0),
}
"""CMP Facades' twelve classes and their RGB colors in flat regions of the label maps."""
FACADES_PALETTE = Palette(
    classes=tuple(LabelClass(name=name, color=color) for name, color in FACADES_COLORS.items())
)
CITYSCAPES_PALETTE = Palette(
    classes=tuple(
        LabelClass(name=name, color=color)
        for name, color in {
            "unlabeled": (0, 0, 0),
            "dynamic": (111, 74, 0),
            "ground": (81, 0, 81),
            "road": (128, 64, 128),
            "sidewalk": (244, 35, 232),
            "parking": (250, 170, 160),
            "rail track": (230, 150, 140),
            "building": (70, 70, 70),
            "wall": (102, 102, 156),
            "fence": (190, 153, 153),
            "guard rail": (180, 165, 180),
            "bridge": (150, 100, 100),
            "tunnel": (150, 120, 90),
            "pole": (153, 153, 153),
            "traffic light": (250, 170, 30),
            "traffic sign": (220, 220, 0),
            "vegetation": (107, 142, 35),
            "terrain": (152, 251, 152),
            "sky": (70, 130, 180),
            "person": (220, 20, 60),
            "rider": (255, 0, 0),
            "car": (0, 0, 142),
            "truck": (0, 0, 70),
            "bus": (0, 60, 100),
            "caravan": (0, 0, 90),
            "trailer": (0, 0, 110),
            "train": (0, 80, 100),
            "motorcycle": (0, 0, 230),
            "bicycle": (119, 11, 32),
        }.items()
    )
)
"""Cityscapes' classes, those of one color as one, and their colors in its label maps."""
PALETTES = {"facades": FACADES_PALETTE, "cityscapes": CITYSCAPES_PALETTE}


def find_outside(numbers: Integer[np.ndarray, "*shape"], count: int) -> int | None:
    """Return one of the numbers that is not from 0 to below the count, if there is any."""
    extremes = (int(numbers.max()), int(numbers.min())) if numbers.size else ()
    return next((number for number in extremes if not 0 <= number < count), None)


def find_palette(name: str) -> Palette | None:
    """Return what a name stands for: one of ``PALETTES``, "none", or a JSON file's path.

    Raises:
        SettingError: no such file.
        UserError: not a palette; names the file and the setting.
    """
    if name in PALETTES or name == "none":
        return PALETTES.get(name)
    if not Path(name).is_file():
        expected = f"{', '.join(PALETTES)}, none, or a JSON file of classes"
        raise SettingError("label_classes", expected, name)
    return read_json(Path(name), Palette)
