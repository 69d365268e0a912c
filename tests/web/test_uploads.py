import zlib

import numpy as np
import pytest
from gradio.data_classes import FileData, ImageData, ListFiles
from PIL import Image

from pix2pix_ilm.data.palette import CITYSCAPES_PALETTE, FACADES_COLORS, FACADES_PALETTE
from pix2pix_ilm.errors import UserError
from pix2pix_ilm.web.uploads import (
    files_input,
    image_input,
    is_upload,
    limit_size,
    read_label_map,
    read_photo,
    snap_to_palette,
)

COLORS = set(FACADES_COLORS.values())


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def refusal(path) -> str:
    with pytest.raises(UserError) as caught:
        read_label_map(str(path))
    return str(caught.value)


@pytest.mark.parametrize("suffix", ["png", "bmp", "webp", "gif", "jpg"])
def test_every_known_format_is_read(uploads, suffix):
    path = uploads / f"a.{suffix}"
    settings = {"lossless": True} if suffix == "webp" else {}
    Image.new("RGB", (20, 30), (0, 128, 255)).save(path, **settings)
    pixels = read_label_map(str(path))
    assert pixels.shape == (30, 20, 3)
    assert np.abs(pixels.astype(int) - (0, 128, 255)).max() <= 2


def test_transparent_pixels_are_wall_in_a_label_map_and_white_in_a_photo(uploads):
    path = uploads / "a.png"
    Image.new("RGBA", (20, 20), (255, 0, 0, 0)).save(path)
    assert (read_label_map(str(path)) == FACADES_COLORS["facade"]).all()
    assert (read_photo(str(path)) == 255).all()


def test_sixteen_bit_grays_keep_their_range(uploads):
    path = uploads / "a.png"
    values = np.linspace(0, 65535, 400).reshape(20, 20).astype(np.uint16)
    Image.fromarray(values).save(path)
    assert np.array_equal(read_photo(str(path))[..., 0], np.round(values / 257))


def test_what_a_camera_noted_is_applied(uploads):
    path = uploads / "a.jpg"
    image = Image.new("RGB", (40, 20))
    image.getexif()[274] = 6  # turned by 90 degrees
    image.save(path, exif=image.getexif())
    assert read_photo(str(path)).shape == (40, 20, 3)


def test_the_first_frame_of_an_animation_counts(uploads):
    path = uploads / "a.gif"
    frames = [Image.new("RGB", (20, 20), color) for color in ("red", "blue")]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    assert (read_photo(str(path)) == (255, 0, 0)).all()


def test_what_is_no_image_is_refused_in_one_sentence(uploads):
    for name, content in (("text.png", b"hello"), ("empty.png", b""), ("a.svg", b"<svg/>")):
        (uploads / name).write_bytes(content)
        assert refusal(uploads / name).startswith(f"{name} is not an image that can be read here")


def test_an_image_of_an_unlisted_format_is_refused(uploads):
    Image.new("RGB", (20, 20)).save(uploads / "a.png", format="TIFF")
    assert "is not an image that can be read here" in refusal(uploads / "a.png")


def test_a_truncated_image_is_refused(uploads):
    path = uploads / "a.png"
    Image.effect_noise((64, 64), 90).save(path)
    path.write_bytes(path.read_bytes()[:2000])
    assert refusal(path) == "a.png is damaged and cannot be opened."


@pytest.mark.parametrize(("width", "height"), [(1, 1), (15, 400), (400, 15)])
def test_a_tiny_image_is_refused(uploads, width, height):
    Image.new("RGB", (width, height)).save(uploads / "a.png")
    assert refusal(uploads / "a.png") == f"a.png is {width}x{height}; it must be at least 16x16."


@pytest.mark.parametrize(("width", "height"), [(4097, 4096), (20000, 20000)])
def test_a_huge_image_is_refused_before_its_pixels_are_decoded(uploads, width, height):
    path = uploads / "a.png"
    Image.new("1", (16, 16)).save(path)
    header = bytearray(path.read_bytes())
    header[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    header[29:33] = crc(header[12:29])
    path.write_bytes(header)
    assert "4096x4096" in refusal(path)


def crc(chunk: bytes) -> bytes:
    return zlib.crc32(chunk).to_bytes(4, "big")


def test_nothing_was_chosen():
    with pytest.raises(UserError, match=r"^Choose a label map first\.$"):
        read_label_map(None)
    with pytest.raises(UserError, match=r"^Choose a photo first\.$"):
        read_photo("")


def test_only_files_in_the_upload_folder_are_uploads(uploads, tmp_path):
    inside, outside = uploads / "a.png", tmp_path / "b.png"
    for path in (inside, outside):
        Image.new("RGB", (20, 20)).save(path)
    (uploads / "link.png").symlink_to(outside)
    assert is_upload(inside)
    for path in (
        outside,
        uploads,
        uploads / ".." / "b.png",
        uploads / "link.png",
        uploads / "missing.png",
        uploads / ("a" * 5000),
        uploads / "a\0.png",
    ):
        assert not is_upload(path)
        assert "upload it again" in refusal(path)


def test_refusals_name_no_folder(uploads):
    (uploads / "text.png").write_bytes(b"hello")
    assert str(uploads) not in refusal(uploads / "text.png")
    assert "/" not in refusal("/etc/passwd")


def test_inputs_hand_on_paths_without_opening_or_making_files(uploads):
    file = FileData(path=str(uploads / "nothing-there.png"))
    image = ImageData(path=file.path)
    assert image_input("Label map").preprocess(image) == file.path
    assert image_input("Label map").preprocess(None) is None
    assert files_input("Label maps").preprocess(ListFiles(root=[file])) == [file.path]
    assert files_input("Label maps").preprocess(None) == []
    assert list(uploads.iterdir()) == []


def test_refusals_repeat_little_of_a_long_name(uploads):
    long = uploads / f"{'x' * 190}.png"
    long.write_bytes(b"hello")
    assert "x" * 81 not in refusal(long)
    Image.new("RGB", (4, 4)).save(long)
    assert "x" * 81 not in refusal(long)


def test_what_is_transparent_is_of_an_empty_pictures_class(uploads):
    path = uploads / "map.png"
    Image.new("RGBA", (20, 20), (255, 255, 255, 0)).save(path)
    assert (read_label_map(str(path), FACADES_PALETTE) == FACADES_COLORS["facade"]).all()
    assert (read_label_map(str(path), CITYSCAPES_PALETTE) == (0, 0, 0)).all()


def test_snapping_moves_to_the_nearest_color_and_counts_what_moved():
    label_map = np.tile(np.array(FACADES_COLORS["door"], np.uint8), (10, 10, 1))
    label_map[0] = (3, 204, 250)
    snapped, fraction = snap_to_palette(label_map, FACADES_PALETTE)
    assert (snapped == FACADES_COLORS["door"]).all()
    assert fraction == pytest.approx(0.1)
    again, moved = snap_to_palette(snapped, FACADES_PALETTE)
    assert np.array_equal(again, snapped)
    assert moved == 0


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [(1024, 1024, (1024, 1024)), (100, 60, (100, 60)), (2048, 1024, (1024, 512)),
     (16, 4000, (4, 1024)), (1001, 2048, (501, 1024)), (18, 4096, (5, 1024))],
)  # fmt: skip
def test_large_label_maps_are_reduced_without_new_colors(height, width, expected):
    label_map = snap_to_palette(noise(height, width), FACADES_PALETTE)[0]
    reduced = limit_size(label_map)
    assert reduced.shape[:2] == expected
    assert {tuple(color) for color in reduced.reshape(-1, 3).tolist()} <= COLORS
