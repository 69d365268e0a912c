import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="session")
def noise():
    """Random pixels: every image of its own, so that mixed-up images are noticed."""

    def draw(seed, height=8, width=8, channels=3):
        shape = (height, width, channels)
        return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)

    return draw


@pytest.fixture(scope="session")
def save():
    """Write pixels to a file of any format, making its folder."""

    def write(path, pixels, **settings):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path, **settings)
        return path

    return write
