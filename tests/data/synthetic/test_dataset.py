import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from pix2pix_ilm.data.palette import FACADES_COLORS
from pix2pix_ilm.data.synthetic.dataset import draw_pair, synthesize
from pix2pix_ilm.errors import UserError

SEEDS = range(50)


@pytest.fixture(scope="module")
def pairs():
    return [draw_pair(seed, 128) for seed in SEEDS]


def mask(label_maps, kind):
    return (label_maps == FACADES_COLORS[kind]).all(axis=-1)


def mean_colors(pairs, kind):
    """Mean color of the class in each photo that has it: shape (photos, 3)."""
    masked = [photo[mask(label_maps, kind)] for label_maps, photo in pairs]
    return np.array([pixels.mean(axis=0) for pixels in masked if len(pixels)])


def brightness(pairs, kind):
    return mean_colors(pairs, kind).mean()


def explained_variance(label_maps, photo):
    """Share of the photo's variance that the mean colors of its classes explain."""
    photo = photo.astype(float)
    predicted = photo.copy()
    for kind in FACADES_COLORS:
        where = mask(label_maps, kind)
        predicted[where] = photo[where].mean(axis=0) if where.any() else 0
    return 1 - np.mean((photo - predicted) ** 2) / photo.var(axis=(0, 1)).mean()


@pytest.mark.parametrize("size", [32, 128, 256])
def test_both_images_have_the_size_asked_for(size):
    for image in draw_pair(3, size):
        assert image.shape == (size, size, 3)
        assert image.dtype == np.uint8


def test_the_same_seed_draws_the_same_pair_whatever_was_drawn_between():
    first = draw_pair(5, 96)
    draw_pair(6, 96)
    np.testing.assert_array_equal(first, draw_pair(5, 96))


def test_different_seeds_draw_different_label_maps_and_photos(pairs):
    for images in zip(*pairs, strict=True):
        assert len({image.tobytes() for image in images}) == len(SEEDS)


@pytest.mark.parametrize("size", [32, 250, 256])
def test_label_maps_consist_of_palette_colors_only(size):
    for seed in range(8):
        colors = {tuple(color) for color in draw_pair(seed, size)[0].reshape(-1, 3).tolist()}
        assert colors <= set(FACADES_COLORS.values())


@pytest.mark.parametrize("kind", FACADES_COLORS)
def test_every_class_occurs_in_several_facades(pairs, kind):
    assert sum(mask(label_maps, kind).any() for label_maps, _ in pairs) >= 5


def test_the_layout_is_the_same_in_all_sizes():
    for seed in range(5):
        small, large = draw_pair(seed, 64)[0], draw_pair(seed, 256)[0]
        assert (large[2::4, 2::4] == small).all(axis=-1).mean() > 0.85


def test_the_wall_stands_before_the_sky_and_carries_the_windows(pairs):
    for label_maps, _ in pairs:
        assert mask(label_maps, "background")[0].mean() > 0.9
        middle = label_maps[32:96, 32:96]
        assert mask(middle, "background").mean() < 0.35
        assert mask(middle, "window").any()


@pytest.mark.parametrize(
    ("dark", "bright"),
    [
        ("window", "background"),
        ("window", "facade"),
        ("door", "facade"),
        ("shop", "facade"),
        ("balcony", "facade"),
        ("blind", "sill"),
        ("facade", "sill"),
        ("window", "pillar"),
        ("window", "deco"),
        ("window", "cornice"),
    ],
)
def test_classes_differ_in_brightness_as_they_do_in_photos(pairs, dark, bright):
    assert brightness(pairs, dark) + 10 < brightness(pairs, bright)


def test_doors_are_of_wood_and_skies_are_blue(pairs):
    red, _, blue = mean_colors(pairs, "door").mean(axis=0)
    assert red > blue + 15
    skies = np.array([photo[:4].mean(axis=(0, 1)) for _, photo in pairs])
    assert (skies[:, 2] > skies[:, 0]).mean() > 0.9


def test_walls_differ_in_color_between_facades(pairs):
    assert mean_colors(pairs, "facade").std(axis=0).min() > 15


def test_label_maps_explain_much_of_the_photos_variance(pairs):
    assert np.mean([explained_variance(*pair) for pair in pairs]) > 0.35


def test_photos_are_aligned_with_their_label_maps(pairs):
    for label_maps, photo in pairs[:10]:
        aligned = explained_variance(label_maps, photo)
        for axis in (0, 1):
            for shift in (-4, 4):
                assert aligned > explained_variance(label_maps, np.roll(photo, shift, axis)) + 0.02


@pytest.mark.parametrize("kind", FACADES_COLORS)
def test_photos_are_textured_within_every_class(pairs, kind):
    masked = [photo[mask(label_maps, kind)] for label_maps, photo in pairs]
    spreads = [pixels.std(axis=0).mean() for pixels in masked if len(pixels) > 50]
    assert np.median(spreads) > 9


