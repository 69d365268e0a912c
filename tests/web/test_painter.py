import base64
import io
import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pix2pix_ilm.data.palette import CITYSCAPES_PALETTE, FACADES_COLORS, MOST_CLASSES
from pix2pix_ilm.errors import UserError
from pix2pix_ilm.web.painter import (
    ASSETS,
    CANVAS_SIZE,
    MAX_URL_LENGTH,
    URL_PREFIX,
    decode_drawing,
    draw_facade,
    encode_drawing,
    fit_to_canvas,
    painter,
    painter_props,
)
from pix2pix_ilm.web.uploads import read_label_map


def random_label_map(size: int = CANVAS_SIZE) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (size, size, 3), np.uint8)


def as_url(data: bytes) -> str:
    return URL_PREFIX + base64.b64encode(data).decode()


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
    label_map = random_label_map()
    assert np.array_equal(decode_drawing(encode_drawing(label_map)), label_map)


def test_the_largest_drawing_is_not_too_long():
    rgba = np.random.default_rng(0).integers(0, 256, (CANVAS_SIZE, CANVAS_SIZE, 4), np.uint8)
    assert len(as_url(encoded(Image.fromarray(rgba), compress_level=0))) < MAX_URL_LENGTH


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "1"])
def test_every_kind_of_png_becomes_rgb(mode):
    image = Image.new("RGB", (CANVAS_SIZE, CANVAS_SIZE), "white").convert(mode)
    label_map = decode_drawing(as_url(encoded(image)))
    assert label_map.dtype == np.uint8
    assert (label_map == 255).all()


PNG = encoded(Image.fromarray(random_label_map()))
SMALL = encoded(Image.fromarray(random_label_map(8)))
SIGNATURE, PIXELS = PNG[:8], PNG[33:]  # before and after the header
HOSTILE = {
    "null": None,
    "a number": 7,
    "a list": [URL_PREFIX],
    "an object": {"path": "/etc/passwd"},
    "nothing": "",
    "a path": "/etc/passwd",
    "an address": "http://localhost/a.png",
    "no content": URL_PREFIX,
    "another type": as_url(PNG).replace("image/png", "image/jpeg"),
    "not base64": as_url(PNG)[:-4] + "!!!!",
    "line breaks": as_url(PNG)[:100] + "\n" + as_url(PNG)[100:],
    "not ASCII": URL_PREFIX + "é" * 400,
    "a JPEG": as_url(encoded(Image.fromarray(random_label_map()), format="JPEG")),
    "a GIF": as_url(encoded(Image.new("P", (CANVAS_SIZE, CANVAS_SIZE)), format="GIF")),
    "text": as_url(b"hello" * 100),
    "too small": as_url(SMALL),
    "too wide": as_url(encoded(Image.new("RGB", (CANVAS_SIZE + 1, CANVAS_SIZE)))),
    "too long": as_url(PNG + bytes(MAX_URL_LENGTH)),
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
        decode_drawing(value)


def test_every_class_is_there_once_with_its_own_color_and_key():
    entries = painter_props()["classes"]
    colors = {"#" + bytes(color).hex(): name for name, color in FACADES_COLORS.items()}
    assert {entry["hex"] for entry in entries} == set(colors)
    for entry in entries:
        assert entry["title"].startswith(colors[entry["hex"]])
    for field in ("name", "key"):
        assert len({entry[field] for entry in entries}) == len(FACADES_COLORS)
    assert entries[0]["name"] == "Wall"


def test_further_arguments_reach_the_component():
    component = painter("data:,", elem_id="painter")
    assert component.elem_id == "painter"
    assert component.value == "data:,"


def test_the_value_is_no_part_of_the_template():
    component = painter()
    # Else the canvas would be drawn anew, and empty, with every change of the value.
    assert "value}" not in component.html_template + component.css_template


def test_random_facades_differ_and_have_only_the_palettes_colors():
    one, other = draw_facade(), draw_facade()
    assert not np.array_equal(one, other)
    assert {tuple(color) for color in one.reshape(-1, 3).tolist()} <= set(FACADES_COLORS.values())
    assert np.array_equal(draw_facade(3), draw_facade(3))


@pytest.mark.parametrize(("width", "height"), [(300, 200), (200, 300), (256, 256), (16, 1000)])
def test_an_upload_keeps_its_shape_in_the_painter(uploads, width, height):
    label_map = np.full((height, width, 3), FACADES_COLORS["facade"], np.uint8)
    label_map[:, : width // 2] = FACADES_COLORS["window"]
    path = uploads / "map.png"
    Image.fromarray(label_map).save(path)
    seen = fit_to_canvas(read_label_map(str(path)), clean=False)
    inside = (seen != FACADES_COLORS["background"]).any(axis=2)
    rows, columns = inside.any(axis=1).nonzero()[0], inside.any(axis=0).nonzero()[0]
    assert max(len(rows), len(columns)) == CANVAS_SIZE
    assert len(columns) / len(rows) == pytest.approx(width / height, abs=0.005)
    assert abs(rows[0] - (CANVAS_SIZE - 1 - rows[-1])) <= 1
    assert abs(columns[0] - (CANVAS_SIZE - 1 - columns[-1])) <= 1


def test_cleaning_takes_away_what_jpeg_leaves_at_edges_and_nothing_else(uploads):
    label_map = np.full((256, 256, 3), FACADES_COLORS["facade"], np.uint8)
    label_map[40:200, 40:200] = FACADES_COLORS[
        "balcony"
    ]  # between them lie colors of other classes
    blurred, exact = uploads / "map.jpg", uploads / "map.png"
    Image.fromarray(label_map).save(blurred, quality=50)
    Image.fromarray(label_map).save(exact)

    def wrong(path: Path, *, clean: bool) -> int:
        return (
            (fit_to_canvas(read_label_map(str(path)), clean=clean) != label_map).any(axis=2).sum()
        )

    assert wrong(blurred, clean=False) > 600
    assert wrong(blurred, clean=True) < 30  # of rounded corners
    assert wrong(exact, clean=True) == 0  # not even its corners


def test_a_label_map_of_other_classes_stays_one_in_the_painter():
    roads = [CITYSCAPES_PALETTE.classes[index].color for index in (3, 18, 0)]
    label_map = np.full((20, 40, 3), roads[0], np.uint8)
    label_map[:10] = np.add(roads[1], (0, 2, 0))  # a little beside a class
    seen = fit_to_canvas(label_map, CITYSCAPES_PALETTE, clean=True)
    assert (seen[64:128] == roads[1]).all()
    assert (seen[128:192] == roads[0]).all()
    assert (seen[:64] == roads[2]).all()  # none of its classes is called background
    props = painter(None, CITYSCAPES_PALETTE).props
    assert [one["name"] for one in props["classes"]][3] == "road"
    assert not props["drawable"]


def test_no_picture_is_too_large_for_a_link():
    """Noise of as many classes as a palette may have is what compresses least."""
    noise = np.random.default_rng(0).integers(0, MOST_CLASSES, CANVAS_SIZE**2, np.uint8).tobytes()
    deflated = zlib.compress(noise, wbits=-15)
    limit = re.search(r"MAX_LINK = ([\d_]+);", (ASSETS / "link.js").read_text())
    assert limit
    assert len(base64.b64encode(deflated)) <= int(limit[1])
