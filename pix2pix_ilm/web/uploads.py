"""Images from strangers: checked before they are decoded, refused in plain sentences, resized."""

import warnings
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from gradio.data_classes import ImageData, ListFiles
from gradio.utils import get_upload_folder
from jaxtyping import UInt8
from PIL import Image, ImageFilter, UnidentifiedImageError

from pix2pix_ilm.data.images import WHITE, as_array, as_indices, first_frame, index_numbers
from pix2pix_ilm.data.palette import FACADES_COLORS, FACADES_PALETTE, Color, Palette
from pix2pix_ilm.errors import UserError
from pix2pix_ilm.web.error_handlers import shorten

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF")
SUFFIXES = [".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif"]
MIN_SIDE = 16  # pixels
MAX_PIXELS = 4096 * 4096
MAX_SIDE = 1024  # pixels of a label map that is translated
RGBImage = UInt8[np.ndarray, "_ _ 3"]


def image_input(title: str, **settings: Any) -> gr.Image:
    """Make an upload, by choosing, dropping or pasting, that actions get as a path.

    Gradio would open the file by itself, and answer what Pillow refuses with a bare "Error".
    """
    image = gr.Image(
        label=title,
        type="filepath",
        image_mode=None,
        sources=["upload", "clipboard"],
        buttons=["fullscreen"],
        **settings,
    )
    image.preprocess = uploaded_path  # pyright: ignore[reportAttributeAccessIssue]
    return image


def files_input(title: str, **settings: Any) -> gr.Files:
    """Make an upload of several files, that actions get as paths."""
    files = gr.Files(label=title, file_types=SUFFIXES, **settings)
    # Gradio's own leaves an empty file behind for every upload.
    files.preprocess = uploaded_paths  # pyright: ignore[reportAttributeAccessIssue]
    return files


def uploaded_path(payload: ImageData | None) -> str | None:
    """Return an uploaded file's path, or None."""
    return payload.path if payload else None


def uploaded_paths(payload: ListFiles | None) -> list[str]:
    """Return the paths of uploaded files."""
    return [file.path for file in payload] if payload else []


def read_label_map(path: str | None, palette: Palette | None = None) -> RGBImage:
    """Read an uploaded label map; what is transparent is wall, or of the palette's first class.

    Raises:
        UserError: as in ``read_upload``.
    """
    return read_upload(path, "label map", ground(palette or FACADES_PALETTE), palette)


def ground(palette: Palette) -> Color:
    """Return the color of an empty picture."""
    return FACADES_COLORS["facade"] if palette == FACADES_PALETTE else palette.classes[0].color


def read_photo(path: str | None) -> RGBImage:
    """Read an uploaded photo; what is transparent is white.

    Raises:
        UserError: as in ``read_upload``.
    """
    return read_upload(path, "photo", WHITE)


def read_upload(
    path: str | None, what: str, page: Color, palette: Palette | None = None
) -> RGBImage:
    """Decode a file that a visitor sent.

    Args:
        path: where the server put it.
        what: what it is expected to be, for the message when there is none.
        page: the color under transparent pixels.
        palette: index maps get its colors; all other images keep theirs.

    Raises:
        UserError: no file, a path that is no upload, not an image of a known format, damaged, or
            too small or too large, or an index map with numbers of no class; the sentence is
            meant for the visitor and names no folder.
    """
    if not path:
        raise UserError(f"Choose a {what} first.")
    file = Path(path)
    name = shorten(file.name)
    if not is_upload(file):
        raise UserError("That file is not here any more; please upload it again.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            return rgb_pixels(decode(file), name, page, palette)
    except UserError:
        raise
    except UnidentifiedImageError:
        raise UserError(
            f"{name} is not an image that can be read here ({', '.join(FORMATS)})."
        ) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise UserError(f"{name} has too many pixels; the most are 4096x4096.") from None
    except Exception:  # a damaged file can make a decoder raise nearly anything
        raise UserError(f"{name} is damaged and cannot be opened.") from None


def rgb_pixels(image: Image.Image, name: str, page: Color, palette: Palette | None) -> RGBImage:
    """Return a decoded image's colors; of an index map, with a palette, those of its classes."""
    if palette is None or index_numbers(image) is None:
        return as_array(image, 3, page)
    try:
        return palette.paint(as_indices(image, palette))
    except UserError as error:
        raise UserError(f"{name}: {error}") from None


def is_upload(file: Path) -> bool:
    """Return whether a path leads to a file in the server's upload folder, and nowhere else."""
    try:
        resolved = file.resolve()
        return resolved.is_relative_to(Path(get_upload_folder()).resolve()) and resolved.is_file()
    except (OSError, ValueError):  # too long a name, a NUL in it
        return False


def decode(file: Path) -> Image.Image:
    """Decode the first frame, upright; its size is checked before its pixels are decoded."""
    with Image.open(file, formats=FORMATS) as image:
        width, height = image.size
        name = shorten(file.name)
        if width * height > MAX_PIXELS:
            raise UserError(f"{name} is {width}x{height}; the most are 4096x4096 pixels.")
        if min(width, height) < MIN_SIDE:
            raise UserError(
                f"{name} is {width}x{height}; it must be at least {MIN_SIDE}x{MIN_SIDE}."
            )
        return first_frame(image)


def resize(label_map: RGBImage, width: int, height: int) -> RGBImage:
    """Resize by the nearest pixel, which invents no colors."""
    if label_map.shape[:2] == (height, width):
        return label_map
    return np.asarray(Image.fromarray(label_map).resize((width, height), Image.Resampling.NEAREST))


def limit_size(label_map: RGBImage) -> RGBImage:
    """Reduce a label map to sides of at most 1024 pixels, without blending colors."""
    height, width = label_map.shape[:2]
    scale = MAX_SIDE / max(height, width)
    if scale >= 1:
        return label_map
    reduced_width, reduced_height = (max(1, int(side * scale + 0.5)) for side in (width, height))
    return resize(label_map, reduced_width, reduced_height)


def snap_to_palette(label_map: RGBImage, palette: Palette) -> tuple[RGBImage, float]:
    """Move every pixel to the nearest color of a class.

    Returns:
        The label map in those colors, and the fraction of its pixels that changed, in [0, 1].
    """
    snapped = palette.paint(palette.nearest(label_map))
    return snapped, (snapped != label_map).any(axis=2).mean().item()


def clean_edges(label_map: RGBImage, palette: Palette) -> RGBImage:
    """Give every pixel the class that is most frequent within 5x5 pixels around it."""
    classes = Image.fromarray(palette.nearest(label_map)[..., 0])
    return palette.paint(np.asarray(classes.filter(ImageFilter.ModeFilter(5)))[..., None])
