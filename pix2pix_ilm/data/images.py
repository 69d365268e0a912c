"""The only place that opens image files and converts between uint8 and [-1, 1]."""

import re
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image, ImageOps
from torch import Tensor

from pix2pix_ilm.errors import UserError
from pix2pix_ilm.files import write_atomically

WHITE = (255, 255, 255)
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


def list_images(folder: Path) -> list[Path]:
    """Image files directly in a folder, in natural order (2 before 10), hidden ones left out.

    Raises:
        UserError: the folder is missing or cannot be listed.
    """
    try:
        return sorted(filter(is_image_file, folder.iterdir()), key=natural_key)
    except OSError as error:
        raise UserError(f"{folder}: cannot be listed ({error.strerror})") from None


def is_image_file(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()


def natural_key(path: Path) -> tuple[list[str | int], str]:
    """Sort key that reads runs of digits as numbers; the whole name breaks ties."""
    parts = re.split(r"([0-9]+)", path.stem)  # text and digits in turn
    return [int(part) if position % 2 else part for position, part in enumerate(parts)], path.name


def read_image(path: Path, channels: int = 3) -> UInt8[np.ndarray, "h w c"]:
    """Decode an image file as 8-bit grey (1 channel) or RGB (3 channels).

    16-bit greys are scaled to 8 bits, transparent pixels show white, palettes are resolved, and
    the orientation that a camera noted is applied.

    Raises:
        UserError: the file is missing, not an image, truncated, or too large to be one.
    """
    return as_array(open_image(path), channels)


def open_image(path: Path) -> Image.Image:
    """Decode an image file completely; errors as in ``read_image``."""
    try:
        with Image.open(path) as image:
            image.load()
            return ImageOps.exif_transpose(image)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise UserError(f"{path}: expected an image file, found a folder") from None
    except Image.UnidentifiedImageError:
        raise UserError(f"{path}: cannot be read (not an image)") from None
    except Exception as error:  # a damaged file can make a decoder raise nearly anything
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{path}: cannot be read ({reason})") from None


def as_array(
    image: Image.Image, channels: int, page: tuple[int, int, int] = WHITE
) -> UInt8[np.ndarray, "h w c"]:
    """Grey (1) or RGB (3) pixels of a decoded image, of any Pillow mode, lying on a page."""
    opaque = on_page(to_eight_bits(image), page)
    pixels = np.array(opaque.convert("L" if channels == 1 else "RGB"))
    return pixels.reshape(*pixels.shape[:2], channels)


def to_eight_bits(image: Image.Image) -> Image.Image:
    """Scale 16-bit greys (0..65535) to 0..255; other images stay as they are."""
    if not image.mode.startswith("I"):
        return image
    values = np.asarray(image).astype(np.float64) / 257
    return Image.fromarray(values.round().clip(0, 255).astype(np.uint8))


def on_page(image: Image.Image, page: tuple[int, int, int]) -> Image.Image:
    """Show transparent pixels as on a page of this colour; opaque images stay as they are."""
    if not image.has_transparency_data:
        return image
    rgba = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", rgba.size, page), rgba)


def resize(pixels: UInt8[np.ndarray, "h w c"], size: int) -> UInt8[np.ndarray, "size size c"]:
    """Bicubic resize to a square, as pix2pix does for both images of a pair."""
    if pixels.shape[:2] == (size, size):
        return pixels
    image = Image.fromarray(pixels.squeeze(2) if pixels.shape[2] == 1 else pixels)
    resized = np.asarray(image.resize((size, size), Image.Resampling.BICUBIC))
    return resized.reshape(size, size, -1)


def write_image(path: Path, pixels: UInt8[np.ndarray, "h w c"]) -> None:
    """Write a PNG; errors as in ``write_atomically``."""
    image = Image.fromarray(pixels.squeeze(2) if pixels.shape[2] == 1 else pixels)
    write_atomically(path, lambda file: image.save(file, format="PNG"))


def to_unit(pixels: UInt8[Tensor, "b h w c"]) -> Float[Tensor, "b c h w"]:
    """uint8 images, channels last, to contiguous float32 in [-1, 1], channels first."""
    images = pixels.permute(0, 3, 1, 2)
    return images.to(torch.float32, memory_format=torch.contiguous_format).div_(127.5).sub_(1)


def to_uint8(images: Float[Tensor, "b c h w"]) -> UInt8[Tensor, "b h w c"]:
    """Images in [-1, 1], channels first, to rounded uint8, channels last; values are clipped."""
    scaled = images.float().add(1).mul(127.5).round().clamp(0, 255)
    return scaled.to(torch.uint8).permute(0, 2, 3, 1).contiguous()