def contrast(label_maps, photo, kind, axis):
    """Mean difference between neighboring pixels of the class, along the axis."""
    pair = np.stack([mask(label_maps, kind), photo.mean(axis=-1)])
    before, after = np.moveaxis(pair, axis + 1, 1)[:, :-1], np.moveaxis(pair, axis + 1, 1)[:, 1:]
    inside = (before[0] > 0) & (after[0] > 0)
    return np.abs(after[1] - before[1])[inside].mean() if inside.sum() > 50 else np.nan


@pytest.mark.parametrize(
    ("kind", "axis", "least"),
    [
        pytest.param("window", 0, 14, id="transoms"),
        pytest.param("window", 1, 14, id="mullions"),
        pytest.param("shop", 1, 13, id="shop windows"),
        pytest.param("blind", 0, 6, id="slats"),
        pytest.param("balcony", 0, 26, id="rails and slabs"),
        pytest.param("molding", 1, 5.5, id="dentils"),
        pytest.param("deco", 1, 10, id="reliefs"),
        pytest.param("pillar", 1, 15, id="round shafts"),
        pytest.param("facade", 0, 6, id="courses of brick and stone"),
    ],
)
def test_elements_have_their_parts(pairs, kind, axis, least):
    assert np.nanmedian([contrast(*pair, kind, axis) for pair in pairs]) > least


def test_ledges_cast_shadows_on_the_wall_below(pairs):
    below, beside = [], []
    for label_maps, photo in pairs:
        facade, sill = mask(label_maps, "facade"), mask(label_maps, "sill")
        shaded = np.zeros_like(facade)
        shaded[1:] = sill[:-1]
        below.append(photo[facade & shaded])
        beside.append(photo[facade])
    assert np.concatenate(below).mean() < 0.9 * np.concatenate(beside).mean()


def test_synthesize_splits_the_pairs_80_10_10(tmp_path):
    synthesize(tmp_path, 20, size=32)
    for split, count in (("train", 16), ("val", 2), ("test", 2)):
        names = {path.name for path in (tmp_path / split).iterdir()}
        assert names == {f"{i}.png" for i in range(1, count + 1)}


def test_synthesize_fills_every_split_from_three_pairs_on(tmp_path):
    synthesize(tmp_path, 3, size=32)
    files = sorted(
        str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()
    )
    assert files == ["test/1.png", "train/1.png", "val/1.png"]


def test_synthesize_writes_photos_left_and_exact_label_maps_right(tmp_path):
    synthesize(tmp_path, 5, size=64)
    for path in tmp_path.rglob("*.png"):
        with Image.open(path) as image:
            assert image.mode == "RGB"
            assert image.size == (128, 64)
            photo, label_maps = np.hsplit(np.asarray(image), 2)
        known = [mask(half, kind) for half in (photo, label_maps) for kind in FACADES_COLORS]
        assert not np.any(known[: len(FACADES_COLORS)])
        assert np.any(known[len(FACADES_COLORS) :], axis=0).all()
        assert explained_variance(label_maps, photo) > 0.1


def test_synthesize_repeats_itself_and_obeys_its_seed(tmp_path):
    for folder, seed in (("a", 0), ("b", 0), ("c", 1)):
        synthesize(tmp_path / folder, 4, size=32, seed=seed)
    contents = {
        folder: [path.read_bytes() for path in sorted((tmp_path / folder).rglob("*.png"))]
        for folder in "abc"
    }
    assert contents["a"] == contents["b"]
    assert len(set(contents["a"] + contents["c"])) == 8


def test_a_failed_write_leaves_no_file_behind(tmp_path, monkeypatch):
    def fail(_image, file, **_):
        file.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(UserError, match="disk full"):
        synthesize(tmp_path, 3, size=32)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


KILLED_MIDWAY = """
import os, sys
from pathlib import Path
from pix2pix_ilm.data.synthetic import dataset

def write_pair(path, *arguments):
    if path.name == "4.png":
        os._exit(9)
    write(path, *arguments)

write, dataset.write_pair = dataset.write_pair, write_pair
dataset.synthesize(Path(sys.argv[1]), 8, 32)
"""


def test_a_killed_drawing_leaves_no_folder(tmp_path):
    out = tmp_path / "out"
    killed = subprocess.run([sys.executable, "-c", KILLED_MIDWAY, out], check=False)
    assert killed.returncode == 9
    assert not out.exists()
    synthesize(out, 3, 32)


@pytest.mark.parametrize("size", [31, 1025, 0, -64])
def test_sizes_out_of_range_are_refused(tmp_path, size):
    message = f"size: expected 32 to 1024 pixels, found {size}"
    with pytest.raises(ValueError, match=message):
        draw_pair(0, size)
    with pytest.raises(ValueError, match=message):
        synthesize(tmp_path / "out", 3, size=size)
    assert not (tmp_path / "out").exists()


def test_a_negative_seed_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"^seed: expected at least 0, found -1$"):
        synthesize(tmp_path / "out", 3, seed=-1)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("count", [2, 0, -1])
def test_too_few_pairs_are_refused(tmp_path, count):
    with pytest.raises(ValueError, match=f"expected at least 3 pairs .*, found {count}"):
        synthesize(tmp_path / "out", count)
    assert not (tmp_path / "out").exists()
