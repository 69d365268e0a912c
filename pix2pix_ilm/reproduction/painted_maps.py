"""Twelve label maps as visitors paint them, from an empty wall to whole facades.

Data sets have none as sparse as the first ones, which show what a generator makes of flat areas.
"""

import numpy as np
from jaxtyping import UInt8

from pix2pix_ilm.data.synthetic.dataset import draw_labels
from pix2pix_ilm.data.synthetic.layout import Box, Element, lay_out

DRAWN = (11, 2, 5, 23)  # seeds of the facades


def painted_maps(size: int) -> dict[str, UInt8[np.ndarray, "{size} {size} 3"]]:
    """Return twelve label maps in the colors of CMP Facades, by name.

    Args:
        size: height and width in pixels.
    """
    wall = [Element("background", Box(0, 0, 1, 1)), Element("facade", Box(0.1, 0.2, 0.9, 1))]
    door, shop = Element("door", Box(0.44, 0.8, 0.56, 1)), Element("shop", Box(0.1, 0.82, 0.9, 1))
    paintings = {
        "empty wall": wall,
        "wall alone": [Element("facade", Box(0, 0, 1, 1))],
        "one window": [*wall, *windows(Box(0.35, 0.35, 0.65, 0.7), 1, 1)],
        "window and door": [*wall, *windows(Box(0.15, 0.3, 0.45, 0.7), 1, 1), door],
        "two rows": [*wall, *windows(Box(0.15, 0.25, 0.85, 0.75), 2, 3), door],
        "grid": [*wall, *windows(Box(0.12, 0.22, 0.88, 0.98), 5, 5)],
        "sills, cornices, shop": [
            *wall,
            *windows(Box(0.14, 0.22, 0.86, 0.8), 3, 4, cornice=(-0.15, 0), sill=(1, 1.12)),
            shop,
        ],
        "balconies": [
            *wall, *windows(Box(0.14, 0.22, 0.86, 0.78), 3, 3, balcony=(0.65, 1.1)), door
        ],
    }  # fmt: skip
    paintings |= {f"facade {seed}": lay_out(np.random.default_rng(seed)).elements for seed in DRAWN}
    return {name: draw_labels(elements, size) for name, elements in paintings.items()}


def windows(wall: Box, rows: int, columns: int, **bands: tuple[float, float]) -> list[Element]:
    """Return windows in rows and columns.

    Args:
        wall: where they stand.
        rows: number of them.
        columns: likewise.
        bands: class -> top and bottom of a band across each window, in fractions of its height.
    """
    elements = []
    for row in range(rows):
        for story in wall.part(0, row / rows, 1, (row + 1) / rows).columns(columns):
            window = story.part(0.2, 0.2, 0.8, 0.85)
            elements.append(Element("window", window))
            elements += [
                Element(kind, window.part(-0.1, top, 1.1, bottom))
                for kind, (top, bottom) in bands.items()
            ]
    return elements
