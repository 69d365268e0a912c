"""The pairs that are no label maps: both layouts, as the rest of the package reads them."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from programs import imported
from rich.console import Console

from pix2pix_ilm.data.check import check_folder
from pix2pix_ilm.data.images import read_image
from pix2pix_ilm.data.pairs import find_pairs
from pix2pix_ilm.data.synthetic.dataset import draw_pair
from pix2pix_ilm.errors import UserError

EXAMPLE = Path(__file__).parents[2] / "examples" / "draw_pairs.py"


@pytest.fixture(scope="module")
def example():
    with imported("examples/draw_pairs.py") as program:
        yield program


@pytest.fixture(scope="module")
def drawn(example, tmp_path_factory) -> dict[str, Path]:
    """Kind -> a folder of 20 pairs of 32x32."""
    folders = {kind: tmp_path_factory.mktemp("pairs") / kind for kind in ("edges", "gray")}
    for kind, out in folders.items():
        example.main(example.Options(kind=kind, out=out, count=20, size=32), Console(quiet=True))
    return folders


def photo_of(position: int) -> np.ndarray:
    """The photo of a pair, drawn anew."""
    seeds = np.random.SeedSequence(0).generate_state(20).tolist()
    return draw_pair(seeds[position], 32)[1]


def test_the_check_accepts_both_layouts(drawn):
    assert check_folder(drawn["edges"]).splitlines() == [
        "train: 16 good pairs (side by side in train, halves of 32x32)",
        "val: 2 good pairs (side by side in val, halves of 32x32)",
        "test: 2 good pairs (side by side in test, halves of 32x32)",
    ]
    assert check_folder(drawn["gray"]).splitlines() == [
        "train: 18 good pairs (A in A, B in B, 32x32)",
        "val: 2 good pairs (A in A, B in B, 32x32)",
    ]


def test_edges_lie_beside_their_photo_in_split_folders(drawn, example):
    splits = [find_pairs(drawn["edges"], split) for split in ("train", "val", "test")]
    names = [pair.name for pairs in splits for pair in pairs]
    assert names == [str(position + 1) for position in range(20)]
    for position, split in ((0, "train"), (15, "train"), (16, "val"), (19, "test")):
        pair = read_image(drawn["edges"] / split / f"{position + 1}.png")
        photo = photo_of(position)
        assert np.array_equal(pair[:, 32:], photo)
        assert np.array_equal(pair[:, :32], np.repeat(example.edges(photo), 3, axis=2))


def test_gray_lies_in_a_folder_of_its_own_with_one_channel(drawn):
    pairs = find_pairs(drawn["gray"], "train")
    assert len(pairs) == 18
    for pair, position in zip(pairs[:3], range(3), strict=True):
        assert pair.files == tuple(drawn["gray"] / side / f"{pair.name}.png" for side in "AB")
        a, b = (Image.open(file) for file in pair.files)
        assert (a.mode, b.mode) == ("L", "RGB")
        assert np.array_equal(b, photo_of(position))
        assert np.array_equal(a, b.convert("L"))


def test_lines_are_where_the_brightness_changes(example):
    photo = np.zeros((8, 8, 3), np.uint8)
    photo[:, 5:] = 200
    lines = example.edges(photo)
    assert (lines[:, 4:6] == 0).all()
    assert (np.delete(lines, (4, 5), axis=1) == 255).all()
    assert (example.edges(np.full_like(photo, 90)) == 255).all()


def test_photos_have_lines_and_paper(example):
    for position in range(20):
        assert 0.05 < (example.edges(photo_of(position)) == 0).mean() < 0.8


def test_a_seed_draws_the_same_pairs_and_another_others(drawn, example, tmp_path):
    def drawn_with(seed: int) -> bytes:
        out = tmp_path / f"seed-{seed}"
        options = example.Options(kind="gray", out=out, count=10, size=32, seed=seed)
        example.main(options, Console(quiet=True))
        return (out / "B" / "1.png").read_bytes()

    first = drawn_with(0)
    assert drawn_with(1) != first
    assert first == (drawn["gray"] / "B" / "1.png").read_bytes()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"count": 9}, "--count: expected at least 10, found 9"),
        ({"seed": -1}, "--seed: expected at least 0, found -1"),
        ({"size": 16}, "--size: expected 32 to 1024 pixels, found 16"),
    ],
)
def test_what_cannot_be_drawn_is_refused_under_its_flag(example, tmp_path, settings, message):
    with pytest.raises(UserError, match=message):
        example.Options(kind="gray", out=tmp_path / "new", **settings)


def test_a_folder_that_cannot_be_made_is_named(example, tmp_path):
    (tmp_path / "file").write_text("")
    options = example.Options(kind="gray", out=tmp_path / "file" / "new", count=10, size=32)
    with pytest.raises(UserError, match="cannot be made"):
        example.main(options, Console(quiet=True))


def test_nothing_is_overwritten(drawn):
    command = [sys.executable, EXAMPLE, "edges", "--out", drawn["gray"]]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: --out: {drawn['gray']} exists; choose a new folder\n"
