import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from pix2pix_ilm.data.images import (
    describe_left_out,
    list_images,
    natural_key,
    read_image,
    resize,
    to_model_range,
    to_uint8,
    write_image,
)
from pix2pix_ilm.data.pairs import read_halves
from pix2pix_ilm.data.palette import LabelClass, Palette
from pix2pix_ilm.errors import UserError

GRAY_16, RGB_16, GRAY_ALPHA_16, GRAY_8 = (16, 0), (16, 2), (16, 4), (8, 0)
FORMATS = {
    "png": {"format": "PNG"},
    "jpeg": {"format": "JPEG"},
    "webp": {"format": "WEBP"},
    "lossless": {"format": "WEBP", "lossless": True},
}


def png(kind, pixels, size=None, key=None):
    """A PNG file's bytes, written independently of Pillow: kind is (bits, color type)."""
    height, width = size or pixels.shape[:2]
    if kind[0] < 8:
        bits = np.unpackbits(pixels[..., None], axis=2)[..., 8 - kind[0] :]
        pixels = np.packbits(bits.reshape(height, -1), axis=1)

    def chunk(name, data):
        checksum = struct.pack(">I", zlib.crc32(name + data))
        return struct.pack(">I", len(data)) + name + data + checksum

    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, *kind, 0, 0, 0)
    transparent = [] if key is None else [(b"tRNS", struct.pack(f">{len(key)}H", *key))]
    chunks = ((b"IHDR", header), *transparent, (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in chunks)


def error_of(path):
    with pytest.raises(UserError) as caught:
        read_image(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


@pytest.mark.parametrize("suffix", ["png", "webp", "PNG", "WebP"])
def test_lossless_colors_come_back_exactly(tmp_path, noise, save, suffix):
    pixels = noise(0, 5, 7)
    path = save(tmp_path / f"image.{suffix}", pixels, lossless=True)
    np.testing.assert_array_equal(read_image(path), pixels)


@pytest.mark.parametrize("suffix", ["jpg", "jpeg", "JPG", "webp"])
def test_lossy_colors_come_back_nearly(tmp_path, save, suffix):
    pixels = np.full((16, 16, 3), (200, 120, 40), np.uint8)
    path = save(tmp_path / f"image.{suffix}", pixels, quality=95)
    assert np.abs(read_image(path).astype(int) - pixels).max() <= 4


def test_gray_files_fill_three_channels_alike(tmp_path, noise, save):
    gray = noise(1, channels=1)
    path = save(tmp_path / "gray.png", gray[..., 0])
    np.testing.assert_array_equal(read_image(path), gray.repeat(3, axis=2))
    np.testing.assert_array_equal(read_image(path, channels=1), gray)


def test_color_files_read_as_gray_by_luminance(tmp_path, noise, save):
    pixels = noise(2)
    path = save(tmp_path / "color.png", pixels)
    luminance = pixels @ np.array([0.299, 0.587, 0.114])
    assert np.abs(read_image(path, channels=1)[..., 0] - luminance).max() < 1


def test_palettes_are_resolved(tmp_path):
    indices = np.array([[0, 1, 2], [2, 1, 0]], np.uint8)
    colors = np.array([[0, 0, 223], [0, 48, 255], [175, 0, 0]], np.uint8)
    image = Image.fromarray(indices)
    image.putpalette(colors.tobytes())
    image.save(tmp_path / "labels.png")
    with Image.open(tmp_path / "labels.png") as reopened:
        assert reopened.mode == "P"
    np.testing.assert_array_equal(read_image(tmp_path / "labels.png"), colors[indices])


def test_one_bit_files_are_black_and_white(tmp_path):
    bits = np.eye(8, dtype=bool)
    Image.fromarray(bits).save(tmp_path / "bits.png")
    np.testing.assert_array_equal(
        read_image(tmp_path / "bits.png", channels=1)[..., 0], np.where(bits, 255, 0)
    )


def test_sixteen_bit_grays_keep_their_brightness(tmp_path):
    values = np.arange(0, 65536, 16, dtype=np.uint16).reshape(64, 64)
    (tmp_path / "gray.png").write_bytes(png(GRAY_16, values.astype(">u2")))
    expected = np.round(values / 65535 * 255).astype(np.uint8)
    for channels in (1, 3):
        found = read_image(tmp_path / "gray.png", channels)
        np.testing.assert_array_equal(found, expected[..., None].repeat(channels, axis=2))


def test_sixteen_bit_colors_keep_their_brightness(tmp_path):
    values = np.random.default_rng(0).integers(0, 65536, (8, 8, 3)).astype(">u2")
    (tmp_path / "color.png").write_bytes(png(RGB_16, values))
    assert np.abs(read_image(tmp_path / "color.png") - values / 257).max() <= 1


def test_transparency_shows_a_white_page(tmp_path, noise, save):
    pixels = noise(3, channels=4)
    alpha = pixels[..., 3:] / 255
    expected = pixels[..., :3] * alpha + 255 * (1 - alpha)
    path = save(tmp_path / "alpha.png", pixels)
    assert np.abs(read_image(path) - expected).max() <= 1


def test_transparency_of_grays_and_palettes_shows_a_white_page(tmp_path, noise, save):
    pixels = noise(4)
    pixels[0, 0] = 0
    palette = Image.fromarray(pixels).quantize(16)
    clear = palette.getpixel((0, 0))
    palette.save(tmp_path / "palette.png", transparency=clear)
    assert (read_image(tmp_path / "palette.png")[0, 0] == 255).all()
    gray = np.stack([np.zeros((4, 4)), np.eye(4) * 255], axis=-1).astype(np.uint8)
    path = save(tmp_path / "gray.png", gray)
    np.testing.assert_array_equal(read_image(path, 1)[..., 0], 255 - np.eye(4) * 255)
    deep = (gray.astype(np.uint16) * 257).astype(">u2")
    (tmp_path / "deep.png").write_bytes(png(GRAY_ALPHA_16, deep))
    np.testing.assert_array_equal(read_image(tmp_path / "deep.png"), read_image(path))


@pytest.mark.parametrize("bits", [2, 4, 16])
def test_a_transparent_gray_shows_as_in_eight_bits(tmp_path, bits):
    values = np.arange(16, dtype=np.uint8).reshape(4, 4) % min(2**bits, 16)
    scale = {2: 85, 4: 17, 16: 1}[bits]
    stored = (values.astype(np.uint16) * 257).astype(">u2") if bits == 16 else values
    key = 2 * 257 if bits == 16 else 2
    (tmp_path / "keyed.png").write_bytes(png((bits, 0), stored, (4, 4), key=[key]))
    (tmp_path / "twin.png").write_bytes(png(GRAY_8, values * scale, key=[2 * scale]))
    for channels in (1, 3):
        twin = read_image(tmp_path / "twin.png", channels)
        np.testing.assert_array_equal(read_image(tmp_path / "keyed.png", channels), twin)
        np.testing.assert_array_equal(twin[values == 2], 255)


def test_a_transparent_sixteen_bit_color_shows_a_white_page(tmp_path):
    pixels = np.tile(np.array([0x1234, 0x5678, 0x9ABC], ">u2"), (4, 4, 1))
    pixels[0, 0] = 0
    (tmp_path / "keyed.png").write_bytes(png(RGB_16, pixels, key=[0x1234, 0x5678, 0x9ABC]))
    found = read_image(tmp_path / "keyed.png")
    assert (found[0, 0] == 0).all()
    assert (found[1:] == 255).all()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "LAB"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_kind_of_tiff_shows_its_colors(tmp_path, mode, channels):
    image = Image.new("RGB", (4, 4), "white")
    image.paste("black", (0, 0, 2, 4))
    image = image.convert("P").convert("PA") if mode == "PA" else image.convert(mode)
    image.save(tmp_path / "image.tif")
    expected = np.zeros((4, 4, channels))
    expected[:, 2:] = 255
    assert np.abs(read_image(tmp_path / "image.tif", channels) - expected).max() <= 1


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (np.array([[0, 0.25], [0.5, 1]], np.float32), "float32 from 0 to 1"),
        (np.array([[-2, np.nan]], np.float32), "float32 from nan to nan"),
        (np.array([[0, 255]], np.int32), "int32 from 0 to 255"),
        (np.array([[-1, 3000]], np.int32), "int32 from -1 to 3000"),
        (np.array([[0, 65536]], np.int32), "int32 from 0 to 65536"),
    ],
)
def test_values_without_a_known_white_are_refused_with_their_range(tmp_path, save, values, found):
    path = save(tmp_path / "depth.tif", values)
    assert f"expected 8-bit or 16-bit values, found {found}; scale them" in error_of(path)


