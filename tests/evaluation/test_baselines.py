import numpy as np
import pytest
import torch

from pix2pix_ilm.data.cache import PairedImages
from pix2pix_ilm.data.palette import FACADES_COLORS
from pix2pix_ilm.evaluation.baselines import baselines, class_colors, constant_color

COLORS = torch.tensor(list(FACADES_COLORS.values()), dtype=torch.uint8)


def drawn(classes: torch.Tensor, photo: torch.Tensor) -> PairedImages:
    names = tuple(map(str, range(len(classes))))
    return PairedImages(names, COLORS[classes], photo, "digest")


def test_the_constant_is_the_mean_photo_color():
    photo = torch.randint(0, 256, (5, 8, 8, 3), dtype=torch.uint8)
    predicted = constant_color(drawn(torch.zeros(5, 8, 8, dtype=int), photo))(photo)
    expected = np.round(photo.numpy().reshape(-1, 3).mean(axis=0))
    assert predicted.shape == photo.shape
    assert (predicted.numpy() == expected).all()


def test_every_class_gets_its_mean_color():
    classes = torch.randint(0, 12, (3, 16, 16))
    photo = torch.randint(0, 256, (3, 16, 16, 3), dtype=torch.uint8)
    pairs = drawn(classes, photo)
    predicted = class_colors(pairs)(pairs.label_map)
    for number in range(12):
        here = (classes == number).numpy()
        expected = np.round(photo.numpy()[here].mean(axis=0))
        assert (predicted.numpy()[here] == expected).all()


def test_a_class_that_no_training_photo_has_gets_the_mean_color_of_all():
    photo = torch.randint(0, 256, (3, 16, 16, 3), dtype=torch.uint8)
    pairs = drawn(torch.randint(0, 2, (3, 16, 16)), photo)
    other = COLORS[torch.full((1, 4, 4), 7)]
    assert torch.equal(class_colors(pairs)(other), constant_color(pairs)(other))


def test_noise_on_the_label_map_does_not_change_its_classes():
    pairs = drawn(torch.randint(0, 12, (2, 16, 16)), torch.randint(0, 256, (2, 16, 16, 3)).byte())
    noisy = (
        (pairs.label_map.int() + torch.randint(-6, 7, pairs.label_map.shape)).clamp(0, 255).byte()
    )
    predict = class_colors(pairs)
    assert torch.equal(predict(noisy), predict(pairs.label_map))


@pytest.mark.parametrize("channels", [1, 3])
def test_label_maps_of_another_palette_have_the_constant_baseline_alone(channels):
    label_map = torch.full((2, 8, 8, channels), 128, dtype=torch.uint8)
    photo = torch.randint(0, 256, (2, 8, 8, 3), dtype=torch.uint8)
    assert list(baselines(PairedImages(("1", "2"), label_map, photo, "digest"))) == [
        "constant color"
    ]


def test_label_maps_in_the_palette_have_both_baselines():
    photo = torch.randint(0, 256, (3, 16, 16, 3), dtype=torch.uint8)
    pairs = drawn(torch.randint(0, 12, (3, 16, 16)), photo)
    assert list(baselines(pairs)) == ["constant color", "per-class color"]


def test_gray_photos_have_a_baseline_of_each_class():
    classes = torch.randint(0, 12, (3, 16, 16))
    photo = torch.randint(0, 256, (3, 16, 16, 1), dtype=torch.uint8)
    gray, rgb = (drawn(classes, photos) for photos in (photo, photo.expand(-1, -1, -1, 3)))
    assert torch.equal(class_colors(gray)(gray.label_map), class_colors(rgb)(rgb.label_map))
