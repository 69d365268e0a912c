"""Drawn facades: pairs of label map and photo in the form of CMP Facades, without its images.

A seed lays out a scene once, as a list of elements in relative coordinates; the scene is drawn
twice. The label map fills each element's box with the colour of its class, the photo paints it.
Four kinds of house tie the material to what the label map shows, so that a network can infer it.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from math import ceil
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, UInt8
from numpy.random import Generator
from PIL import Image, ImageFilter

from pix2pix_ilm.data.facades import PALETTE
from pix2pix_ilm.files import write_atomically

Picture = UInt8[np.ndarray, "size size 3"]
Pixels = Float32[np.ndarray, "height width 3"]
Colour = tuple[float, float, float]


class Box(NamedTuple):
    """A rectangle in fractions of the image's width and height."""

    left: float
    top: float
    right: float
    bottom: float

    def part(self, left: float, top: float, right: float, bottom: float) -> "Box":
        """The rectangle at these fractions of this one; below 0 and above 1 lie outside it."""
        width, height = self.right - self.left, self.bottom - self.top
        x, y = self.left, self.top
        return Box(x + left * width, y + top * height, x + right * width, y + bottom * height)

    def columns(self, count: int) -> list["Box"]:
        return [self.part(i / count, 0, (i + 1) / count, 1) for i in range(count)]

    def pixels(self, size: int) -> tuple[slice, slice]:
        """Rows and columns in an image of this size, at least one of each."""
        left, top = (min(max(round(edge * size), 0), size - 1) for edge in self[:2])
        right, bottom = round(self.right * size), round(self.bottom * size)
        return slice(top, max(bottom, top + 1)), slice(left, max(right, left + 1))


@dataclass(frozen=True)
class Element:
    """One thing in the picture; later elements hide earlier ones."""

    kind: str
    """Its class, a key of `PALETTE`."""
    box: Box
    style: str = ""
    """Its look where a class has several, a key of `_PAINTERS`."""
    tone: float = 0.5
    """Varies its look, 0 to 1."""


@dataclass(frozen=True, kw_only=True)
class House:
    """A kind of house."""

    wall: str
    """Style of its walls."""
    colours: tuple[Colour, ...]
    """Colours its walls may have."""
    trim: Colour
    """Colour of ledges, pillars and ornaments."""
    roof: Colour | None = None
    """Colour of its roof; unset: the roof is flat."""
    bay: tuple[float, float]
    """Width of a bay, least and most, in storey heights."""
    window: tuple[float, float]
    """Width of a window, least and most, in bay widths."""
    balcony: str = "railing"
    """Style of its balconies."""
    weight: float = 0.8
    """How heavy its sills and cornices are."""
    odds: tuple[float, ...]
    """How probably a storey has each of `_FEATURES`."""

    @property
    def chances(self) -> dict[str, float]:
        return dict(zip(_FEATURES, self.odds, strict=True))


_FEATURES = ("sill", "cornice", "molding", "balcony", "blind", "deco", "pillar", "shop", "twin")
"""Classes, and windows in pairs."""