@pytest.mark.parametrize("highest", [0, 256, 65535])
def test_sixteen_bits_in_thirty_two_keep_their_brightness(tmp_path, save, highest):
    values = np.linspace(0, highest, 16).astype(np.int32).reshape(4, 4)
    path = save(tmp_path / "gray.tif", values)
    np.testing.assert_array_equal(read_image(path, 1)[..., 0], np.round(values / 257))


@pytest.mark.parametrize(
    ("tag", "value", "found"), [(258, 12, "12"), (262, 0, "inverted 16"), (339, 2, "signed 16")]
)
def test_grays_that_pillow_misreads_are_refused(tmp_path, save, tag, value, found):
    values = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000
    path = save(tmp_path / "gray.tif", values, tiffinfo={339: 1})
    assert read_image(path).any()
    contents = bytearray(path.read_bytes())
    place = contents.index(struct.pack("<HHI", tag, 3, 1)) + 8
    contents[place : place + 2] = struct.pack("<H", value)
    path.write_bytes(contents)
    assert f"from black at 0, found {found}-bit ones" in error_of(path)


def test_cmyk_files_show_their_colors(tmp_path):
    colors = Image.new("RGB", (16, 16), (200, 120, 40))
    colors.convert("CMYK").save(tmp_path / "print.jpg", quality=95)
    assert np.abs(read_image(tmp_path / "print.jpg").astype(int) - (200, 120, 40)).max() <= 4


