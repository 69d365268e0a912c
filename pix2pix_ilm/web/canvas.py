"""The painter of label maps, and the pictures that travel between it and the server."""

import base64
import io
import struct
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from jaxtyping import UInt8
from PIL import Image

from pix2pix_ilm.data.facades import PALETTE
from pix2pix_ilm.data.images import as_array
from pix2pix_ilm.errors import UserError

ASSETS = Path(__file__).parent / "assets"
SCRIPTS = ("raster.js", "painter.js", "controls.js")
CANVAS_SIZE = 256  # pixels of either side

NAMES = {
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

URL_START = "data:image/png;base64,"
PNG_START = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + struct.pack(">II", CANVAS_SIZE, CANVAS_SIZE)
LONGEST_URL = 500_000  # characters: random pixels, which PNG cannot compress, need 350,000
UNREADABLE = "The drawing could not be read; press Clear and paint again."


def label_canvas(value: str | None = None, **kwargs: Any) -> gr.HTML:
    """A painter of label maps in the colours of CMP Facades.

    Its value is a PNG as a data URL (``from_data_url``, ``to_data_url``). It has the events
    ``input``, after whatever a person did to the picture, and ``random``, for the button of that
    name. A value that the server sets becomes a step which can be undone, without ``input``.

    Args:
        value: what it shows at first; an empty wall by default.
        **kwargs: further arguments of ``gr.HTML``, such as ``elem_id``.
    """
    return gr.HTML(
        value=value,
        html_template=asset("painter.html"),
        css_template=asset("painter.css"),
        js_on_load="\n".join(map(asset, SCRIPTS)),
        apply_default_css=False,
        classes=classes(),
        size=CANVAS_SIZE,
        **kwargs,
    )


def asset(name: str) -> str:
    return (ASSETS / name).read_text("utf-8")


def classes() -> list[dict[str, str]]:
    """What the painter has to know of each class: name, tooltip, colour and key."""
    return [
        {
            "name": name,
            "title": f"{cmp_name} in CMP Facades{HINTS.get(cmp_name, '')}",
            "hex": "#{:02x}{:02x}{:02x}".format(*PALETTE[cmp_name]),
            "key": key,
        }
        for (cmp_name, name), key in zip(NAMES.items(), KEYS, strict=True)
    ]


def to_data_url(label: UInt8[np.ndarray, "h w 3"]) -> str:
    """A label map as a value for the painter, which shows it at its own size."""
    file = io.BytesIO()
    Image.fromarray(label).save(file, format="PNG")
    return URL_START + base64.b64encode(file.getvalue()).decode("ascii")


def from_data_url(value: object) -> UInt8[np.ndarray, "256 256 3"]:
    """The label map that a browser sent, which can be any JSON.

    Raises:
        UserError: not a PNG of 256x256 pixels as a data URL of at most 500,000 characters.
    """
    try:
        return decode(value)
    except Exception:  # a hostile file can make a decoder raise nearly anything
        raise UserError(UNREADABLE) from None


def decode(value: object) -> UInt8[np.ndarray, "256 256 3"]:
    """``from_data_url`` with whatever error comes first."""
    if not isinstance(value, str) or len(value) > LONGEST_URL or not value.startswith(URL_START):
        raise ValueError("not the data URL of a PNG")
    data = base64.b64decode(value.removeprefix(URL_START), validate=True)
    if not data.startswith(PNG_START):
        raise ValueError("not a PNG of the right size")
    with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
        if image.size != (CANVAS_SIZE, CANVAS_SIZE):  # a second header can contradict the first
            raise ValueError("not one size")
        image.load()
        return as_array(image, channels=3)