_TENEMENT = House(
    wall="brick",
    colours=((146, 78, 62), (128, 86, 70), (160, 102, 78)),
    trim=(198, 188, 170),
    bay=(0.7, 1.0),
    window=(0.4, 0.55),
    odds=(0.9, 0.5, 0.2, 0.25, 0, 0, 0, 0.8, 0.2),
)
_TOWN_HOUSE = House(
    wall="stucco",
    colours=((224, 202, 152), (220, 178, 144), (204, 208, 178), (228, 216, 194)),
    trim=(242, 238, 226),
    roof=(150, 84, 62),
    bay=(0.85, 1.2),
    window=(0.34, 0.44),
    odds=(0.8, 0.5, 0.4, 0.2, 0.6, 0.2, 0, 0.5, 0),
)
_PALACE = House(
    wall="stone",
    colours=((182, 168, 138), (164, 156, 142), (192, 170, 134)),
    trim=(226, 218, 200),
    roof=(96, 108, 112),
    balcony="balustrade",
    weight=1.4,
    bay=(0.7, 1.0),
    window=(0.4, 0.5),
    odds=(0.7, 0.9, 0.7, 0.3, 0, 0.6, 0.8, 0.3, 0),
)
_FLATS = House(
    wall="render",
    colours=((204, 206, 204), (184, 188, 194), (212, 204, 194)),
    trim=(158, 160, 164),
    bay=(0.9, 1.4),
    window=(0.5, 0.75),
    odds=(0.5, 0, 0, 0.6, 0.2, 0, 0, 0.6, 0.3),
)


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A facade, laid out and coloured."""

    elements: list[Element]
    wall: Box
    """The facade; shadows do not leave it."""
    colours: dict[str, Colour]
    """Colours of this picture, by what they colour."""
    sun: int
    """Where the light comes from: -1 left, 1 right; always from above."""


def draw_pair(seed: int, size: int = 256) -> tuple[Picture, Picture]:
    """Draw one facade.

    Args:
        seed: Chooses the facade, at least 0; its layout is the same in all sizes.
        size: Width and height in pixels, 32 to 1024.

    Returns:
        The label map, whose pixels all have a colour of `PALETTE`, and its photo, both uint8 of
        shape (size, size, 3).

    Raises:
        ValueError: The size is out of range.
    """
    _check_size(size)
    rng = np.random.default_rng(seed)
    scene = _lay_out(rng)
    return _draw_labels(scene, size), _draw_photo(scene, size, rng)


def synthesize(out: Path, count: int, size: int = 256, seed: int = 0) -> None:
    """Write a paired data set: side-by-side PNGs, photo left and label map right.

    Args:
        out: Folder that receives ``train``, ``val`` and ``test`` with 80, 10 and 10 percent of
            the pairs (at least one each), named 1.png, 2.png, ...; files of these names are
            replaced.
        count: Number of pairs, at least 3.
        size: Width and height of each half in pixels, 32 to 1024.
        seed: Chooses the facades, at least 0.

    Raises:
        ValueError: The count is too small or the size out of range.
        UserError: A file cannot be written.
    """
    _check_size(size)
    if count < 3:
        raise ValueError(f"count: expected at least 3 pairs (train, val, test), found {count}")
    held_out = max(count // 10, 1)
    shares = {"train": count - 2 * held_out, "val": held_out, "test": held_out}
    paths = [out / split / f"{i + 1}.png" for split, share in shares.items() for i in range(share)]
    seeds = np.random.SeedSequence(seed).generate_state(count).tolist()
    with ThreadPoolExecutor() as pool:
        list(pool.map(_write_pair, paths, seeds, [size] * count))


def _check_size(size: int) -> None:
    if not 32 <= size <= 1024:
        raise ValueError(f"size: expected 32 to 1024 pixels, found {size}")


def _write_pair(path: Path, seed: int, size: int) -> None:
    labels, photo = draw_pair(seed, size)
    pair = Image.fromarray(np.hstack([photo, labels]))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, partial(pair.save, format="PNG", compress_level=3))


def _lay_out(rng: Generator) -> Scene:
    house = (_TENEMENT, _TOWN_HOUSE, _PALACE, _FLATS)[rng.integers(4)]
    left, right = rng.uniform(0.06, 0.22, 2) * (rng.random(2) < 0.6)
    wall = Box(left, rng.uniform(0.08, 0.28), 1 - right, rng.uniform(0.9, 0.98))
    *floors, ground = _storeys(rng, wall)
    bay = rng.uniform(*house.bay) * (ground.bottom - ground.top)
    bays = max(round((wall.right - wall.left) / bay), 2)
    elements = [
        *_surroundings(rng, house, wall),
        Element("facade", wall, house.wall),
        *_upper_floors(rng, house, floors, bays),
        *_ground_floor(rng, house, ground, bays),
        *_bands(rng, house, [*floors, ground], bays),
    ]
    sun = 2 * int(rng.integers(2)) - 1
    return Scene(elements=elements, wall=wall, colours=_choose_colours(rng, house), sun=sun)


def _storeys(rng: Generator, wall: Box) -> list[Box]:
    """Storeys from the top down, the ground floor a little higher."""
    heights = rng.uniform(0.9, 1.15, rng.integers(3, 6))
    heights[-1] += 0.2
    edges = (np.cumsum([0, *heights]) / heights.sum()).tolist()
    return [wall.part(0, top, 1, bottom) for top, bottom in pairwise(edges)]


def _surroundings(rng: Generator, house: House, wall: Box) -> list[Element]:
    left, right = Box(0, 0, wall.left, wall.bottom), Box(wall.right, 0, 1, wall.bottom)
    elements = [
        Element("background", Box(0, 0, 1, 1), "sky"),
        Element("background", Box(0, wall.bottom, 1, 1), "ground"),
    ]
    for side in (left, right):
        if side.right - side.left > 0.1:
            elements += _neighbour(rng, side.part(0, rng.uniform(0.1, 0.4), 1, 1))
    if house.roof:
        roof = Box(wall.left, wall.top - rng.uniform(0.05, 0.08), wall.right, wall.top)
        columns = roof.columns(int(rng.integers(3, 7)))
        dormers = [column.part(0.4, 0.3, 0.6, 0.95) for column in columns]
        elements += [Element("background", roof, "roof")]
        elements += [Element("window", dormer, tone=rng.random()) for dormer in dormers]
    return elements


def _neighbour(rng: Generator, box: Box) -> list[Element]:
    floors = rng.integers(3, 6)
    windows = [box.part(0.3, (i + 0.3) / floors, 0.7, (i + 0.75) / floors) for i in range(floors)]
    house = Element("background", box, "neighbour")
    return [house, *(Element("window", window, tone=rng.random()) for window in windows)]


def _upper_floors(rng: Generator, house: House, floors: list[Box], bays: int) -> list[Element]:
    half = rng.uniform(*house.window) / 2
    opening = Box(0.5 - half, rng.uniform(0.2, 0.28), 0.5 + half, rng.uniform(0.7, 0.78))
    elements = []
    for floor in floors:
        features = {name for name, chance in house.chances.items() if rng.random() < chance}
        every = rng.integers(1, 4)
        for i, bay in enumerate(floor.columns(bays)):
            plain = (min(i, bays - 1 - i) + 1) % every > 0
            here = features - {"balcony"} if plain else features
            elements += _bay(rng, house, bay, opening, here)
        if "pillar" in features:
            elements += _pillars(floor, bays)
    return elements


def _bay(rng: Generator, house: House, bay: Box, opening: Box, features: set[str]) -> list[Element]:
    """A window, or two, and its ornaments; the opening is in fractions of the bay."""
    window = bay.part(*opening)
    aside = min(0.8 * opening.left / (opening.right - opening.left), 0.5)
    ornaments = {
        "blind": [window.part(-aside, 0, -0.02, 1), window.part(1.02, 0, 1 + aside, 1)],
        "deco": [bay.part(opening.left, 0.84, opening.right, 0.96)],
        "sill": [window.part(-0.3 * aside, 1, 1 + 0.3 * aside, 1 + 0.11 * house.weight)],
        "cornice": [window.part(-0.4 * aside, -0.05 - 0.2 * house.weight, 1 + 0.4 * aside, -0.05)],
        "balcony": [window.part(-0.7 * aside, 0.6, 1 + 0.7 * aside, 1.14)],
    }
    slender = bay.bottom - bay.top > 1.1 * (bay.right - bay.left)
    shape = "arch" if slender and not features & {"cornice", "twin"} else ""
    twins = [half.part(0.03, 0, 0.97, 1) for half in window.columns(2)]
    return [
        *(
            Element("window", box, shape, rng.random())
            for box in (twins if "twin" in features else [window])
        ),
        *(
            Element(kind, box, house.balcony if kind == "balcony" else "", rng.random())
            for kind, boxes in ornaments.items()
            for box in boxes
            if kind in features
        ),
    ]


def _pillars(floor: Box, bays: int) -> list[Element]:
    half = 0.1 / bays
    edges = [i / bays for i in range(bays + 1)]
    boxes = [floor.part(max(x - half, 0), 0.06, min(x + half, 1), 1) for x in edges]
    return [Element("pillar", box) for box in boxes]


def _ground_floor(rng: Generator, house: House, storey: Box, bays: int) -> list[Element]:
    entrance = rng.choice((0, bays // 2, bays - 1))
    column = storey.columns(bays)[entrance]
    half = min(0.26, 0.25 * (column.bottom - column.top) / (column.right - column.left))
    door = Element("door", column.part(0.5 - half, 0.2, 0.5 + half, 1), tone=rng.random())
    runs = {
        storey.part(0, 0, entrance / bays, 1): entrance,
        storey.part((entrance + 1) / bays, 0, 1, 1): bays - 1 - entrance,
    }
    if rng.random() > house.chances["shop"]:
        rooms = [room for run, count in runs.items() for room in run.columns(count)]
        opening = Box(0.28, 0.25, 0.72, 0.74)
        return [door, *(e for room in rooms for e in _bay(rng, house, room, opening, {"sill"}))]
    width, style = rng.integers(1, 4), ("awning", "sign")[rng.integers(2)]
    rooms = [room for run, count in runs.items() for room in run.columns(ceil(count / width))]
    fronts = [room.part(0.06, 0.16, 0.94, 0.97) for room in rooms]
    return [door, *(Element("shop", front, style, rng.random()) for front in fronts)]


def _bands(rng: Generator, house: House, storeys: list[Box], bays: int) -> list[Element]:
    """The eaves, perhaps with a frieze, and bands between storeys."""
    molding, deco = house.chances["molding"], house.chances["deco"]
    thick = rng.uniform(0.12, 0.3)
    eaves = storeys[0].part(-0.015, -0.3 * thick, 1.015, 0.7 * thick)
    frieze = [column.part(0.3, 0.4, 0.7, 0.95) for column in eaves.columns(bays)]
    banded = [storey for storey in storeys[1:] if rng.random() < molding]
    return [
        *([Element("molding", eaves)] if molding else []),
        Element("cornice", eaves.part(-0.01, 0, 1.01, 0.3)),
        *(Element("deco", box, tone=rng.random()) for box in frieze if deco > 0.5),
        *(Element("molding", storey.part(0, -0.04, 1, 0.08)) for storey in banded),
    ]


def _choose_colours(rng: Generator, house: House) -> dict[str, Colour]:
    families = {
        "wall": house.colours,
        "trim": (house.trim,),
        "roof": (house.roof or house.trim,),
        "neighbour": ((176, 160, 140), (150, 140, 132)),
        "ground": ((122, 120, 118),),
        "frame": ((230, 228, 222), (230, 228, 222), (104, 72, 52)),
        "blind": ((70, 104, 84), (84, 100, 124)),
        "door": ((104, 62, 38), (82, 52, 40)),
        "shop": ((150, 40, 40), (40, 84, 60), (44, 60, 110)),
        "sky": ((150, 182, 220), (178, 198, 220)),
    }
    return {name: _vary(rng, family) for name, family in families.items()}


def _vary(rng: Generator, family: tuple[Colour, ...]) -> Colour:
    colour = np.array(family[rng.integers(len(family))])
    red, green, blue = colour * rng.uniform(0.93, 1.07) + rng.normal(0, 2.5, 3)
    return red, green, blue


def _draw_labels(scene: Scene, size: int) -> Picture:
    labels = np.empty((size, size, 3), np.uint8)
    for element in scene.elements:
        labels[element.box.pixels(size)] = PALETTE[element.kind]
    return labels


def _draw_photo(scene: Scene, size: int, rng: Generator) -> Picture:
    photo = np.empty((size, size, 3), np.float32)
    for element in scene.elements:
        _cast_shadow(photo, element, scene)
        patch = Patch(photo[element.box.pixels(size)], element.tone, scene, rng)
        _PAINTERS[element.style or element.kind](patch)
    return _develop(photo, scene, rng)


_REACH = {"sill": 0.01, "cornice": 0.016, "molding": 0.022, "balcony": 0.022, "pillar": 0.009}
"""How far down shadows reach; elements of other classes do not stand out."""


def _cast_shadow(photo: Pixels, element: Element, scene: Scene) -> None:
    """Darken what lies below, in two steps for a soft edge."""
    wall = scene.wall
    for reach in (_REACH.get(element.kind, 0) * share for share in (0.6, 1)):
        left, top, right, bottom = element.box
        left = max(left - 0.7 * scene.sun * reach, wall.left)
        right = min(right - 0.7 * scene.sun * reach, wall.right)
        shadow = Box(left, max(top + reach, wall.top), right, min(bottom + reach, wall.bottom))
        if reach and shadow.left < shadow.right and shadow.top < shadow.bottom:
            photo[shadow.pixels(len(photo))] *= 0.74


def _develop(photo: Pixels, scene: Scene, rng: Generator) -> Picture:
    """Light the photo unevenly, blur it by half a pixel and add the sensor's noise."""
    patch = Patch(photo, 0, scene, rng)
    down, across = patch.down, patch.across
    patch.shade(1.02 + 0.05 * patch.clouds(3, 3) + 0.12 * scene.sun * (across - 0.5))
    patch.shade(1 - 0.3 * ((down - 0.5) ** 2 + (across - 0.5) ** 2))
    blurred = Image.fromarray(_to_bytes(photo)).filter(ImageFilter.GaussianBlur(0.5))
    return _to_bytes(np.asarray(blurred) + 3 * rng.standard_normal(photo.shape, dtype=np.float32))


