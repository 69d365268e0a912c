"""Opens the images of data sets and folders, and converts between uint8 and [-1, 1]."""

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import (
    BITSPERSAMPLE,
    PHOTOMETRIC_INTERPRETATION,
    SAMPLEFORMAT,
    TiffImageFile,
)
from torch import Tensor

from pix2pix_ilm.data.palette import Palette
from pix2pix_ilm.errors import UserError
from pix2pix_ilm.files import list_folder, write_atomically

WHITE = (255, 255, 255)
BICUBIC, NEAREST = Image.Resampling.BICUBIC, Image.Resampling.NEAREST
SUFFIXES = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".tif", ".tiff", ".gif")
GRAY_MODES = ("1", "L")
COLOR_MODES = ("LA", "P", "PA", "RGB", "RGBA", "RGBX", "RGBa", "CMYK", "YCbCr", "LAB", "HSV")
SIXTEEN_BIT_MODES = ("I", "I;16", "I;16L", "I;16B", "I;16N")
"""Pillow's modes that are read, all others are refused; I may hold more than 16 bits."""
GRAY_LEVELS = "gray levels"
"""Key of an opened image's ``info``: the step between its grays where Pillow spread them."""
NAMES_SHOWN = 3
Channels = int | Palette
"""Form that an image is read in: gray (1), RGB (3), or the classes of a palette."""
Read = TypeVar("Read")


def list_images(folder: Path) -> list[Path]:
    """List the image files directly in a folder, in natural order (2 before 10), but hidden ones.

    Raises:
        UserError: the folder is missing or cannot be listed.
    """
    return sorted(filter(is_image_file, list_folder(folder)), key=natural_key)


def is_image_file(path: Path) -> bool:
    """Return True for a suffix that can be read."""
    return kind_of(path) == "images"


def kind_of(path: Path) -> str:
    """Return what lies there: "images", or why it is not read as one; UserError if unknown."""
    image = path.suffix.lower() in SUFFIXES
    if path.name.startswith("."):
        return "hidden files"
    try:
        if image and path.is_file():
            return "images"
        if path.is_dir():
            return "folders"
        if path.is_symlink() and not path.exists():
            return "dangling links"
    except OSError as error:  # a folder whose names can be read, but not what they stand for
        raise UserError(f"{path.parent}: cannot be listed ({error.strerror})") from None
    return "special files" if image else "other suffixes"


def describe_left_out(paths: Sequence[Path], root: Path) -> str:
    """Say in one line what is not read, and why; empty if there is nothing."""
    files = "file" if len(paths) == 1 else "files"
    return f"{len(paths)} other {files} left out: {describe_kinds(paths, root)}" if paths else ""


def describe_kinds(paths: Iterable[Path], root: Path) -> str:
    """Name a few paths of every kind as seen from ``root``: "folders cats, dogs; ..."."""
    kinds: dict[str, list[str]] = {}
    for path in sorted(paths, key=natural_key):
        kinds.setdefault(kind_of(path), []).append(str(path.relative_to(root)))
    return "; ".join(f"{kind} {name_some(names)}" for kind, names in sorted(kinds.items()))


