"""Materials of a drawn facade: a painter for each style, or each class that has but one."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32
from numpy.random import Generator
from PIL import Image

from pix2pix_ilm.data.synthetic.layout import Color, Scene

Pixels = Float32[np.ndarray, "height width 3"]


class Patch:
    """The part of the photo that an element covers, and the means to paint it."""

    def __init__(self, pixels: Pixels, tone: float, scene: Scene, rng: Generator) -> None:
        self.pixels, self.tone, self.scene, self.rng = pixels, tone, scene, rng
        self.height, self.width = pixels.shape[:2]
        self.down = ((np.arange(self.height, dtype=np.float32) + 0.5) / self.height)[:, None]
        """Pixel centers from the top, 0 to 1: shape (height, 1)."""
        self.across = ((np.arange(self.width, dtype=np.float32) + 0.5) / self.width)[None]
        """Pixel centers from the left, 0 to 1: shape (1, width)."""

    def rows(self, start: float, stop: float) -> "Patch":
        """Return the part between two heights, at least one row."""
        top = min(round(start * self.height), self.height - 1)
        bottom = max(round(stop * self.height), top + 1)
        return Patch(self.pixels[top:bottom], self.tone, self.scene, self.rng)

    def blend(self, color: str | Color, opacity: np.ndarray | float = 1) -> None:
        """Mix in a color, given as such or by its name in the scene."""
        rgb = self.scene.colors[color] if isinstance(color, str) else color
        weight = np.asarray(opacity, np.float32)[..., None]
        self.pixels += weight * (np.asarray(rgb, np.float32) - self.pixels)

    def shade(self, factor: np.ndarray) -> None:
        self.pixels *= factor[..., None]

    def bevel(self, strength: float = 0.2) -> None:
        """Light the upper edge and the one toward the sun, darken the others."""
        sunny, dark = (-1, 0) if self.scene.sun > 0 else (0, -1)
        self.pixels[0] *= 1 + strength
        self.pixels[:, sunny] *= 1 + strength / 2
        self.pixels[:, dark] *= 1 - strength
        self.pixels[-1] *= 1 - strength

    def border(self) -> np.ndarray:
        """Return the distance to the nearest edge in pixels: shape (height, width)."""
        down = np.minimum(self.down, 1 - self.down) * self.height
        return np.minimum(down, np.minimum(self.across, 1 - self.across) * self.width)

    def clouds(self, rows: int, columns: int) -> np.ndarray:
        """Smooth noise: shape (height, width), mean 0, standard deviation just under 1."""
        coarse = Image.fromarray(self.rng.standard_normal((rows, columns), dtype=np.float32))
        return np.asarray(coarse.resize((self.width, self.height), Image.Resampling.BICUBIC))


def paint_sky(patch: Patch) -> None:
    """Paint the sky with clouds, brighter toward the horizon."""
    clouds = (0.5 * patch.clouds(8, 4) + 0.3 * patch.clouds(18, 9)).clip(0, 1)
    patch.pixels[:] = patch.scene.colors["sky"]
    patch.blend((238, 240, 242), (clouds + 1.6 * patch.down).clip(0, 0.9))


@dataclass(frozen=True)
class Masonry:
    """Paints a wall, a roof or a pavement of staggered blocks."""

    color: str
    courses: int = 50
    """Height in courses."""
    joint: float = 0
    """Brightness that the joints add."""
    spread: float = 0
    """Standard deviation of the blocks' brightness."""
    stains: float = 4
    """Strength of further variation, in patches and streaks of rain."""

    def __call__(self, patch: Patch) -> None:
        stains = patch.clouds(6, 6) + 0.6 * patch.clouds(24, 24) + 0.6 * patch.clouds(4, 48)
        dirt = self.stains * (stains - 3 * patch.down**6)
        patch.pixels[:] = patch.scene.colors[self.color]
        patch.pixels += (dirt + self._blocks(patch))[..., None]

    def _blocks(self, patch: Patch) -> np.ndarray:
        """Return the brightness that blocks and joints add: shape (height, width)."""
        course = patch.height / self.courses
        y = np.arange(patch.height)[:, None] / course
        row = y.astype(int)
        x = np.arange(patch.width) / (2.5 * course) + row % 2 / 2
        column = x.astype(int)
        shades = patch.rng.normal(0, self.spread, (row.max() + 1, column.max() + 1))
        seam = ((y - row) * course < 1) | ((x - column) * 2.5 * course < 1)
        return np.where(seam, self.joint * min(course / 4, 1), shades[row, column])


