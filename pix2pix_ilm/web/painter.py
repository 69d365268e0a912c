"""The painter of label maps, and the drawings that travel between it and the server."""

import base64
import io
import struct
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from jaxtyping import UInt8
from PIL import Image

from pix2pix_ilm.data.images import as_array
from pix2pix_ilm.data.palette import FACADES_COLORS, FACADES_PALETTE, Color, Palette
from pix2pix_ilm.data.synthetic.dataset import draw_labels
from pix2pix_ilm.data.synthetic.layout import lay_out
from pix2pix_ilm.errors import UserError
from pix2pix_ilm.web.uploads import RGBImage, clean_edges, ground, resize, snap_to_palette

ASSETS = Path(__file__).parent / "assets"
SCRIPTS = ("raster.js", "classes.js", "link.js", "painter.js", "controls.js")
CANVAS_SIZE = 256  # pixels of either side
EXAMPLES = (42, 4, 7, 21, 33, 35, 11, 58)  # seeds of drawn facades to go on from
CLASS_NAMES = {
    "facade": "Wall",
    "window": "Window",
    "door": "Door",
    "cornice": "Cornice",
    "sill": "Sill",
    "balcony": "Balcony",
    "blind": "Shutter",
    "deco": "Trim",
    "molding": "Molding",
    "pillar": "Pillar",
    "shop": "Shop",
    "background": "Background",
}
"""CMP's classes by the names that people use; the first is what an empty canvas shows."""
HINTS = {"background": ": sky and surroundings"}
KEYS = "1234567890-="

URL_PREFIX = "data:image/png;base64,"
PNG_PREFIX = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + struct.pack(">II", CANVAS_SIZE, CANVAS_SIZE)
MAX_URL_LENGTH = 500_000  # characters: random pixels, which PNG cannot compress, need 350,000


def painter(
    value: str | None = None, palette: Palette = FACADES_PALETTE, **settings: Any
) -> gr.HTML:
    """Make a painter of label maps, of a palette's classes until an event sets others.

    Others come as ``gr.HTML(**painter_props(palette))``; a person who has painted is asked before.

    Its value is a PNG as a data URL (``decode_drawing``, ``encode_drawing``). It has the events
    ``input``, after whatever a person did to the picture, ``random``, for the button of that name,
    and ``link``, after the address of an open page got a picture. A value that the server sets
    becomes a step which can be undone, without ``input``.

    Args:
        value: what it shows at first; an empty picture by default.
        palette: the classes.
        **settings: further arguments of ``gr.HTML``, such as ``elem_id``.
    """
    return gr.HTML(
        value=value,
        html_template=read_asset("painter.html"),
        css_template=read_asset("painter.css"),
        js_on_load="\n".join(map(read_asset, SCRIPTS)),
        apply_default_css=False,
        **painter_props(palette),
        **settings,
    )


def read_asset(name: str) -> str:
    """Read a text file of the page."""
    return (ASSETS / name).read_text("utf-8")


def painter_props(palette: Palette = FACADES_PALETTE) -> dict[str, Any]:
    """List what the painter has to know of a palette.

    Returns:
        classes: name, tooltip, color and key of each class, the first of which is the ground.
        drawable: whether ``draw_facade`` draws with these classes.
        size: pixels of either side.
    """
    drawable = set(map(tuple, palette.colors.tolist())) == set(FACADES_COLORS.values())
    entries = facades_entries() if drawable else other_entries(palette)
    keys = chain(KEYS, repeat(""))  # those after the twelfth are chosen by mouse, or by arrows
    classes = [entry | {"key": key} for entry, key in zip(entries, keys, strict=False)]
    return {"classes": classes, "drawable": drawable, "size": CANVAS_SIZE}


def facades_entries() -> list[dict[str, str]]:
    """List CMP's classes: name, tooltip and color of each."""
    return [
        {
            "name": name,
            "title": f"{cmp_name} in CMP Facades{HINTS.get(cmp_name, '')}",
            "hex": hexadecimal(FACADES_COLORS[cmp_name]),
        }
        for cmp_name, name in CLASS_NAMES.items()
    ]


def other_entries(palette: Palette) -> list[dict[str, str]]:
    """List the classes of a palette: name, tooltip and color of each."""
    return [
        {"name": one.name, "title": f"Class {index}: {one.name}", "hex": hexadecimal(one.color)}
        for index, one in enumerate(palette.classes)
    ]


def hexadecimal(color: Color) -> str:
    """Write a color as #rrggbb."""
    return "#" + bytes(color).hex()


def draw_facade(seed: int | None = None) -> UInt8[np.ndarray, "256 256 3"]:
    """Draw the label map of a facade; without a seed, of a new one every time."""
    return draw_labels(lay_out(np.random.default_rng(seed)).elements, CANVAS_SIZE)


def fit_to_canvas(
    label_map: RGBImage, palette: Palette = FACADES_PALETTE, *, clean: bool
) -> UInt8[np.ndarray, "256 256 3"]:
    """Bring a label map to the painter's colors and size.

    Beside it is background, or the first class of a palette that has none of this name.

    Args:
        label_map: in any colors.
        palette: the painter's classes.
        clean: also give pixels of blurred edges, which have colors of classes that are not there,
            to the class that most of their neighbors have.
    """
    label_map, changed = snap_to_palette(label_map, palette)
    if clean and changed:
        label_map = clean_edges(label_map, palette)
    height, width = label_map.shape[:2]
    scale = CANVAS_SIZE / max(height, width)
    inner = resize(label_map, max(1, round(width * scale)), max(1, round(height * scale)))
    top, left = ((CANVAS_SIZE - side) // 2 for side in inner.shape[:2])
    colors = {one.name: one.color for one in palette.classes}
    beside = colors.get("background", ground(palette))
    canvas = np.full((CANVAS_SIZE, CANVAS_SIZE, 3), beside, np.uint8)
    canvas[top : top + inner.shape[0], left : left + inner.shape[1]] = inner
    return canvas


def encode_drawing(label_map: UInt8[np.ndarray, "h w 3"]) -> str:
    """Encode a label map as a value for the painter, which shows it at its own size."""
    file = io.BytesIO()
    Image.fromarray(label_map).save(file, format="PNG")
    return URL_PREFIX + base64.b64encode(file.getvalue()).decode("ascii")


def decode_drawing(value: object) -> UInt8[np.ndarray, "256 256 3"]:
    """Decode the label map that a browser sent, which can be any JSON.

    Raises:
        UserError: not a PNG of 256x256 pixels as a data URL of at most 500,000 characters.
    """
    try:
        if not isinstance(value, str) or len(value) > MAX_URL_LENGTH:
            raise ValueError("not a text of the right length")
        if not value.startswith(URL_PREFIX):
            raise ValueError("not the data URL of a PNG")
        data = base64.b64decode(value.removeprefix(URL_PREFIX), validate=True)
        if not data.startswith(PNG_PREFIX):
            raise ValueError("not a PNG of the right size")
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            if image.size != (CANVAS_SIZE, CANVAS_SIZE):  # a second header can contradict the first
                raise ValueError("not one size")
            image.load()
            return as_array(image, channels=3)
    except Exception:  # a hostile file can make a decoder raise nearly anything
        raise UserError("The drawing could not be read; press Clear and paint again.") from None
