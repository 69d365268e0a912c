import base64
import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from pix2pix_ilm.data.facades import PALETTE
from pix2pix_ilm.errors import UserError
from pix2pix_ilm.web.canvas import (
    CANVAS_SIZE,
    LONGEST_URL,
    URL_START,
    classes,
    from_data_url,
    label_canvas,
    to_data_url,
)


def random_label(size: int = CANVAS_SIZE) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (size, size, 3), np.uint8)


def as_url(data: bytes) -> str:
    return URL_START + base64.b64encode(data).decode()


def encoded(image: Image.Image, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, **{"format": "PNG"} | options)
    return file.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    checksum = zlib.crc32(kind + body)
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", checksum)


def header(width: int, height: int) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))


def test_what_is_encoded_is_decoded():
    label = random_label()
    assert np.array_equal(from_data_url(to_data_url(label)), label)


def test_the_largest_drawing_is_not_too_long():
    rgba = np.random.default_rng(0).integers(0, 256, (CANVAS_SIZE, CANVAS_SIZE, 4), np.uint8)
    assert len(as_url(encoded(Image.fromarray(rgba), compress_level=0))) < LONGEST_URL


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "1"])
def test_every_kind_of_png_becomes_rgb(mode):
    image = Image.new("RGB", (CANVAS_SIZE, CANVAS_SIZE), "white").convert(mode)
    label = from_data_url(as_url(encoded(image)))
    assert label.dtype == np.uint8
    assert (label == 255).all()


PNG = encoded(Image.fromarray(random_label()))
SMALL = encoded(Image.fromarray(random_label(8)))
SIGNATURE, PIXELS = PNG[:8], PNG[33:]  # before and after the header
HOSTILE = {
    "null": None,
    "a number": 7,
    "a list": [URL_START],
    "an object": {"path": "/etc/passwd"},
    "nothing": "",
    "a path": "/etc/passwd",
    "an address": "http://localhost/a.png",
    "no content": URL_START,
    "another type": as_url(PNG).replace("image/png", "image/jpeg"),
    "not base64": as_url(PNG)[:-4] + "!!!!",
    "line breaks": as_url(PNG)[:100] + "\n" + as_url(PNG)[100:],
    "not ASCII": URL_START + "é" * 400,
    "a JPEG": as_url(encoded(Image.fromarray(random_label()), format="JPEG")),
    "a GIF": as_url(encoded(Image.new("P", (CANVAS_SIZE, CANVAS_SIZE)), format="GIF")),
    "text": as_url(b"hello" * 100),
    "too small": as_url(SMALL),
    "too wide": as_url(encoded(Image.new("RGB", (CANVAS_SIZE + 1, CANVAS_SIZE)))),
    "too long": as_url(PNG + bytes(LONGEST_URL)),
    "just a header": as_url(PNG[:33]),
    "cut": as_url(PNG[: len(PNG) // 2]),
    "damaged": as_url(PNG[:60] + bytes(40) + PNG[100:]),
    "a size that its pixels do not have": as_url(SIGNATURE + header(256, 256) + SMALL[33:]),
    "two headers": as_url(SIGNATURE + header(256, 256) + header(12000, 12000) + PIXELS),
    "a bomb of text": as_url(
        PNG[:33] + chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(100_000_000))) + PIXELS
    ),
}


@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_anything_else_is_refused_in_one_sentence(value):
    with pytest.raises(UserError, match=r"^The drawing could not be read; [^.\n]+\.$"):
        from_data_url(value)


def test_every_class_is_there_once_with_its_own_colour_and_key():
    entries = classes()
    colours = {"#" + bytes(colour).hex(): name for name, colour in PALETTE.items()}
    assert {entry["hex"] for entry in entries} == set(colours)
    for entry in entries:
        assert entry["title"].startswith(colours[entry["hex"]])
    for field in ("name", "key"):
        assert len({entry[field] for entry in entries}) == len(PALETTE)
    assert entries[0]["name"] == "Wall"


def test_further_arguments_reach_the_component():
    component = label_canvas("data:,", elem_id="painter")
    assert component.elem_id == "painter"
    assert component.value == "data:,"


def test_the_value_is_no_part_of_the_template():
    """Else the canvas would be drawn anew, and empty, with every change of the value."""
    component = label_canvas()
    assert "value}" not in component.html_template + component.css_template
