"""Lay out facades: what stands where, in relative coordinates, and in which colors.

Four styles of building tie the material to the label map, so that a network can infer it.
"""

from dataclasses import dataclass
from itertools import pairwise
from math import ceil
from typing import NamedTuple

import numpy as np
from numpy.random import Generator

Color = tuple[float, float, float]


class Box(NamedTuple):
    """A rectangle in fractions of the image's width and height."""

    left: float
    top: float
    right: float
    bottom: float

    def part(self, left: float, top: float, right: float, bottom: float) -> "Box":
        """Return the rectangle at these fractions of this one; below 0 and above 1 lie outside."""
        width, height = self.right - self.left, self.bottom - self.top
        x, y = self.left, self.top
        return Box(x + left * width, y + top * height, x + right * width, y + bottom * height)

    def columns(self, count: int) -> list["Box"]:
        return [self.part(i / count, 0, (i + 1) / count, 1) for i in range(count)]

    def pixels(self, size: int) -> tuple[slice, slice]:
        """Return the rows and columns in an image of this size, at least one of each."""
        left, top = (min(max(round(edge * size), 0), size - 1) for edge in self[:2])
        right, bottom = round(self.right * size), round(self.bottom * size)
        return slice(top, max(bottom, top + 1)), slice(left, max(right, left + 1))


@dataclass(frozen=True)
class Element:
    """One thing in the picture; later elements hide earlier ones."""

    kind: str
    """Its class, a key of `FACADES_COLORS`."""
    box: Box
    style: str = ""
    """Its look where a class has several, a key of `PAINTERS`."""
    tone: float = 0.5
    """Varies its look, 0 to 1."""


@dataclass(frozen=True, kw_only=True)
class BuildingStyle:
    """A style of building."""

    wall: str
    """Style of its walls."""
    colors: tuple[Color, ...]
    """Colors its walls may have."""
    trim: Color
    """Color of ledges, pillars and ornaments."""
    roof: Color | None = None
    """Color of its roof; unset: the roof is flat."""
    bay: tuple[float, float]
    """Width of a bay, least and most, in story heights."""
    window: tuple[float, float]
    """Width of a window, least and most, in bay widths."""
    balcony: str = "railing"
    """Style of its balconies."""
    weight: float = 0.8
    """Heaviness of its sills and cornices."""
    feature_probabilities: tuple[float, ...]
    """Probability of each of `FEATURES` on a floor, 0 to 1."""

    def probability(self, feature: str) -> float:
        """Return how probable a feature is on a floor, 0 to 1."""
        return self.feature_probabilities[FEATURES.index(feature)]


FEATURES = ("sill", "cornice", "molding", "balcony", "blind", "deco", "pillar", "shop", "twin")
"""Classes, and windows in pairs."""