def _to_bytes(photo: Pixels) -> UInt8[np.ndarray, "height width 3"]:
    return photo.clip(0, 255).astype(np.uint8)


class Patch:
    """The part of the photo that an element covers, and the means to paint it."""

    def __init__(self, pixels: Pixels, tone: float, scene: Scene, rng: Generator) -> None:
        self.pixels, self.tone, self.scene, self.rng = pixels, tone, scene, rng
        self.height, self.width = pixels.shape[:2]
        self.down = ((np.arange(self.height, dtype=np.float32) + 0.5) / self.height)[:, None]
        """Pixel centres from the top, 0 to 1: shape (height, 1)."""
        self.across = ((np.arange(self.width, dtype=np.float32) + 0.5) / self.width)[None]
        """Pixel centres from the left, 0 to 1: shape (1, width)."""

    def rows(self, start: float, stop: float) -> "Patch":
        """The part between two heights, at least one row."""
        top = min(round(start * self.height), self.height - 1)
        bottom = max(round(stop * self.height), top + 1)
        return Patch(self.pixels[top:bottom], self.tone, self.scene, self.rng)

    def blend(self, colour: str | Colour, opacity: np.ndarray | float = 1) -> None:
        """Mix in a colour, given as such or by its name in the scene."""
        rgb = self.scene.colours[colour] if isinstance(colour, str) else colour
        weight = np.asarray(opacity, np.float32)[..., None]
        self.pixels += weight * (np.asarray(rgb, np.float32) - self.pixels)

    def shade(self, factor: np.ndarray) -> None:
        self.pixels *= factor[..., None]

    def bevel(self, strength: float = 0.2) -> None:
        """Light the upper edge and the one towards the sun, darken the others."""
        sunny, dark = (-1, 0) if self.scene.sun > 0 else (0, -1)
        self.pixels[0] *= 1 + strength
        self.pixels[:, sunny] *= 1 + strength / 2
        self.pixels[:, dark] *= 1 - strength
        self.pixels[-1] *= 1 - strength

    def border(self) -> np.ndarray:
        """Distance to the nearest edge in pixels: shape (height, width)."""
        down = np.minimum(self.down, 1 - self.down) * self.height
        return np.minimum(down, np.minimum(self.across, 1 - self.across) * self.width)

    def clouds(self, rows: int, columns: int) -> np.ndarray:
        """Smooth noise: shape (height, width), mean 0, standard deviation just under 1."""
        coarse = Image.fromarray(self.rng.standard_normal((rows, columns), dtype=np.float32))
        return np.asarray(coarse.resize((self.width, self.height), Image.Resampling.BICUBIC))