def name_some(names: Sequence[str]) -> str:
    """List the first names, and how many more there are."""
    more = len(names) - NAMES_SHOWN
    return ", ".join(names[:NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")


def natural_key(path: Path) -> tuple[list[str | int], str]:
    """Sort key that reads runs of digits as numbers; the whole name breaks ties."""
    parts = re.split(r"([0-9]+)", path.stem)  # text and digits in turn
    return [int(part) if position % 2 else part for position, part in enumerate(parts)], path.name


def read_image(path: Path, channels: Channels = 3) -> UInt8[np.ndarray, "h w c"]:
    """Decode an image file as 8-bit gray (1 channel) or RGB (3 channels), or as classes' indices.

    16-bit grays are scaled to 8 bits, transparent pixels show white, palettes are resolved, the
    first frame or page is taken, and the orientation that a camera noted is applied. Color
    profiles and gamma are not. ``as_indices`` tells how classes are read.

    Raises:
        UserError: the file is missing, not an image, truncated, too large to be one, of values
            whose range it does not say (floating-point, 32-bit integers), or of no class.
    """
    return read_as(path, lambda image: as_array(image, channels))


def read_as(path: Path, convert: Callable[[Image.Image], Read]) -> Read:
    """Decode an image file completely and convert it; errors, named, as in ``read_image``."""
    try:
        with Image.open(path) as image:
            return convert(first_frame(image))
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise UserError(f"{path}: expected an image file, found a folder") from None
    except Image.UnidentifiedImageError:
        raise UserError(f"{path}: cannot be read (not an image, or of an unknown kind)") from None
    except Exception as error:  # a damaged file can make a decoder raise nearly anything
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{path}: cannot be read ({reason})") from None


def first_frame(image: Image.Image) -> Image.Image:
    """Decode the first frame of an opened image, upright.

    Raises:
        UserError: a TIFF whose values Pillow would pass on as if they were of another kind.
    """
    if isinstance(image, TiffImageFile):
        check_tiff(image)
    raw_mode = image.tile[0].args if isinstance(image, PngImageFile) and image.tile else None
    key = image.info.get("transparency")  # in the file's bits, where Pillow decodes 8
    if raw_mode in ("L;2", "L;4"):
        image.info[GRAY_LEVELS] = 85 if raw_mode == "L;2" else 17
        if key is not None:
            image.info["transparency"] = key * image.info[GRAY_LEVELS]
    elif raw_mode == "RGB;16B" and key is not None:
        image.info["transparency"] = tuple(value >> 8 for value in key)
    image.load()
    return ImageOps.exif_transpose(image)


def check_tiff(image: TiffImageFile) -> None:
    """Refuse signed, 12-bit and inverted 16-bit values: Pillow reads on without a word."""
    bits = image.tag_v2.get(BITSPERSAMPLE, (1,))
    signed = 2 in image.tag_v2.get(SAMPLEFORMAT, (1,)) and 32 not in bits  # 32: by its range
    inverted = image.tag_v2.get(PHOTOMETRIC_INTERPRETATION) == 0 and 16 in bits
    if signed or inverted or 12 in bits:
        kind = "signed " if signed else "inverted " if inverted else ""
        raise UserError(
            f"expected 8-bit or 16-bit values from black at 0, found {kind}{bits[0]}-bit ones; "
            "save them as a PNG"
        )


def as_array(
    image: Image.Image, channels: Channels, page: tuple[int, int, int] = WHITE
) -> UInt8[np.ndarray, "h w c"]:
    """Return gray (1) or RGB (3) pixels of a decoded image, lying on a page, or their classes.

    Raises:
        UserError: a mode of Pillow that is not read, or values of no class; the message names no
            file.
    """
    if isinstance(channels, Palette):
        return as_indices(image, channels, page)
    opaque = on_page(to_eight_bits(image), page)
    pixels = np.array(opaque.convert("L" if channels == 1 else "RGB"))
    return pixels.reshape(*pixels.shape[:2], channels)


def as_indices(
    image: Image.Image, palette: Palette, page: tuple[int, int, int] = WHITE
) -> UInt8[np.ndarray, "h w 1"]:
    """Return the index of each pixel's class: an index map's own numbers, or the nearest color's.

    Raises:
        UserError: an index map with a number that is no class's index, or as in ``as_array``.
    """
    numbers = index_numbers(image)
    if numbers is None:
        return palette.nearest(as_array(image, 3, page))
    palette.check(numbers)
    return numbers.astype(np.uint8)[..., None]


def index_numbers(image: Image.Image) -> Int64[np.ndarray, "h w"] | None:
    """Return the numbers of an index map as they are stored, with 1 to 32 bits; None of colors.

    Index maps are what SPADE and Cityscapes have, images of a single channel. Those with colors
    for their numbers, as GIF and some PNGs have them, are read by these.
    """
    if image.mode not in (*GRAY_MODES, "LA", *SIXTEEN_BIT_MODES):
        return None
    values = np.asarray(image.getchannel("L") if image.mode == "LA" else image)
    return values.astype(np.int64) // image.info.get(GRAY_LEVELS, 1)


def to_eight_bits(image: Image.Image) -> Image.Image:
    """Convert an image to L, RGB or, if anything is transparent, RGBA; scale 16 bits to 8.

    Raises:
        UserError: a mode of Pillow that is not read.
    """
    if image.mode in GRAY_MODES + COLOR_MODES:
        opaque = "L" if image.mode in GRAY_MODES else "RGB"
        return image.convert("RGBA" if image.has_transparency_data else opaque)
    values = np.asarray(image)
    if image.mode not in SIXTEEN_BIT_MODES or not is_sixteen_bit(values):
        raise UserError(
            f"expected 8-bit or 16-bit values, found {values.dtype} from {values.min():g} to "
            f"{values.max():g}; scale them so that white is 255 or 65535, and save them as a PNG"
        )
    gray = (values / 257).round().astype(np.uint8)
    if "transparency" not in image.info:
        return Image.fromarray(gray)
    alpha = np.where(values == image.info["transparency"], 0, 255).astype(np.uint8)
    return Image.fromarray(np.dstack([gray, gray, gray, alpha]))


def is_sixteen_bit(values: np.ndarray) -> bool:
    """Tell if integers use 16 bits; 32-bit ones up to 255 are of 8 bits, and would show black."""
    low, high = int(values.min()), int(values.max())
    return values.dtype.itemsize == 2 or low == high == 0 or (low >= 0 and 256 <= high <= 65535)


def on_page(image: Image.Image, page: tuple[int, int, int]) -> Image.Image:
    """Show transparent pixels as on a page of this color; opaque images stay as they are."""
    if not image.has_transparency_data:
        return image
    rgba = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", rgba.size, page), rgba)


def resize(
    pixels: UInt8[np.ndarray, "h w c"],
    size: int,
    resample: Image.Resampling = BICUBIC,
) -> UInt8[np.ndarray, "size size c"]:
    """Resize to a square, by bicubic filtering as pix2pix does for both images of a pair."""
    if pixels.shape[:2] == (size, size):
        return pixels
    resized = np.asarray(as_image(pixels).resize((size, size), resample))
    return resized.reshape(size, size, -1)


def as_image(pixels: UInt8[np.ndarray, "h w c"]) -> Image.Image:
    """Return pixels, gray (1 channel) or RGB (3), as an image of Pillow's."""
    return Image.fromarray(pixels.squeeze(2) if pixels.shape[2] == 1 else pixels)


def write_image(path: Path, pixels: UInt8[np.ndarray, "h w c"]) -> None:
    """Write a PNG, fast: of photos 7 % larger. Errors as in ``write_atomically``."""
    write_atomically(path, lambda file: as_image(pixels).save(file, "PNG", compress_level=1))


def to_model_range(pixels: UInt8[Tensor, "b h w c"]) -> Float[Tensor, "b c h w"]:
    """Return uint8 images, channels last, as contiguous float32 in [-1, 1], channels first."""
    images = pixels.permute(0, 3, 1, 2)
    return images.to(torch.float32, memory_format=torch.contiguous_format).div_(127.5).sub_(1)


def encode_label_maps(
    label_maps: UInt8[Tensor, "b h w c1"], palette: Palette | None
) -> Float[Tensor, "b c2 h w"]:
    """Return label maps as both networks take them, float32, on their device.

    Args:
        label_maps: gray or RGB; with a palette RGB, or indices of its classes (one channel).
        palette: of the networks, if they were trained with one.

    Returns:
        Gray or RGB in [-1, 1]; with a palette a channel for each class, 1 where a pixel is of it
        and -1 elsewhere.
    """
    if palette is None:
        return to_model_range(label_maps)
    device = label_maps.device
    if label_maps.shape[3] == 3:
        label_maps = torch.from_numpy(palette.nearest(label_maps.cpu().numpy())).to(device)
    classes = torch.arange(len(palette), dtype=torch.uint8, device=device)
    one_hot = (label_maps == classes).permute(0, 3, 1, 2)
    return one_hot.to(torch.float32, memory_format=torch.contiguous_format).mul_(2).sub_(1)


def to_uint8(images: Float[Tensor, "b c h w"]) -> UInt8[Tensor, "b h w c"]:
    """Return images in [-1, 1], channels first, as rounded and clipped uint8, channels last."""
    scaled = images.float().add(1).mul(127.5).round().clamp(0, 255)
    return scaled.to(torch.uint8).permute(0, 2, 3, 1).contiguous()