@pytest.mark.parametrize(
    ("orientation", "upright"),
    [
        (1, lambda stored: stored),
        (2, np.fliplr),
        (3, lambda stored: np.rot90(stored, 2)),
        (4, np.flipud),
        (5, lambda stored: stored.swapaxes(0, 1)),
        (6, lambda stored: np.rot90(stored, -1)),
        (7, lambda stored: np.rot90(stored.swapaxes(0, 1), 2)),
        (8, np.rot90),
    ],
)
def test_the_cameras_orientation_is_applied(tmp_path, noise, save, orientation, upright):
    stored = noise(5, 4, 6)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path / "photo.png", stored, exif=exif)
    np.testing.assert_array_equal(read_image(path), upright(stored))


@pytest.mark.parametrize("suffix", ["png", "webp"])
def test_animations_show_their_first_frame(tmp_path, noise, suffix):
    frames = [Image.fromarray(noise(seed)) for seed in range(3)]
    path = tmp_path / f"moving.{suffix}"
    frames[0].save(path, save_all=True, append_images=frames[1:], lossless=True)
    np.testing.assert_array_equal(read_image(path), noise(0))


def test_the_contents_decide_the_format_not_the_suffix(tmp_path):
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    path = (tmp_path / "a.gif").rename(tmp_path / "a.png")
    assert (read_image(path) == (255, 0, 0)).all()


@pytest.mark.parametrize("contents", [b"", b"Thumbs", b"<html>not found</html>", b"\x89PNG\r\n"])
def test_files_that_are_no_images_are_named(tmp_path, contents):
    (tmp_path / "image.png").write_bytes(contents)
    assert "cannot be read (not an image" in error_of(tmp_path / "image.png")


def test_missing_files_and_folders_are_told_apart(tmp_path):
    assert error_of(tmp_path / "none.png").endswith("no such file")
    (tmp_path / "folder.png").mkdir()
    assert error_of(tmp_path / "folder.png").endswith("expected an image file, found a folder")


def test_an_unreadable_file_is_named_with_its_reason(tmp_path, monkeypatch):
    def refuse(*_args, **_kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Image, "open", refuse)
    assert error_of(tmp_path / "a.png").endswith("cannot be read (Permission denied)")


def test_a_header_that_promises_a_huge_image_is_refused(tmp_path):
    header_only = png(GRAY_8, np.zeros((0, 0), np.uint8), size=(50_000, 50_000))
    (tmp_path / "bomb.png").write_bytes(header_only)
    assert "2500000000 pixels" in error_of(tmp_path / "bomb.png")


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_truncated_files_are_refused(tmp_path, noise, save, name, share):
    path = save(tmp_path / "image", noise(6, 64, 64), **FORMATS[name])
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    assert "cannot be read" in error_of(path)


@pytest.fixture(scope="module")
def samples(tmp_path_factory, noise, save):
    """A file of each format with an orientation, and where to put a damaged copy."""
    folder = tmp_path_factory.mktemp("samples")
    exif = Image.Exif()
    exif[0x0112] = 6
    paths = [
        save(folder / name, noise(7, 8, 6), exif=exif, **kind) for name, kind in FORMATS.items()
    ]
    return [path.read_bytes() for path in paths], folder / "damaged.png"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_damaged_file_reads_as_an_image_or_as_one_error(samples, data):
    contents, path = samples
    damaged = bytearray(data.draw(st.sampled_from(contents)))
    positions = st.integers(0, len(damaged) - 1)
    for position, value in data.draw(st.dictionaries(positions, st.integers(0, 255))).items():
        damaged[position] = value
    path.write_bytes(damaged[: data.draw(st.integers(0, len(damaged)))])
    try:
        outcome = read_image(path)
    except UserError as error:
        outcome = str(error)
    if isinstance(outcome, str):
        assert outcome.startswith(f"{path}: cannot be read (")
    else:
        assert outcome.dtype == np.uint8


