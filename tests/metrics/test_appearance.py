import math

import numpy as np
import pytest
import torch
from scipy.ndimage import uniform_filter

from pix2pix_ilm.metrics.appearance import (
    contrast,
    erode,
    periodic_artifacts,
    remove_box_mean,
    saturation,
)

EVERYWHERE = torch.ones(1, 128, 128, dtype=torch.bool)


def constant(*color):
    return torch.tensor(color, dtype=torch.uint8).expand(1, 128, 128, 3)


def test_saturation_and_contrast_of_what_is_known():
    assert saturation(constant(255, 0, 40)).item() == 1
    assert saturation(constant(90, 90, 90)).item() == 0
    assert saturation(constant(100, 49, 60)).item() == pytest.approx(51 / 255)
    assert contrast(constant(100, 49, 60)).item() < 1e-12
    halves = torch.cat([constant(0, 0, 0)[:, :64], constant(255, 255, 255)[:, 64:]], dim=1)
    assert contrast(halves).item() == 0.5


def pattern(period, amplitude):
    """Return an image with one bright pixel in every square of period x period."""
    image = np.full((128, 128), 100.0)
    image[::period, ::period] += amplitude * period**2 / math.sqrt(period**2 - 1)
    return torch.from_numpy(image.round().astype(np.uint8))[None, ..., None].expand(1, 128, 128, 3)


@pytest.mark.parametrize("period", [2, 4, 8])
def test_a_pattern_has_its_amplitude_at_its_period_and_multiples(period):
    image = pattern(period, 6)
    found = {p: periodic_artifacts(image, EVERYWHERE, p) for p in (2, 4, 8, 16)}
    for p, value in found.items():
        if p >= period:
            assert value == pytest.approx(6, rel=0.04)
        else:
            assert value < 6 / 1.5


def test_flat_areas_and_slow_changes_have_none():
    assert periodic_artifacts(constant(9, 9, 9), EVERYWHERE, 8) == 0
    ramp = torch.arange(128, dtype=torch.uint8)[None, :, None, None].expand(1, 128, 128, 3)
    inside = torch.zeros_like(EVERYWHERE)
    inside[:, 16:112, 16:112] = True
    assert periodic_artifacts(ramp, inside, 8) < 1e-9


def test_only_the_region_is_looked_at_and_small_ones_are_left_out():
    image = pattern(4, 6).clone()
    region = torch.zeros_like(EVERYWHERE)
    region[:, :64] = True
    image[:, 80:] = torch.randint(0, 256, (1, 48, 128, 3), dtype=torch.uint8)
    assert periodic_artifacts(image, region, 4) == pytest.approx(6, rel=0.05)
    tiny = torch.zeros_like(EVERYWHERE)
    tiny[:, :31, :32] = True  # 992 of 16384 pixels, where 1000 are needed
    assert math.isnan(periodic_artifacts(image, tiny, 4))
    both = periodic_artifacts(image.repeat(2, 1, 1, 1), torch.cat([region, tiny]), 4)
    assert both == periodic_artifacts(image, region, 4)


def test_a_region_that_is_brighter_than_its_surroundings_has_no_pattern_for_that():
    image = constant(100, 100, 100).clone()
    region = torch.zeros_like(EVERYWHERE)
    region[:, :, 40:80] = True
    image[region] = 120
    assert periodic_artifacts(image, region, 1) < 1e-9
    assert periodic_artifacts(image, region, 2) < 0.5


def test_the_mean_of_a_box_is_that_of_the_mirrored_image():
    gray = torch.rand(40, 50, dtype=torch.float64)
    expected = gray.numpy() - uniform_filter(gray.numpy(), 17, mode="mirror")
    np.testing.assert_allclose(remove_box_mean(gray).numpy(), expected, atol=1e-12)


def test_erosion_takes_four_pixels_from_every_edge_but_the_images():
    region = torch.zeros(2, 32, 32, dtype=torch.bool)
    region[0, 10:25, :20] = True
    expected = torch.zeros_like(region)
    expected[0, 14:21, :16] = True
    assert torch.equal(erode(region), expected)
