"""Palettes proposed from label maps: exact, compressed, and index maps."""

import numpy as np
import pytest
from PIL import Image, ImageFilter

from pix2pix_ilm.data.palette import FACADES_COLORS, FACADES_PALETTE, find_palette
from pix2pix_ilm.data.palette_proposal import propose_palette, to_json, voc_color
from pix2pix_ilm.data.synthetic.dataset import synthesize
from pix2pix_ilm.errors import UserError


def pairs_of(root, save, label_maps, **settings):
    suffix = ".jpg" if settings else ".png"
    for number, label_map in enumerate(label_maps):
        save(root / "A" / "train" / f"{number}{suffix}", label_map, **settings)
        save(root / "B" / "train" / f"{number}.png", np.zeros((*label_map.shape[:2], 3), np.uint8))
    return root


def test_label_maps_of_few_colors_have_these_by_their_share(tmp_path, save):
    label_map = np.zeros((8, 8, 3), np.uint8)
    label_map[:, :5], label_map[0, 0] = (0, 0, 90), (0, 0, 70)  # neighbors, one of a single pixel
    palette, shares = propose_palette(pairs_of(tmp_path, save, [label_map]), direction="AtoB")
    assert [one.color for one in palette.classes] == [(0, 0, 90), (0, 0, 0), (0, 0, 70)]
    assert [one.name for one in palette.classes] == ["class 0", "class 1", "class 2"]
    assert shares == pytest.approx([39 / 64, 24 / 64, 1 / 64])


def test_compressed_and_smoothed_label_maps_have_the_colors_of_their_regions(tmp_path, save):
    label_maps = []
    for seed in range(6):
        blocks = np.random.default_rng(seed).integers(0, 12, (8, 8, 1)).astype(np.uint8)
        label_map = Image.fromarray(FACADES_PALETTE.paint(blocks.repeat(16, 0).repeat(16, 1)))
        label_maps.append(np.asarray(label_map.filter(ImageFilter.GaussianBlur(1))))
    root = pairs_of(tmp_path, save, label_maps, format="JPEG", quality=90, subsampling=0)
    palette, shares = propose_palette(root, direction="AtoB")
    found = np.array([one.color for one in palette.classes])
    distance = np.linalg.norm(found[:, None] - np.array(list(FACADES_COLORS.values())), axis=2)
    assert (distance.min(axis=1) < 6).all()  # nothing is invented
    assert (distance.min(axis=0) < 6).all()  # and nothing is missed
    read = [np.asarray(Image.open(path)) for path in sorted((root / "A").glob("*/*.jpg"))]
    nearest = palette.nearest(np.stack(read))
    assert shares == pytest.approx([(nearest == i).mean() for i in range(len(palette))], abs=1e-4)
    assert shares == sorted(shares, reverse=True)


def test_side_by_side_pairs_are_read_on_their_side(tmp_path):
    synthesize(tmp_path / "drawn", 12, 64)
    palette, _ = propose_palette(tmp_path / "drawn")
    assert {one.color for one in palette.classes} <= set(FACADES_COLORS.values())
    assert len(palette) > 6


def test_index_maps_have_a_class_for_every_number(tmp_path, save):
    label_maps = [np.full((4, 4), value, np.uint8) for value in (0, 34, 7)]
    palette, shares = propose_palette(pairs_of(tmp_path, save, label_maps), direction="AtoB")
    assert len(palette) == 35
    assert [i for i, share in enumerate(shares) if share] == [0, 7, 34]
    assert palette.classes[15].color == (192, 128, 128)  # as Pascal VOC has it


def test_voc_has_256_colors():
    assert len({voc_color(index) for index in range(256)}) == 256


def test_what_is_printed_is_what_is_read(tmp_path):
    (tmp_path / "classes.json").write_text(to_json(FACADES_PALETTE))
    assert find_palette(str(tmp_path / "classes.json")) == FACADES_PALETTE
    assert len(to_json(FACADES_PALETTE).splitlines()) == 12 + 2


def test_photos_have_no_classes(tmp_path, save):
    slopes = np.add.outer(np.arange(64), np.arange(64))[..., None] * np.array([2, 1, 0])
    photo = (slopes + np.random.default_rng(0).integers(0, 3, (64, 64, 3))).astype(np.uint8)
    message = "label maps of 2 to 256 classes, found colors as of photos; is --direction AtoB right"
    with pytest.raises(UserError, match=message):
        propose_palette(pairs_of(tmp_path, save, [photo]), direction="AtoB")


def test_one_color_is_no_palette(tmp_path, save):
    root = pairs_of(tmp_path, save, [np.zeros((8, 8, 3), np.uint8)])
    with pytest.raises(UserError, match=f"^{root}: expected label maps of 2 to 256 .*, found 1;"):
        propose_palette(root, direction="AtoB")


def test_index_maps_beside_colored_ones_are_refused(tmp_path, save):
    label_maps = [np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), np.uint8)]
    root = pairs_of(tmp_path, save, label_maps)
    message = f"^{root}/A/train/1.png: expected only index maps or only colored"
    with pytest.raises(UserError, match=message):
        propose_palette(root, direction="AtoB")


def test_numbers_that_are_no_indices_are_named(tmp_path, save):
    root = pairs_of(tmp_path, save, [np.full((4, 4), 700, np.uint16)])
    with pytest.raises(UserError, match=r"0\.png: expected indices of classes, 0 to 255.*700"):
        propose_palette(root, direction="AtoB")
