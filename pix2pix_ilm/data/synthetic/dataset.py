"""Drawn facades: pairs of label map and photo in the form of CMP Facades, without its images.

A seed lays out a scene once; the scene is drawn twice. The label map fills each element's box
with the color of its class, the photo paints it.
"""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from pix2pix_ilm.data.palette import FACADES_COLORS
from pix2pix_ilm.data.synthetic.layout import Element, lay_out
from pix2pix_ilm.data.synthetic.render import Picture, draw_photo
from pix2pix_ilm.errors import ArgumentError
from pix2pix_ilm.files import filling_folder, write_atomically


def draw_pair(seed: int, size: int = 256) -> tuple[Picture, Picture]:
    """Draw one facade.

    Args:
        seed: Chooses the facade, at least 0; its layout is the same in all sizes.
        size: Width and height in pixels, 32 to 1024.

    Returns:
        The label map, whose pixels all have a color of `FACADES_COLORS`, and its photo, both
        (size, size, 3) uint8.

    Raises:
        ValueError: The size is out of range.
    """
    check_size(size)
    rng = np.random.default_rng(seed)
    scene = lay_out(rng)
    return draw_labels(scene.elements, size), draw_photo(scene, size, rng)


def synthesize(out: Path, count: int, size: int = 256, seed: int = 0) -> None:
    """Write a paired data set, complete or not at all: side-by-side PNGs, label maps on the right.

    Args:
        out: New or empty folder that receives ``train``, ``val`` and ``test`` with 80, 10 and 10
            percent of the pairs (at least one each), named 1.png, 2.png, ...
        count: Number of pairs, at least 3.
        size: Width and height of each half in pixels, 32 to 1024.
        seed: Chooses the facades, at least 0.

    Raises:
        ValueError: The count is too small, the size out of range, or the seed negative.
        UserError: The folder is not empty, or a file cannot be written.
    """
    check_size(size)
    if seed < 0:
        raise ArgumentError("seed", "at least 0", seed)
    if count < 3:
        raise ArgumentError("count", "at least 3 pairs (train, val, test)", count)
    held_out = max(count // 10, 1)
    shares = {"train": count - 2 * held_out, "val": held_out, "test": held_out}
    names = [f"{split}/{i + 1}.png" for split, share in shares.items() for i in range(share)]
    seeds = np.random.SeedSequence(seed).generate_state(count).tolist()
    with filling_folder(out) as folder, ThreadPoolExecutor() as pool:
        list(pool.map(write_pair, [folder / name for name in names], seeds, [size] * count))


def check_size(size: int) -> None:
    """Refuse sizes that cannot be drawn."""
    if not 32 <= size <= 1024:
        raise ArgumentError("size", "32 to 1024 pixels", size)


def write_pair(path: Path, seed: int, size: int) -> None:
    """Write one pair as a PNG: photo left, label map right, each (size, size, 3)."""
    label_maps, photo = draw_pair(seed, size)
    pair = Image.fromarray(np.hstack([photo, label_maps]))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, partial(pair.save, format="PNG", compress_level=3))


def draw_labels(elements: Iterable[Element], size: int) -> Picture:
    """Draw a label map, (size, size, 3) uint8 in colors of the palette; later elements on top."""
    label_map = np.empty((size, size, 3), np.uint8)
    for element in elements:
        label_map[element.box.pixels(size)] = FACADES_COLORS[element.kind]
    return label_map
