import numpy as np
import pytest

from pix2pix_ilm.data.palette import FACADES_PALETTE
from pix2pix_ilm.reproduction.painted_maps import painted_maps


@pytest.mark.parametrize("size", [32, 128, 256])
def test_there_are_twelve_different_maps_of_classes_alone(size):
    maps = list(painted_maps(size).values())
    assert len({one.tobytes() for one in maps}) == 12
    for one in maps:
        assert one.shape == (size, size, 3)
        assert np.array_equal(FACADES_PALETTE.paint(FACADES_PALETTE.nearest(one)), one)


def test_maps_hold_what_their_names_say():
    names = [label_class.name for label_class in FACADES_PALETTE.classes]
    held = {
        name: {names[index] for index in np.unique(FACADES_PALETTE.nearest(one))}
        for name, one in painted_maps(256).items()
    }
    assert held["empty wall"] == {"background", "facade"}
    assert held["wall alone"] == {"facade"}
    assert held["one window"] == {"background", "facade", "window"}
    assert held["balconies"] == {"background", "facade", "window", "balcony", "door"}
    assert held["sills, cornices, shop"] == {
        "background", "facade", "window", "sill", "cornice", "shop"
    }  # fmt: skip


def test_windows_stand_in_rows_and_columns():
    window = FACADES_PALETTE.colors[2]
    grid = (painted_maps(256)["grid"] == window).all(axis=2)
    for axis in (0, 1):
        edges = np.diff(grid.any(axis=axis).astype(int))
        assert ((edges == 1).sum(), (edges == -1).sum()) == (5, 5)