def test_a_broken_orientation_is_one_error(tmp_path, noise, save, monkeypatch):
    path = save(tmp_path / "image.png", noise(0))

    def fail(_):
        raise struct.error("required argument is not an integer")

    monkeypatch.setattr("pix2pix_ilm.data.images.ImageOps.exif_transpose", fail)
    assert "required argument is not an integer" in error_of(path)


def test_listing_sorts_numbers_by_value_and_leaves_out_what_is_no_image(tmp_path, noise, save):
    images = ["1.jpg", "2.JPEG", "3.jpe", "4.jfif", "5.BMP", "6.tif", "7.TIFF", "8.gif"]
    images += ["10.png", "a2.webp", "a10.Png", "b.c.png"]
    for name in images:
        save(tmp_path / name, noise(0), format="PNG")
    for name in ("Thumbs.db", ".DS_Store", "._1.jpg", ".hidden.png", "notes.txt", "png", "x.ppm"):
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "dangling.png").symlink_to("nowhere.png")
    assert [path.name for path in list_images(tmp_path)] == images


@pytest.mark.parametrize("name", ["missing", "file", "n" * 300])
def test_a_folder_that_cannot_be_listed_is_named(tmp_path, name):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=rf"{name}: cannot be listed \([A-Z]"):
        list_images(tmp_path / name)


def test_what_is_left_out_is_named_by_its_kind(tmp_path, noise, save):
    save(tmp_path / "1.png", noise(0))
    assert describe_left_out([], tmp_path) == ""
    for name in ("Thumbs.db", ".DS_Store", "._1.png", *(f"{i}.txt" for i in range(4))):
        (tmp_path / name).touch()
    (tmp_path / "cats").mkdir()
    (tmp_path / "gone.png").symlink_to("nowhere.png")
    os.mkfifo(tmp_path / "pipe.png")
    others = [path for path in tmp_path.iterdir() if path not in list_images(tmp_path)]
    assert describe_left_out(others, tmp_path) == (
        "10 other files left out: dangling links gone.png; folders cats; "
        "hidden files .DS_Store, ._1.png; other suffixes 0.txt, 1.txt, 2.txt and 2 more; "
        "special files pipe.png"
    )
    assert describe_left_out([tmp_path / "cats"], tmp_path) == "1 other file left out: folders cats"


@given(st.lists(st.text("ab0129.-", min_size=1), max_size=8))
def test_the_natural_order_does_not_depend_on_the_order_of_listing(names):
    paths = [Path(f"x{name}.png") for name in names]
    turned = list(reversed(paths))
    assert sorted(paths, key=natural_key) == sorted(turned, key=natural_key)


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_numbers_in_names_compare_as_numbers(first, second):
    keys = [natural_key(Path(f"pair {number} left.png")) for number in (first, second)]
    assert (keys[0] < keys[1]) == (first < second)


def test_resizing_to_the_own_size_changes_nothing(noise):
    pixels = noise(0)
    np.testing.assert_array_equal(resize(pixels, 8), pixels)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [4, 8, 13])
def test_resizing_keeps_flat_colors_and_gives_a_square(channels, size):
    color = np.arange(100, 100 + channels, dtype=np.uint8)
    resized = resize(np.tile(color, (5, 8, 1)), size)
    np.testing.assert_array_equal(resized, np.tile(color, (size, size, 1)))


@pytest.mark.parametrize("channels", [1, 3])
def test_resizing_is_bicubic_and_commutes_with_flips(noise, channels):
    pixels = noise(1, 12, 10, channels)
    resized = resize(pixels, 16)
    planes = [
        np.asarray(Image.fromarray(plane).resize((16, 16), Image.Resampling.BICUBIC))
        for plane in np.moveaxis(pixels, 2, 0)
    ]
    np.testing.assert_array_equal(resized, np.stack(planes, axis=2))
    np.testing.assert_array_equal(resize(pixels[:, ::-1].copy(), 16), resized[:, ::-1])


@pytest.mark.parametrize("channels", [1, 3])
def test_written_images_read_back_exactly(tmp_path, noise, channels):
    pixels = noise(2, 5, 9, channels)
    write_image(tmp_path / "out.png", pixels)
    np.testing.assert_array_equal(read_image(tmp_path / "out.png", channels), pixels)