def _paint_sky(patch: Patch) -> None:
    clouds = (0.5 * patch.clouds(8, 4) + 0.3 * patch.clouds(18, 9)).clip(0, 1)
    patch.pixels[:] = patch.scene.colours["sky"]
    patch.blend((238, 240, 242), (clouds + 1.6 * patch.down).clip(0, 0.9))


@dataclass(frozen=True)
class Masonry:
    """Paints a wall, a roof or a pavement of staggered blocks."""

    colour: str
    courses: int = 50
    """How many courses it is high."""
    joint: float = 0
    """How much brighter the joints are."""
    spread: float = 0
    """How much the blocks differ in brightness (standard deviation)."""
    stains: float = 4
    """How much brightness varies besides, in patches and streaks of rain."""

    def __call__(self, patch: Patch) -> None:
        stains = patch.clouds(6, 6) + 0.6 * patch.clouds(24, 24) + 0.6 * patch.clouds(4, 48)
        dirt = self.stains * (stains - 3 * patch.down**6)
        patch.pixels[:] = patch.scene.colours[self.colour]
        patch.pixels += (dirt + self._blocks(patch))[..., None]

    def _blocks(self, patch: Patch) -> np.ndarray:
        """Brightness added by blocks and joints: shape (height, width)."""
        course = patch.height / self.courses
        y = np.arange(patch.height)[:, None] / course
        row = y.astype(int)
        x = np.arange(patch.width) / (2.5 * course) + row % 2 / 2
        column = x.astype(int)
        shades = patch.rng.normal(0, self.spread, (row.max() + 1, column.max() + 1))
        seam = ((y - row) * course < 1) | ((x - column) * 2.5 * course < 1)
        return np.where(seam, self.joint * min(course / 4, 1), shades[row, column])


