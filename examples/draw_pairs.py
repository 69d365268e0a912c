"""Draw image pairs that are no label maps, to try training on a folder of one's own.

The photos are drawn facades. For `edges`, A is a line drawing of the photo; A and B lie side by
side in one image, in train, val and test. For `gray`, A is the photo without its colors; A and B
lie in two folders without splits, A's files have one channel.

    python examples/draw_pairs.py edges --out pairs/edges
    python examples/draw_pairs.py gray --out pairs/gray --count 100
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import tyro
from jaxtyping import UInt8
from PIL import Image
from rich.console import Console
from rich.progress import track
from tyro.conf import Positional

from pix2pix_ilm.data.images import write_image
from pix2pix_ilm.data.synthetic.dataset import check_size, draw_pair
from pix2pix_ilm.errors import ArgumentError, UserError
from pix2pix_ilm.files import make_folder
from pix2pix_ilm.terminal import make_console

Photo = UInt8[np.ndarray, "h w 3"]
Gray = UInt8[np.ndarray, "h w 1"]

CONTRAST = 24  # levels of brightness from pixel to pixel that make a line
LUMA = (0.299, 0.587, 0.114)  # ITU-R 601, as Pillow turns colors into gray


@dataclass(frozen=True, kw_only=True)
class Options:
    """Draw image pairs that are no label maps."""

    kind: Positional[Literal["edges", "gray"]]
    """Form of A: lines (side by side with B), or gray (in a folder of its own)."""
    out: Path
    """A new folder for the pairs."""
    count: int = 500
    """Number of pairs."""
    size: int = 64
    """Height and width of each image."""
    seed: int = 0
    """Other seeds draw other photos."""

    def __post_init__(self) -> None:
        if self.count < 10:
            raise UserError(f"--count: expected at least 10, found {self.count}")
        if self.seed < 0:
            raise UserError(f"--seed: expected at least 0, found {self.seed}")
        if self.out.exists():
            raise UserError(f"--out: {self.out} exists; choose a new folder")
        try:
            check_size(self.size)
        except ArgumentError as error:
            raise UserError(error.describe("--size")) from None


def main(options: Options, console: Console) -> None:
    """Write the pairs, in the layout of their kind."""
    write = {"edges": write_side_by_side, "gray": write_two_folders}[options.kind]
    seeds = np.random.SeedSequence(options.seed).generate_state(options.count).tolist()
    for position, seed in enumerate(track(seeds, "Drawing", console=console)):
        _labels, photo = draw_pair(seed, options.size)
        write(options, position, photo)
    console.print(f"Done: {options.out}", soft_wrap=True)


def write_side_by_side(options: Options, position: int, photo: Photo) -> None:
    """Lines on the left, photo on the right; one tenth each for val and test."""
    held_out = options.count // 10
    left_over = options.count - position  # this pair and those after it
    split = "test" if left_over <= held_out else "val" if left_over <= 2 * held_out else "train"
    lines = np.repeat(edges(photo), 3, axis=2)
    save(options.out / split / f"{position + 1}.png", np.hstack([lines, photo]))


def write_two_folders(options: Options, position: int, photo: Photo) -> None:
    """Return the same name in A, without colors, and in B."""
    save(options.out / "A" / f"{position + 1}.png", gray(photo))
    save(options.out / "B" / f"{position + 1}.png", photo)


def save(path: Path, image: Photo | Gray) -> None:
    make_folder(path.parent)
    write_image(path, image)


def edges(photo: Photo) -> Gray:
    """Black lines on white paper where the brightness changes."""
    vertical, horizontal = np.gradient(np.dot(photo, LUMA))
    return np.where(np.hypot(vertical, horizontal) > CONTRAST, 0, 255).astype(np.uint8)[..., None]


def gray(photo: Photo) -> Gray:
    """Brightness alone."""
    return np.asarray(Image.fromarray(photo).convert("L"))[..., None]


if __name__ == "__main__":
    try:
        main(tyro.cli(Options), make_console())
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