def test_unit_images_run_from_minus_one_to_one_and_back_exactly():
    pixels = torch.arange(256, dtype=torch.uint8).reshape(2, 8, 16, 1).repeat(1, 1, 1, 3)
    images = to_model_range(pixels)
    assert images.dtype == torch.float32
    assert images.shape == (2, 3, 8, 16)
    assert images.is_contiguous()
    assert (images.min(), images.max()) == (-1, 1)
    reference = pixels.permute(0, 3, 1, 2).double() / 255 * 2 - 1
    assert (images - reference).abs().max() < 1e-7
    assert torch.equal(to_uint8(images), pixels)


def test_eight_bits_round_to_the_nearest_and_clip():
    values = torch.linspace(-1.5, 1.5, 999)
    images = to_uint8(values.reshape(1, 1, 1, -1))
    expected = torch.tensor([min(max(round((v + 1) * 127.5), 0), 255) for v in values.tolist()])
    assert images.shape == (1, 1, 999, 1)
    assert (images.flatten() - expected).abs().max() <= 1
    assert (images.flatten() == expected).float().mean() > 0.99
    assert torch.equal(
        to_uint8(torch.tensor([[[[-9.0]], [[9.0]]]])).flatten(), torch.tensor([0, 255])
    )


def test_half_precision_images_are_rounded_like_float_ones():
    images = torch.rand(1, 3, 8, 8).mul(2).sub(1).bfloat16()
    assert torch.equal(to_uint8(images), to_uint8(images.float()))


CLASSES = Palette(
    classes=tuple(LabelClass(name=str(i), color=(20 * i, 0, 255 - 20 * i)) for i in range(12))
)
INDICES = np.random.default_rng(0).integers(0, 4, (6, 8), np.uint8)


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_index_maps_are_read_as_they_are_stored_with_any_bits(tmp_path, bits):
    (tmp_path / "map.png").write_bytes(png((bits, 0), INDICES))
    assert np.array_equal(read_image(tmp_path / "map.png", CLASSES)[..., 0], INDICES)


@pytest.mark.parametrize(
    "image",
    [
        Image.fromarray(INDICES),
        Image.fromarray(INDICES.astype(np.uint16)),
        Image.fromarray(INDICES.astype(np.int32)),
        Image.merge("LA", [Image.fromarray(INDICES)] * 2),
        Image.fromarray(CLASSES.paint(INDICES[..., None])),
    ],
    ids=lambda image: image.mode,
)
def test_index_maps_and_colored_label_maps_are_the_same_classes(tmp_path, image):
    image.save(tmp_path / "map.tif")
    found = read_image(tmp_path / "map.tif", CLASSES)
    assert found.dtype == np.uint8
    assert np.array_equal(found[..., 0], INDICES)


def test_bilevel_index_maps_have_two_classes(tmp_path):
    Image.fromarray(INDICES > 1).save(tmp_path / "map.png")
    assert np.array_equal(read_image(tmp_path / "map.png", CLASSES)[..., 0], INDICES > 1)


def test_images_with_a_palette_of_their_own_are_read_by_its_colors(tmp_path):
    image = Image.fromarray(3 - INDICES)
    image.putpalette(CLASSES.colors[3::-1].tobytes())
    image.save(tmp_path / "map.png")
    assert np.array_equal(read_image(tmp_path / "map.png", CLASSES)[..., 0], INDICES)


@pytest.mark.parametrize(
    ("pixels", "found"),
    [
        (np.full((4, 4), 12, np.uint8), 12),
        (np.full((4, 4), 255, np.uint8), 255),
        (np.full((4, 4), 1000, np.uint16), 1000),
        (np.full((4, 4), -1, np.int32), -1),
    ],
)
def test_an_index_of_no_class_is_one_line_with_file_and_value(tmp_path, pixels, found):
    path = tmp_path / "map.tif"
    Image.fromarray(pixels).save(path)
    message = f"^{path}: expected indices of the 12 label classes, 0 to 11, .*, found {found};"
    with pytest.raises(UserError, match=message) as error:
        read_image(path, CLASSES)
    assert "\n" not in str(error.value)


def test_both_halves_of_a_side_by_side_image_are_read_in_their_own_way(tmp_path):
    both = np.hstack([INDICES * 60, INDICES])
    Image.fromarray(both).save(tmp_path / "1.png")
    photo, label_map = read_halves(tmp_path / "1.png", (3, CLASSES))
    assert np.array_equal(photo, np.repeat(INDICES[..., None] * 60, 3, axis=2))
    assert np.array_equal(label_map[..., 0], INDICES)