def paint_window(patch: Patch) -> None:
    """Paint a window: what is behind it, glass and frame."""
    glaze(patch)
    furnish(patch)
    frame(patch)
    patch.rows(0, 0.08).pixels[:] *= 0.6
    depth = max(patch.width // 16, 1)
    patch.pixels[:, slice(-depth, None) if patch.scene.sun > 0 else slice(depth)] *= 0.75


def glaze(patch: Patch) -> None:
    """Paint dark glass that reflects the sky, most at the top and in a slanting streak."""
    down, across = patch.down, patch.across
    streak = (1 - 3 * np.abs(across + 1.5 * down - 0.5 - patch.tone)).clip(0, 1)
    patch.pixels[:] = (36, 44, 54)
    patch.blend((150, 172, 196), 0.08 + 0.3 * (1 - down) ** 2 + 0.25 * streak)


def furnish(patch: Patch) -> None:
    """Paint what is behind the glass: light, curtains, a roller blind or nothing."""
    if patch.tone < 0.06:
        patch.blend((250, 206, 130), 0.8 - 0.3 * patch.down)
    elif patch.tone < 0.4:
        folds = 0.5 + 0.1 * np.cos(30 * patch.across)
        patch.blend((222, 218, 208), folds * (np.abs(patch.across - 0.5) > 0.26))
    elif patch.tone < 0.55:
        patch.blend((212, 204, 188), 0.7 * (patch.down < patch.tone - 0.1))


def frame(patch: Patch) -> None:
    """Paint frame, transom, and mullions by the window's proportions; faint in small windows."""
    extent = min(patch.width, patch.height)
    panes = max(round(1.7 * patch.width / patch.height), 2 if patch.width >= 8 else 1)
    beside = np.abs(panes * patch.across - np.round(panes * patch.across)) * patch.width / panes
    transom = np.abs(patch.down - 0.32) * patch.height
    bars = np.minimum(np.minimum(beside, transom), patch.border()) < max(0.03 * extent, 0.55)
    patch.blend("frame", 0.85 * min(extent / 12, 1) * bars)


def paint_arch(patch: Patch) -> None:
    """Paint a window under an arch."""
    paint_window(patch)
    rise = 0.5 * patch.width / patch.height
    outside = (2 * patch.across - 1) ** 2 + (1 - patch.down / rise) ** 2 > 1
    patch.blend("trim", 0.95 * (outside & (patch.down < rise)))


def paint_ledge(patch: Patch) -> None:
    """Paint a ledge, darker toward its lower edge."""
    patch.blend("trim")
    patch.shade(1.1 - 0.3 * patch.down)
    patch.bevel()


def paint_molding(patch: Patch) -> None:
    """Paint three stepped courses, the middle one of dentils."""
    pitch = max(patch.height / 3, 3)
    dentils = (patch.across * patch.width / pitch % 1 < 0.4) & (np.abs(patch.down - 0.5) < 0.17)
    patch.blend("trim")
    patch.shade(1 - 0.35 * (3 * patch.down % 1) - 0.3 * dentils)
    patch.bevel()


def paint_railing(patch: Patch) -> None:
    """Paint iron bars before what is behind, on a slab."""
    bars = np.arange(patch.width) % max(round(0.12 * patch.height), 3) == 0
    rail = np.minimum(patch.down, np.abs(patch.down - 0.7)) * patch.height < 1
    patch.pixels *= 0.8
    patch.blend((44, 44, 48), 0.9 * (bars | rail))
    slab = patch.rows(0.8, 1)
    slab.blend("trim")
    slab.bevel(0.25)


def paint_balustrade(patch: Patch) -> None:
    """Paint stone balusters between a rail and a slab."""
    pitch = max(0.3 * patch.height, 3)
    off_axis = np.abs(patch.across * patch.width / pitch % 1 - 0.5)
    baluster = off_axis < 0.24 + 0.12 * np.cos(12 * patch.down)
    patch.pixels *= 0.45
    patch.blend("trim", 0.95 * (baluster | (patch.down < 0.2) | (patch.down > 0.78)))
    patch.bevel()


def paint_blind(patch: Patch) -> None:
    """Paint a shutter's slats."""
    slats = min(12, patch.height / 3)
    patch.blend("blind")
    patch.shade(np.where(patch.border() < 1, 1.1, 1.15 - 0.4 * (slats * patch.down % 1)))
    patch.bevel(0.15)


def paint_deco(patch: Patch) -> None:
    """Paint a panel with a rosette in relief."""
    y, x = 2 * patch.down - 1, 2 * patch.across - 1
    radius = np.hypot(x, y)
    petals = 1 + 0.5 * np.cos(np.floor(4 + 4 * patch.tone) * np.arctan2(y, x))
    facing = (patch.scene.sun * x - y) / (radius + 0.3)
    relief = facing * petals * np.sin(2.8 * np.pi * radius) * (radius < 1)
    patch.blend("trim")
    patch.shade(0.88 + 0.28 * relief)
    patch.bevel(0.25)


def paint_pillar(patch: Patch) -> None:
    """Paint a round, fluted shaft between a capital and a base."""
    turn = 2 * patch.across - 1
    flutes = 0.06 * np.cos(5 * np.pi * turn) * (patch.width >= 8)
    shaft = 0.9 + 0.25 * patch.scene.sun * turn - 0.15 * turn**2 + flutes
    shaft = shaft - 0.3 * (np.minimum(patch.down - 0.08, 0.94 - patch.down) < 0.03)
    patch.blend("trim")
    patch.shade(np.where((patch.down < 0.08) | (patch.down > 0.94), 1.08, shaft))


def paint_door(patch: Patch) -> None:
    """Paint two paneled wings under a fanlight."""
    wings = patch.rows(0.22, 1)
    column, row = 2 * wings.across % 1, 3 * wings.down % 1
    inset = np.maximum(np.abs(column - 0.5), np.abs(row - 0.5))
    wings.blend("door")
    wings.shade(np.where((inset > 0.28) & (inset < 0.36), 0.7 + 0.5 * row, 1))
    wings.shade(1 - 0.5 * (np.abs(wings.across - 0.5) * wings.width < 0.8))
    wings.pixels += 5 * wings.clouds(4, 16)[..., None]
    paint_window(patch.rows(0, 0.22))
    patch.pixels[:, [0, -1]] *= 0.7


def paint_shop(patch: Patch) -> Patch:
    """Paint a display window on a plinth; return the part above it, for a sign or an awning."""
    glaze(patch)
    goods = np.cos(25 * patch.across + 9 * patch.tone) > 0.2
    patch.blend((206, 176, 130), 0.5 * (goods & (np.abs(patch.down - 0.75) < 0.12)))
    frame(patch)
    patch.rows(0.9, 1).blend((60, 56, 54))
    return patch.rows(0, 0.27)


def paint_sign(patch: Patch) -> None:
    """Paint a shop's sign."""
    board = paint_shop(patch)
    inside = (np.abs(board.across - 0.5) < 0.3) & (np.abs(board.down - 0.5) < 0.25)
    board.blend("shop")
    board.blend((240, 232, 210), 0.9 * (inside & (board.clouds(4, 40) > 0)))
    board.bevel()


def paint_awning(patch: Patch) -> None:
    """Paint a striped awning."""
    cloth = paint_shop(patch)
    stripes = cloth.width / max(0.3 * cloth.height, 2)
    cloth.blend("shop")
    cloth.blend((236, 230, 216), 0.9 * (np.floor(cloth.across * stripes) % 2))
    cloth.shade(1.1 - 0.3 * cloth.down)
    patch.rows(0.27, 0.42).pixels[:] *= 0.5


PAINTERS: dict[str, Callable[[Patch], None]] = {
    "sky": paint_sky,
    "ground": Masonry("ground", courses=3, joint=-14, spread=3, stains=5),
    "roof": Masonry("roof", courses=6, joint=-20, spread=6),
    "neighbor": Masonry("neighbor"),
    "brick": Masonry("wall", courses=48, joint=30, spread=10),
    "stucco": Masonry("wall", stains=5),
    "stone": Masonry("wall", courses=17, joint=-30, spread=6),
    "render": Masonry("wall", courses=7, joint=-12, spread=1.5, stains=3),
    "window": paint_window,
    "arch": paint_arch,
    "sill": paint_ledge,
    "cornice": paint_ledge,
    "molding": paint_molding,
    "railing": paint_railing,
    "balustrade": paint_balustrade,
    "blind": paint_blind,
    "deco": paint_deco,
    "pillar": paint_pillar,
    "door": paint_door,
    "sign": paint_sign,
    "awning": paint_awning,
}
"""Painter of each style, or of each class that has but one."""
