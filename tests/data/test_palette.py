"""Palettes: colors to indices and back, and the files that they are read from."""

import json
from dataclasses import asdict

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pix2pix_ilm.data.images import encode_label_maps, to_model_range
from pix2pix_ilm.data.palette import (
    FACADES_COLORS,
    FACADES_PALETTE,
    LabelClass,
    Palette,
    find_palette,
)
from pix2pix_ilm.errors import SettingError, UserError

ROAD = LabelClass(name="road", color=(128, 64, 128))
SKY = LabelClass(name="sky", color=(70, 130, 180))


def palette_of(*colors):
    return Palette(classes=tuple(LabelClass(name=str(i), color=c) for i, c in enumerate(colors)))


def test_the_twelve_classes_have_twelve_colors():
    assert len(FACADES_COLORS) == len(set(FACADES_COLORS.values())) == len(FACADES_PALETTE) == 12
    assert FACADES_PALETTE.title == "facades"


@given(
    st.lists(st.tuples(*[st.integers(0, 255)] * 3), min_size=2, max_size=40, unique=True),
    st.integers(0, 2**32 - 1),
)
def test_the_nearest_color_is_that_of_the_smallest_distance_the_first_of_equals(colors, seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (5, 7, 3), np.uint8)
    distances = pixels[:, :, None].astype(int) - np.array(colors)
    expected = (distances**2).sum(axis=3).argmin(axis=2)
    assert np.array_equal(palette_of(*colors).nearest(pixels)[..., 0], expected)


def test_of_equally_near_colors_the_first_is_taken():
    pixels = np.full((1, 1, 3), 10, np.uint8)
    for colors in [((9, 10, 10), (11, 10, 10)), ((11, 10, 10), (9, 10, 10))]:
        assert palette_of(*colors).nearest(pixels).item() == 0


def test_many_pixels_are_classified_as_few_are(monkeypatch):
    pixels = np.random.default_rng(0).integers(0, 256, (9, 11, 3), np.uint8)
    whole = FACADES_PALETTE.nearest(pixels)
    monkeypatch.setattr("pix2pix_ilm.data.palette.CHUNK", 8)
    assert np.array_equal(FACADES_PALETTE.nearest(pixels), whole)


@pytest.mark.parametrize("classes", [2, 256])
def test_painting_and_finding_the_nearest_are_inverse(classes):
    palette = palette_of(*((i, 255 - i, i // 2) for i in range(classes)))
    indices = np.random.default_rng(0).integers(0, classes, (2, 6, 5, 1)).astype(np.uint8)
    assert np.array_equal(palette.nearest(palette.paint(indices)), indices)


def test_one_hot_is_one_in_the_pixels_class_and_minus_one_elsewhere():
    indices = torch.randint(0, 12, (2, 4, 5, 1), dtype=torch.uint8)
    encoded = encode_label_maps(indices, FACADES_PALETTE)
    assert encoded.shape == (2, 12, 4, 5)
    assert encoded.dtype == torch.float32
    assert encoded.is_contiguous()
    expected = torch.nn.functional.one_hot(indices[..., 0].long(), 12).permute(0, 3, 1, 2) * 2 - 1
    assert torch.equal(encoded, expected.float())
    painted = torch.from_numpy(FACADES_PALETTE.paint(indices.numpy()))
    assert torch.equal(encode_label_maps(painted, FACADES_PALETTE), encoded)


@pytest.mark.parametrize("channels", [1, 3])
def test_without_a_palette_label_maps_are_gray_or_color(channels):
    label_maps = torch.randint(0, 256, (2, 4, 5, channels), dtype=torch.uint8)
    assert torch.equal(encode_label_maps(label_maps, None), to_model_range(label_maps))


def test_a_palette_is_told_by_its_colors_and_their_order_not_by_its_names():
    palette = palette_of((0, 0, 0), (9, 9, 9))
    renamed = Palette(
        classes=tuple(LabelClass(name=f"{one.name}!", color=one.color) for one in palette.classes)
    )
    assert renamed.content_hash == palette.content_hash
    assert palette_of((9, 9, 9), (0, 0, 0)).content_hash != palette.content_hash
    assert palette.title == f"2 classes ({palette.content_hash[:6]})"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Palette(classes=(ROAD,)), "classes: expected 2 to 256 of them, found 1"),
        (
            lambda: palette_of(*((0, i // 256, i % 256) for i in range(257))),
            "classes: expected 2 to 256 of them, found 257",
        ),
        (
            lambda: Palette(classes=(ROAD, LabelClass(name="road", color=(0, 0, 0)))),
            "classes: expected a name of its own for each, found 'road'",
        ),
        (
            lambda: palette_of((1, 2, 3), (1, 2, 3)),
            r"classes: expected a color of its own for each, found \(1, 2, 3\)",
        ),
        (
            lambda: LabelClass(name="road", color=(0, 256, 0)),
            r"classes\.road\.color: expected three numbers 0 to 255, found \(0, 256, 0\)",
        ),
    ],
)
def test_what_is_no_palette_is_refused(make, message):
    with pytest.raises(SettingError, match=f"^{message}$"):
        make()


def test_names_and_files_stand_for_palettes(tmp_path):
    assert find_palette("facades") == FACADES_PALETTE
    assert find_palette("none") is None
    palette, file = Palette(classes=(ROAD, SKY)), tmp_path / "classes.json"
    file.write_text(json.dumps(asdict(palette)))
    assert find_palette(str(file)) == palette
    assert json.loads(file.read_text())["classes"][1] == {"name": "sky", "color": [70, 130, 180]}


def test_a_missing_file_is_a_wrong_setting(tmp_path):
    with pytest.raises(SettingError, match="facades, cityscapes, none, or a JSON file") as error:
        find_palette(str(tmp_path / "none.json"))
    assert error.value.path == "label_classes"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "content: Invalid JSON"),
        ('{"classes": [{"name": "a", "color": [0, 0]}]}', r"classes\.0\.color"),
        ('{"classes": [{"name": "a", "color": [0, 0, 0.5]}]}', r"classes\.0\.color\.2"),
        ('{"classes": [{"name": "a"}]}', r"classes\.0\.color: Field required"),
        ('{"classes": [{"name": "a", "color": [0, 0, 256]}]}', r"classes\.a\.color: expected"),
        ('{"classes": []}', "classes: expected 2 to 256 of them, found 0"),
    ],
)
def test_a_bad_file_is_one_line_with_file_and_setting(text, message, tmp_path):
    file = tmp_path / "classes.json"
    file.write_text(text)
    with pytest.raises(UserError, match=rf"^{file}: .*{message}") as error:
        find_palette(str(file))
    assert "\n" not in str(error.value)
