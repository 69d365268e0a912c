"""Translate image files into image files."""

import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from rich.progress import track

from pix2pix_ilm.data.images import list_images, read_image, write_image
from pix2pix_ilm.data.pairs import no_images, read_halves
from pix2pix_ilm.data.parallel import in_parallel, returning_errors
from pix2pix_ilm.devices import Backend, Device
from pix2pix_ilm.errors import UserError
from pix2pix_ilm.files import is_folder, list_problems, making_folder
from pix2pix_ilm.serving.translator import Translator

Named = tuple[Path, Path, UInt8[np.ndarray, "_ _ _"]]
"""An image, where it is to be written, and the file that it is made from."""
WAITING = 4  # images, of up to 50 MB, that wait to be translated, and to be written


def translate_files(
    inputs: Iterable[Path],
    checkpoint: str | Path,
    out: Path,
    *,
    side_by_side: bool = False,
    fast: bool = False,
    device: Device = "auto",
    backend: Backend = "auto",
) -> None:
    """Write ``out/NAME.png`` for every input file, and every image directly in an input folder.

    Args:
        inputs: images, or folders of them.
        checkpoint: the trained model, as of ``resolve_checkpoint``.
        out: folder for the photos; made if it is missing.
        side_by_side: inputs are pairs, of which only the half that is the label map is read.
        fast: in bfloat16, where that is faster.
        device: where to compute.
        backend: by which program, as of ``Translator.from_pretrained``.

    Raises:
        UserError: no checkpoint or no images; or, after the others were translated, a list of
            the files that could not be.
    """
    targets = plan(inputs, out)
    translator = Translator.load(checkpoint, device, fast=fast, backend=backend)

    def read(names: tuple[Path, Path]) -> Named:
        target, source = names
        return target, source, read_label(source, translator, side_by_side)

    def translate(label_map: Named) -> Named:
        target, source, pixels = label_map
        try:
            return target, source, translator([pixels])[0]
        except UserError as error:
            raise UserError(f"{source}: {error}") from None

    def write(photo: Named) -> None:
        target, _, pixels = photo
        write_image(target, pixels)

    # Threads read ahead and write behind; this one translates.
    with making_folder(out):
        label_maps = in_parallel(returning_errors(read), targets.items(), WAITING)
        photos = map(returning_errors(translate), label_maps)
        written = in_parallel(returning_errors(write), photos, WAITING)
        hidden = not sys.stdout.isatty()
        results = list(track(written, "Translating", len(targets), disable=hidden))
        problems = [str(result) for result in results if result is not None]
        if problems:
            done = len(targets) - len(problems)
            raise UserError(
                list_problems(f"{done} of {len(targets)} images translated; not these", problems)
            )


def plan(inputs: Iterable[Path], out: Path) -> dict[Path, Path]:
    """Return the inputs by their outputs; UserError if two inputs share an output."""
    targets: dict[Path, Path] = {}
    for given in inputs:
        found = list_images(given) if is_folder(given) else [given]
        if not found:
            raise no_images(given)
        for source in found:
            target = out / f"{source.stem}.png"
            if target in targets:
                raise UserError(f"{source} and {targets[target]} would both become {target}")
            if target.exists() and source.exists() and target.samefile(source):
                raise UserError(f"{target}: would be overwritten; choose another folder")
            targets[target] = source
    return targets


def read_label(
    source: Path, translator: Translator, side_by_side: bool
) -> UInt8[np.ndarray, "h w c"]:
    """Read the label map of an input file, as the generator expects it."""
    channels = translator.config.label_channels
    if not side_by_side:
        return read_image(source, channels)
    a, b = read_halves(source, (channels, channels))
    return a if translator.config.direction == "AtoB" else b