TENEMENT = BuildingStyle(
    wall="brick",
    colors=((146, 78, 62), (128, 86, 70), (160, 102, 78)),
    trim=(198, 188, 170),
    bay=(0.7, 1.0),
    window=(0.4, 0.55),
    feature_probabilities=(0.9, 0.5, 0.2, 0.25, 0, 0, 0, 0.8, 0.2),
)
TOWN_HOUSE = BuildingStyle(
    wall="stucco",
    colors=((224, 202, 152), (220, 178, 144), (204, 208, 178), (228, 216, 194)),
    trim=(242, 238, 226),
    roof=(150, 84, 62),
    bay=(0.85, 1.2),
    window=(0.34, 0.44),
    feature_probabilities=(0.8, 0.5, 0.4, 0.2, 0.6, 0.2, 0, 0.5, 0),
)
PALACE = BuildingStyle(
    wall="stone",
    colors=((182, 168, 138), (164, 156, 142), (192, 170, 134)),
    trim=(226, 218, 200),
    roof=(96, 108, 112),
    balcony="balustrade",
    weight=1.4,
    bay=(0.7, 1.0),
    window=(0.4, 0.5),
    feature_probabilities=(0.7, 0.9, 0.7, 0.3, 0, 0.6, 0.8, 0.3, 0),
)
FLATS = BuildingStyle(
    wall="render",
    colors=((204, 206, 204), (184, 188, 194), (212, 204, 194)),
    trim=(158, 160, 164),
    bay=(0.9, 1.4),
    window=(0.5, 0.75),
    feature_probabilities=(0.5, 0, 0, 0.6, 0.2, 0, 0, 0.6, 0.3),
)


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A facade, laid out and colored."""

    elements: list[Element]
    wall: Box
    """The facade; shadows do not leave it."""
    colors: dict[str, Color]
    """Colors of this picture, by what they color."""
    sun: int
    """Side of the light: -1 left, 1 right; always from above."""


def lay_out(rng: Generator) -> Scene:
    building = (TENEMENT, TOWN_HOUSE, PALACE, FLATS)[rng.integers(4)]
    left, right = rng.uniform(0.06, 0.22, 2) * (rng.random(2) < 0.6)
    wall = Box(left, rng.uniform(0.08, 0.28), 1 - right, rng.uniform(0.9, 0.98))
    *floors, ground = stories(rng, wall)
    bay = rng.uniform(*building.bay) * (ground.bottom - ground.top)
    bays = max(round((wall.right - wall.left) / bay), 2)
    elements = [
        *surroundings(rng, building, wall),
        Element("facade", wall, building.wall),
        *upper_floors(rng, building, floors, bays),
        *ground_floor(rng, building, ground, bays),
        *bands(rng, building, [*floors, ground], bays),
    ]
    sun = 2 * int(rng.integers(2)) - 1
    return Scene(elements=elements, wall=wall, colors=choose_colors(rng, building), sun=sun)


def stories(rng: Generator, wall: Box) -> list[Box]:
    """Lay out stories from the top down, the ground floor a little higher."""
    heights = rng.uniform(0.9, 1.15, rng.integers(3, 6))
    heights[-1] += 0.2
    edges = (np.cumsum([0, *heights]) / heights.sum()).tolist()
    return [wall.part(0, top, 1, bottom) for top, bottom in pairwise(edges)]


def surroundings(rng: Generator, building: BuildingStyle, wall: Box) -> list[Element]:
    left, right = Box(0, 0, wall.left, wall.bottom), Box(wall.right, 0, 1, wall.bottom)
    elements = [
        Element("background", Box(0, 0, 1, 1), "sky"),
        Element("background", Box(0, wall.bottom, 1, 1), "ground"),
    ]
    for side in (left, right):
        if side.right - side.left > 0.1:
            elements += neighbor(rng, side.part(0, rng.uniform(0.1, 0.4), 1, 1))
    if building.roof:
        roof = Box(wall.left, wall.top - rng.uniform(0.05, 0.08), wall.right, wall.top)
        columns = roof.columns(int(rng.integers(3, 7)))
        dormers = [column.part(0.4, 0.3, 0.6, 0.95) for column in columns]
        elements += [Element("background", roof, "roof")]
        elements += [Element("window", dormer, tone=rng.random()) for dormer in dormers]
    return elements


def neighbor(rng: Generator, box: Box) -> list[Element]:
    floors = rng.integers(3, 6)
    windows = [box.part(0.3, (i + 0.3) / floors, 0.7, (i + 0.75) / floors) for i in range(floors)]
    house = Element("background", box, "neighbor")
    return [house, *(Element("window", window, tone=rng.random()) for window in windows)]


def upper_floors(
    rng: Generator, building: BuildingStyle, floors: list[Box], bays: int
) -> list[Element]:
    half = rng.uniform(*building.window) / 2
    opening = Box(0.5 - half, rng.uniform(0.2, 0.28), 0.5 + half, rng.uniform(0.7, 0.78))
    elements = []
    for floor in floors:
        features = {name for name in FEATURES if rng.random() < building.probability(name)}
        every = rng.integers(1, 4)
        for i, bay in enumerate(floor.columns(bays)):
            plain = (min(i, bays - 1 - i) + 1) % every > 0
            here = features - {"balcony"} if plain else features
            elements += window_bay(rng, building, bay, opening, here)
        if "pillar" in features:
            elements += pillars(floor, bays)
    return elements


def window_bay(
    rng: Generator, building: BuildingStyle, bay: Box, opening: Box, features: set[str]
) -> list[Element]:
    """Lay out a window, or two, with ornaments; the opening is in fractions of the bay."""
    window = bay.part(*opening)
    aside = min(0.8 * opening.left / (opening.right - opening.left), 0.5)
    ornaments = {
        "blind": [window.part(-aside, 0, -0.02, 1), window.part(1.02, 0, 1 + aside, 1)],
        "deco": [bay.part(opening.left, 0.84, opening.right, 0.96)],
        "sill": [window.part(-0.3 * aside, 1, 1 + 0.3 * aside, 1 + 0.11 * building.weight)],
        "cornice": [
            window.part(-0.4 * aside, -0.05 - 0.2 * building.weight, 1 + 0.4 * aside, -0.05)
        ],
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
            Element(kind, box, building.balcony if kind == "balcony" else "", rng.random())
            for kind, boxes in ornaments.items()
            for box in boxes
            if kind in features
        ),
    ]


def pillars(floor: Box, bays: int) -> list[Element]:
    half = 0.1 / bays
    edges = [i / bays for i in range(bays + 1)]
    boxes = [floor.part(max(x - half, 0), 0.06, min(x + half, 1), 1) for x in edges]
    return [Element("pillar", box) for box in boxes]


def ground_floor(rng: Generator, building: BuildingStyle, story: Box, bays: int) -> list[Element]:
    entrance = int(rng.choice((0, bays // 2, bays - 1)))
    column = story.columns(bays)[entrance]
    half = min(0.26, 0.25 * (column.bottom - column.top) / (column.right - column.left))
    door = Element("door", column.part(0.5 - half, 0.2, 0.5 + half, 1), tone=rng.random())
    runs = {
        story.part(0, 0, entrance / bays, 1): entrance,
        story.part((entrance + 1) / bays, 0, 1, 1): bays - 1 - entrance,
    }
    if rng.random() > building.probability("shop"):
        rooms = [room for run, count in runs.items() for room in run.columns(count)]
        opening = Box(0.28, 0.25, 0.72, 0.74)
        return [
            door,
            *(e for room in rooms for e in window_bay(rng, building, room, opening, {"sill"})),
        ]
    width, style = int(rng.integers(1, 4)), ("awning", "sign")[rng.integers(2)]
    rooms = [room for run, count in runs.items() for room in run.columns(ceil(count / width))]
    fronts = [room.part(0.06, 0.16, 0.94, 0.97) for room in rooms]
    return [door, *(Element("shop", front, style, rng.random()) for front in fronts)]


def bands(rng: Generator, building: BuildingStyle, stories: list[Box], bays: int) -> list[Element]:
    """Lay out the eaves, perhaps with a frieze, and bands between stories."""
    molding, deco = building.probability("molding"), building.probability("deco")
    thick = rng.uniform(0.12, 0.3)
    eaves = stories[0].part(-0.015, -0.3 * thick, 1.015, 0.7 * thick)
    frieze = [column.part(0.3, 0.4, 0.7, 0.95) for column in eaves.columns(bays)]
    banded = [story for story in stories[1:] if rng.random() < molding]
    return [
        *([Element("molding", eaves)] if molding else []),
        Element("cornice", eaves.part(-0.01, 0, 1.01, 0.3)),
        *(Element("deco", box, tone=rng.random()) for box in frieze if deco > 0.5),
        *(Element("molding", story.part(0, -0.04, 1, 0.08)) for story in banded),
    ]


def choose_colors(rng: Generator, building: BuildingStyle) -> dict[str, Color]:
    families = {
        "wall": building.colors,
        "trim": (building.trim,),
        "roof": (building.roof or building.trim,),
        "neighbor": ((176, 160, 140), (150, 140, 132)),
        "ground": ((122, 120, 118),),
        "frame": ((230, 228, 222), (230, 228, 222), (104, 72, 52)),
        "blind": ((70, 104, 84), (84, 100, 124)),
        "door": ((104, 62, 38), (82, 52, 40)),
        "shop": ((150, 40, 40), (40, 84, 60), (44, 60, 110)),
        "sky": ((150, 182, 220), (178, 198, 220)),
    }
    return {name: vary(rng, family) for name, family in families.items()}


def vary(rng: Generator, family: tuple[Color, ...]) -> Color:
    color = np.array(family[rng.integers(len(family))])
    red, green, blue = color * rng.uniform(0.93, 1.07) + rng.normal(0, 2.5, 3)
    return red, green, blue
