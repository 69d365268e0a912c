"""Draw a laid-out facade as a photo: materials, light and shadow, and the sensor's noise."""

import numpy as np
from jaxtyping import UInt8
from numpy.random import Generator
from PIL import Image, ImageFilter

from pix2pix_ilm.data.synthetic.layout import Box, Element, Scene
from pix2pix_ilm.data.synthetic.painters import PAINTERS, Patch, Pixels

Picture = UInt8[np.ndarray, "size size 3"]


def draw_photo(scene: Scene, size: int, rng: Generator) -> Picture:
    """Draw the photo of a scene: (size, size, 3) uint8."""
    photo = np.empty((size, size, 3), np.float32)
    for element in scene.elements:
        cast_shadow(photo, element, scene)
        patch = Patch(photo[element.box.pixels(size)], element.tone, scene, rng)
        PAINTERS[element.style or element.kind](patch)
    return develop(photo, scene, rng)


REACH = {"sill": 0.01, "cornice": 0.016, "molding": 0.022, "balcony": 0.022, "pillar": 0.009}
"""Reach of shadows downward; elements of other classes do not stand out."""


def cast_shadow(photo: Pixels, element: Element, scene: Scene) -> None:
    """Darken what lies below, in two steps for a soft edge."""
    wall = scene.wall
    for reach in (REACH.get(element.kind, 0) * share for share in (0.6, 1)):
        left, top, right, bottom = element.box
        left = max(left - 0.7 * scene.sun * reach, wall.left)
        right = min(right - 0.7 * scene.sun * reach, wall.right)
        shadow = Box(left, max(top + reach, wall.top), right, min(bottom + reach, wall.bottom))
        if reach and shadow.left < shadow.right and shadow.top < shadow.bottom:
            photo[shadow.pixels(len(photo))] *= 0.74


def develop(photo: Pixels, scene: Scene, rng: Generator) -> Picture:
    """Light the photo unevenly, blur it by half a pixel and add the sensor's noise."""
    patch = Patch(photo, 0, scene, rng)
    down, across = patch.down, patch.across
    patch.shade(1.02 + 0.05 * patch.clouds(3, 3) + 0.12 * scene.sun * (across - 0.5))
    patch.shade(1 - 0.3 * ((down - 0.5) ** 2 + (across - 0.5) ** 2))
    blurred = Image.fromarray(to_bytes(photo)).filter(ImageFilter.GaussianBlur(0.5))
    return to_bytes(np.asarray(blurred) + 3 * rng.standard_normal(photo.shape, dtype=np.float32))


def to_bytes(photo: Pixels) -> UInt8[np.ndarray, "height width 3"]:
    """Round values in [0, 255] to uint8."""
    return photo.clip(0, 255).astype(np.uint8)