def _paint_window(patch: Patch) -> None:
    _glaze(patch)
    _furnish(patch)
    _frame(patch)
    patch.rows(0, 0.08).pixels[:] *= 0.6
    depth = max(patch.width // 16, 1)
    patch.pixels[:, slice(-depth, None) if patch.scene.sun > 0 else slice(depth)] *= 0.75


def _glaze(patch: Patch) -> None:
    """Dark glass that reflects the sky, most at the top and in a slanting streak."""
    down, across = patch.down, patch.across
    streak = (1 - 3 * np.abs(across + 1.5 * down - 0.5 - patch.tone)).clip(0, 1)
    patch.pixels[:] = (36, 44, 54)
    patch.blend((150, 172, 196), 0.08 + 0.3 * (1 - down) ** 2 + 0.25 * streak)


def _furnish(patch: Patch) -> None:
    """What is behind the glass: light, curtains, a roller blind or nothing."""
    if patch.tone < 0.06:
        patch.blend((250, 206, 130), 0.8 - 0.3 * patch.down)
    elif patch.tone < 0.4:
        folds = 0.5 + 0.1 * np.cos(30 * patch.across)
        patch.blend((222, 218, 208), folds * (np.abs(patch.across - 0.5) > 0.26))
    elif patch.tone < 0.55:
        patch.blend((212, 204, 188), 0.7 * (patch.down < patch.tone - 0.1))


def _frame(patch: Patch) -> None:
    """The frame, a transom, and mullions by the window's proportions; faint in small windows."""
    extent = min(patch.width, patch.height)
    panes = max(round(1.7 * patch.width / patch.height), 2 if patch.width >= 8 else 1)
    beside = np.abs(panes * patch.across - np.round(panes * patch.across)) * patch.width / panes
    transom = np.abs(patch.down - 0.32) * patch.height
    bars = np.minimum(np.minimum(beside, transom), patch.border()) < max(0.03 * extent, 0.55)
    patch.blend("frame", 0.85 * min(extent / 12, 1) * bars)


def _paint_arch(patch: Patch) -> None:
    _paint_window(patch)
    rise = 0.5 * patch.width / patch.height
    outside = (2 * patch.across - 1) ** 2 + (1 - patch.down / rise) ** 2 > 1
    patch.blend("trim", 0.95 * (outside & (patch.down < rise)))


def _paint_ledge(patch: Patch) -> None:
    patch.blend("trim")
    patch.shade(1.1 - 0.3 * patch.down)
    patch.bevel()


def _paint_molding(patch: Patch) -> None:
    """Three stepped courses, the middle one of dentils."""
    pitch = max(patch.height / 3, 3)
    dentils = (patch.across * patch.width / pitch % 1 < 0.4) & (np.abs(patch.down - 0.5) < 0.17)
    patch.blend("trim")
    patch.shade(1 - 0.35 * (3 * patch.down % 1) - 0.3 * dentils)
    patch.bevel()


def _paint_railing(patch: Patch) -> None:
    """Iron bars before what is behind, on a slab."""
    bars = np.arange(patch.width) % max(round(0.12 * patch.height), 3) == 0
    rail = np.minimum(patch.down, np.abs(patch.down - 0.7)) * patch.height < 1
    patch.pixels *= 0.8
    patch.blend((44, 44, 48), 0.9 * (bars | rail))
    slab = patch.rows(0.8, 1)
    slab.blend("trim")
    slab.bevel(0.25)


def _paint_balustrade(patch: Patch) -> None:
    """Stone balusters between a rail and a slab."""
    pitch = max(0.3 * patch.height, 3)
    off_axis = np.abs(patch.across * patch.width / pitch % 1 - 0.5)
    baluster = off_axis < 0.24 + 0.12 * np.cos(12 * patch.down)
    patch.pixels *= 0.45
    patch.blend("trim", 0.95 * (baluster | (patch.down < 0.2) | (patch.down > 0.78)))
    patch.bevel()


def _paint_blind(patch: Patch) -> None:
    slats = min(12, patch.height / 3)
    patch.blend("blind")
    patch.shade(np.where(patch.border() < 1, 1.1, 1.15 - 0.4 * (slats * patch.down % 1)))
    patch.bevel(0.15)


def _paint_deco(patch: Patch) -> None:
    """A panel with a rosette in relief."""
    y, x = 2 * patch.down - 1, 2 * patch.across - 1
    radius = np.hypot(x, y)
    petals = 1 + 0.5 * np.cos(np.floor(4 + 4 * patch.tone) * np.arctan2(y, x))
    facing = (patch.scene.sun * x - y) / (radius + 0.3)
    relief = facing * petals * np.sin(2.8 * np.pi * radius) * (radius < 1)
    patch.blend("trim")
    patch.shade(0.88 + 0.28 * relief)
    patch.bevel(0.25)


def _paint_pillar(patch: Patch) -> None:
    """A round, fluted shaft between a capital and a base."""
    turn = 2 * patch.across - 1
    flutes = 0.06 * np.cos(5 * np.pi * turn) * (patch.width >= 8)
    shaft = 0.9 + 0.25 * patch.scene.sun * turn - 0.15 * turn**2 + flutes
    shaft = shaft - 0.3 * (np.minimum(patch.down - 0.08, 0.94 - patch.down) < 0.03)
    patch.blend("trim")
    patch.shade(np.where((patch.down < 0.08) | (patch.down > 0.94), 1.08, shaft))


def _paint_door(patch: Patch) -> None:
    """Two panelled wings under a fanlight."""
    wings = patch.rows(0.22, 1)
    column, row = 2 * wings.across % 1, 3 * wings.down % 1
    inset = np.maximum(np.abs(column - 0.5), np.abs(row - 0.5))
    wings.blend("door")
    wings.shade(np.where((inset > 0.28) & (inset < 0.36), 0.7 + 0.5 * row, 1))
    wings.shade(1 - 0.5 * (np.abs(wings.across - 0.5) * wings.width < 0.8))
    wings.pixels += 5 * wings.clouds(4, 16)[..., None]
    _paint_window(patch.rows(0, 0.22))
    patch.pixels[:, [0, -1]] *= 0.7


def _paint_shop(patch: Patch) -> Patch:
    """A display window on a plinth; returns the part above it, for a sign or an awning."""
    _glaze(patch)
    goods = np.cos(25 * patch.across + 9 * patch.tone) > 0.2
    patch.blend((206, 176, 130), 0.5 * (goods & (np.abs(patch.down - 0.75) < 0.12)))
    _frame(patch)
    patch.rows(0.9, 1).blend((60, 56, 54))
    return patch.rows(0, 0.27)


def _paint_sign(patch: Patch) -> None:
    board = _paint_shop(patch)
    inside = (np.abs(board.across - 0.5) < 0.3) & (np.abs(board.down - 0.5) < 0.25)
    board.blend("shop")
    board.blend((240, 232, 210), 0.9 * (inside & (board.clouds(4, 40) > 0)))
    board.bevel()


def _paint_awning(patch: Patch) -> None:
    cloth = _paint_shop(patch)
    stripes = cloth.width / max(0.3 * cloth.height, 2)
    cloth.blend("shop")
    cloth.blend((236, 230, 216), 0.9 * (np.floor(cloth.across * stripes) % 2))
    cloth.shade(1.1 - 0.3 * cloth.down)
    patch.rows(0.27, 0.42).pixels[:] *= 0.5


_PAINTERS: dict[str, Callable[[Patch], None]] = {
    "sky": _paint_sky,
    "ground": Masonry("ground", courses=3, joint=-14, spread=3, stains=5),
    "roof": Masonry("roof", courses=6, joint=-20, spread=6),
    "neighbour": Masonry("neighbour"),
    "brick": Masonry("wall", courses=48, joint=30, spread=10),
    "stucco": Masonry("wall", stains=5),
    "stone": Masonry("wall", courses=17, joint=-30, spread=6),
    "render": Masonry("wall", courses=7, joint=-12, spread=1.5, stains=3),
    "window": _paint_window,
    "arch": _paint_arch,
    "sill": _paint_ledge,
    "cornice": _paint_ledge,
    "molding": _paint_molding,
    "railing": _paint_railing,
    "balustrade": _paint_balustrade,
    "blind": _paint_blind,
    "deco": _paint_deco,
    "pillar": _paint_pillar,
    "door": _paint_door,
    "sign": _paint_sign,
    "awning": _paint_awning,
}
"""What paints each style, or each class that has but one."""
