import re
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pix2pix_ilm.data.images import SUFFIXES
from pix2pix_ilm.data.pairs import (
    Pair,
    find_pairs,
    find_whole_split,
    hold_out,
    list_splits,
    pairs_in,
    validation_split,
)
from pix2pix_ilm.errors import UserError
from pix2pix_ilm.files import list_problems

TWO_FOLDERS = ("A/{}|B/{}", "{}/A|{}/B", "{}A|{}B")


@pytest.fixture
def side_by_side(tmp_path, noise, save):
    """Write side-by-side images; their name is also their seed."""

    def write(folder, count, first=1):
        for seed in range(first, first + count):
            save(tmp_path / folder / f"{seed}.png", noise(seed, 8, 16))
        return tmp_path

    return write


def names(pairs):
    return [pair.name for pair in pairs]


def find_error(root, split="train"):
    with pytest.raises(UserError) as caught:
        find_pairs(root, split)
    return str(caught.value)


def read_error(*files):
    with pytest.raises(UserError) as caught:
        Pair("pair", files).read()
    return str(caught.value)


def test_the_left_half_is_a_and_the_right_half_is_b(side_by_side, noise):
    (pair,) = find_pairs(side_by_side("train", 1), "train")
    a, b = pair.read()
    np.testing.assert_array_equal(np.hstack([a, b]), noise(1, 8, 16))
    assert a.shape == b.shape == (8, 8, 3)


@pytest.mark.parametrize("layout", TWO_FOLDERS)
def test_two_folders_are_matched_by_name_whatever_the_suffixes(tmp_path, noise, save, layout):
    a_folder, b_folder = (tmp_path / side for side in layout.format("train", "train").split("|"))
    for seed, suffix in ((1, "png"), (2, "PNG"), (10, "webp")):
        save(a_folder / f"{seed}.{suffix}", noise(seed), lossless=True)
        save(b_folder / f"{seed}.png", noise(100 + seed))
    pairs = find_pairs(tmp_path, "train")
    assert names(pairs) == ["1", "2", "10"]
    assert list_splits(tmp_path) == ["train"]
    for pair in pairs:
        a, b = pair.read()
        np.testing.assert_array_equal(a, noise(int(pair.name)))
        np.testing.assert_array_equal(b, noise(100 + int(pair.name)))


@pytest.mark.parametrize(
    "layout",
    [
        "train_A|train_B",
        "train_label|train_img",
        "TrainA|TrainB",
        "a/train|b/train",
        "A/Training|B/training",
        "training/a|training/b",
        "label|img",
        "a|B",
    ],
)
def test_other_usual_names_of_two_folders_are_understood(tmp_path, noise, save, layout):
    a, b = (save(tmp_path / side / "1.png", noise(0)) for side in layout.split("|"))
    for side in layout.split("|"):
        save(tmp_path / side / "2.png", noise(0))  # where it is held out for want of splits
    assert find_pairs(tmp_path, "train")[0].files == (a, b)


@pytest.mark.parametrize(
    ("folder", "split"),
    [
        ("training", "train"), ("Train", "train"), ("TRAINING", "train"), ("valid", "val"),
        ("Validation", "val"), ("testing", "test"), ("Test", "test"),
    ],
)  # fmt: skip
def test_other_usual_names_of_splits_are_understood(side_by_side, folder, split):
    root = side_by_side(folder, 2)
    assert list_splits(root) == [split]
    for name in (split, folder, f"{folder}[:2]"):
        assert [pair.files[0].parent.name for pair in find_pairs(root, name)] == [folder, folder]


@pytest.mark.parametrize(
    ("folders", "found"),
    [
        (("train", "Train"), "{}: expected one of the folders Train, train; rename the others"),
        (("val", "valid"), "{}: expected one of the folders val, valid; rename the others"),
        (("A/train", "a/train"), "{}: expected one of the folders A, a; rename the others"),
        (
            ("trainA", "trainB", "train"),
            "{}: split 'train' could be A in trainA, B in trainB or side by side in train; "
            "keep one of them",
        ),
        (
            ("trainA", "trainB", "A/train", "B/train"),
            "{}: split 'train' could be A in A/train, B in B/train or A in trainA, B in trainB; "
            "keep one of them",
        ),
    ],
)
def test_folders_that_could_both_be_meant_are_refused(tmp_path, folders, found):
    for folder in folders:
        (tmp_path / folder).mkdir(parents=True)
    if len(list(tmp_path.iterdir())) < len({folder.split("/")[0] for folder in folders}):
        pytest.skip("this file system does not tell upper case from lower case")
    split = "val" if "val" in folders else "train"
    assert find_error(tmp_path, split) == found.format(tmp_path)


def test_names_match_whichever_way_their_accents_are_written(tmp_path, noise, save):
    for side, form in (("A", "NFC"), ("B", "NFD")):
        for seed, name in enumerate(("caf\u00e9", "K\u00f6ln", "plain")):
            save(tmp_path / side / f"{unicodedata.normalize(form, name)}.png", noise(seed))
    pairs = pairs_in((tmp_path / "A", tmp_path / "B"))
    assert names(pairs) == ["K\u00f6ln", "caf\u00e9", "plain"]
    for pair in pairs:
        np.testing.assert_array_equal(*pair.read())


def test_each_side_is_read_with_its_own_channels(tmp_path, noise, save):
    both = save(tmp_path / "both.png", noise(0, 8, 16))
    one = save(tmp_path / "one.png", noise(1))
    for files in ((both,), (one, one)):
        a, b = Pair("pair", files).read(channels=(1, 3))
        assert (a.shape, b.shape) == ((8, 8, 1), (8, 8, 3))


def test_halves_of_special_images_are_those_of_plain_ones(tmp_path, noise, save):
    colors = np.array([[0, 0, 223], [0, 48, 255], [255, 0, 0]], np.uint8)
    indices = noise(0, 4, 8, 1)[..., 0] % 3
    palette = Image.fromarray(indices)
    palette.putpalette(colors.tobytes())
    palette.save(tmp_path / "palette.png")
    deep = save(tmp_path / "deep.png", indices.astype(np.uint16) * 257)
    exif = Image.Exif()
    exif[0x0112] = 8  # turned a quarter: upright, what was stored 4 high and 8 wide is 8 x 4
    turned = save(tmp_path / "turned.png", noise(1, 4, 8), exif=exif)
    for path, whole in (
        (tmp_path / "palette.png", colors[indices]),
        (deep, np.repeat(indices[..., None], 3, axis=2)),
        (turned, np.rot90(noise(1, 4, 8))),
    ):
        np.testing.assert_array_equal(np.hstack(Pair("pair", (path,)).read()), whole)


def test_odd_widths_and_unequal_sizes_are_refused(tmp_path, noise, save):
    odd = save(tmp_path / "odd.png", noise(0, 8, 15))
    assert read_error(odd) == f"{odd}: a side-by-side image must have an even width, found 15"
    small, large = save(tmp_path / "s.png", noise(0, 6, 8)), save(tmp_path / "l.png", noise(0))
    assert read_error(small, large) == f"{small}: A is 8x6 but B ({large}) is 8x8"


def test_unreadable_halves_are_named(tmp_path, noise, save):
    good, bad = save(tmp_path / "good.png", noise(0)), tmp_path / "bad.png"
    bad.touch()
    for files in ((bad,), (good, bad), (bad, good)):
        assert read_error(*files).startswith(f"{bad}: cannot be read (not an image")


def test_pairs_come_in_natural_order(side_by_side):
    assert names(find_pairs(side_by_side("train", 12), "train")) == [str(i) for i in range(1, 13)]


def test_splits_are_found_in_their_usual_order(side_by_side, noise, save):
    root = side_by_side("test", 1)
    side_by_side("train", 1)
    for side in "AB":
        save(root / f"val{side}" / "1.png", noise(0))
    save(root / "notes" / "1.png", noise(0))
    assert list_splits(root) == ["train", "val", "test"]


@pytest.mark.parametrize(
    ("splits", "chosen"),
    [
        (("train", "val", "test"), "val"),
        (("train", "test"), "test"),
        (("train",), "train"),
        ((".",), "val"),
    ],
)
def test_the_validation_split_is_the_best_there_is(side_by_side, splits, chosen):
    (root,) = {side_by_side(split, 2) for split in splits}
    assert validation_split(root) == chosen
    assert find_pairs(root, chosen)


def test_splits_of_other_names_can_be_asked_for(side_by_side):
    assert len(find_pairs(side_by_side("extra", 3), "extra[1:]")) == 2


@pytest.mark.parametrize("start", ["", 0, 2, 5])
@pytest.mark.parametrize("stop", ["", 3, 7, 99])
def test_slices_are_those_of_python(side_by_side, start, stop):
    whole = [str(i) for i in range(1, 8)]
    expected = whole[int(start or 0) : int(stop) if stop else None]
    root = side_by_side("train", 7)
    if expected:
        assert names(find_pairs(root, f"train[{start}:{stop}]")) == expected
    else:
        assert "is empty; train has 7" in find_error(root, f"train[{start}:{stop}]")


@pytest.mark.parametrize(
    "split",
    ["", "/tmp", "../up", "a/../..", "train[", "train[1]", "train[-2:]", "train[a:b]", "[1:2]"],
)
def test_split_typos_are_explained(side_by_side, split):
    message = find_error(side_by_side("train", 1), split)
    assert message == (f"split {split!r}: expected a name or a slice of one, such as train[:200]")


def test_unknown_splits_are_answered_with_the_known_ones(side_by_side):
    root = side_by_side("train", 1)
    side_by_side("test", 1)
    for split in ("trian", "val", "n" * 300):
        assert find_error(root, split) == (
            f"{root}: no split {split!r}; splits found: train, test, in folders test, train"
        )


def test_without_splits_every_tenth_pair_is_held_out(side_by_side):
    root = side_by_side(".", 25)
    assert names(find_pairs(root, "val")) == names(find_pairs(root, "test")) == ["10", "20"]
    kept = [str(i) for i in range(1, 26) if i % 10]
    assert names(find_pairs(root, "train")) == kept
    assert names(find_pairs(root, "train[:2]")) == ["1", "2"]


def test_without_splits_two_folders_are_divided_alike(tmp_path, noise, save):
    for seed in range(1, 4):
        for side in "AB":
            save(tmp_path / side / f"{seed}.png", noise(seed))
    assert names(find_pairs(tmp_path, "train")) == ["1", "2"]
    assert names(find_pairs(tmp_path, "val")) == ["3"]


@given(st.integers(1, 64))
def test_held_out_pairs_and_training_pairs_divide_the_whole(count):
    pairs = [Pair(str(i), (Path(f"{i}.png"),)) for i in range(count)]
    train, val = hold_out(pairs, "train"), hold_out(pairs, "val")
    assert sorted(train + val, key=lambda pair: int(pair.name)) == pairs
    assert len(val) == max(count // 10, 1)


def test_one_pair_alone_cannot_be_trained_on(side_by_side):
    root = side_by_side(".", 1)
    message = f"{root}: expected at least 2 pairs where there are no folders train and val"
    assert find_error(root).startswith(message)
    assert find_error(root).endswith("found 1")


def test_a_missing_root_and_a_root_that_is_a_file_are_refused(tmp_path):
    (tmp_path / "file").touch()
    for name in ("missing", "file", "file/below", "n" * 300):
        root = tmp_path / name
        assert find_error(root) == f"{root}: no such folder; expected a folder of image pairs"


def test_a_folder_without_images_is_refused(tmp_path):
    (tmp_path / "Thumbs.db").touch()
    (tmp_path / "photos").mkdir()
    expected = f"no images found; expected {', '.join(SUFFIXES)}"
    assert find_error(tmp_path) == (
        f"{tmp_path}: {expected}, or the folders train, val and test, A and B, or trainA and "
        "trainB; found folders photos; other suffixes Thumbs.db"
    )
    (tmp_path / "train").mkdir()
    assert find_error(tmp_path) == f"{tmp_path / 'train'}: {expected}; found an empty folder"


@pytest.mark.parametrize("layout", ["A|B", *TWO_FOLDERS])
@pytest.mark.parametrize("present", [0, 1])
def test_one_of_two_folders_alone_asks_for_the_other(tmp_path, noise, save, layout, present):
    folders = [tmp_path / side for side in layout.format("train", "train").split("|")]
    save(folders[present] / "1.png", noise(0))
    message = find_error(tmp_path)
    assert message.startswith(f"{folders[1 - present]}: no such folder")


def test_images_without_a_partner_are_listed_on_both_sides(tmp_path, noise, save):
    for side, seeds in (("A", range(1, 4)), ("B", range(3, 13))):
        for seed in seeds:
            save(tmp_path / side / f"{seed}.png", noise(seed))
    lines = find_error(tmp_path).splitlines()
    unpaired = [tmp_path / "A/1.png", tmp_path / "A/2.png"]
    unpaired += [tmp_path / f"B/{seed}.png" for seed in range(4, 12)]
    assert lines == [
        f"{tmp_path / 'A'} and {tmp_path / 'B'}: images without a partner (11):",
        *(f"  {path}" for path in unpaired),
        "  ... and 1 more",
    ]


def test_an_empty_partner_folder_lists_what_it_lacks(tmp_path, noise, save):
    save(tmp_path / "A" / "1.png", noise(0))
    (tmp_path / "B").mkdir()
    assert re.search(r"without a partner \(1\):\n  .*A/1\.png", find_error(tmp_path))


def test_names_that_differ_only_in_case_are_no_partners(tmp_path, noise, save):
    save(tmp_path / "A" / "one.png", noise(0))
    save(tmp_path / "B" / "One.png", noise(0))
    assert "without a partner (2)" in find_error(tmp_path)


def test_names_that_differ_only_in_their_suffix_are_refused(tmp_path, noise, save):
    for name in ("1.png", "1.JPG", "2.png"):
        save(tmp_path / "train" / name, noise(0))
    message = find_error(tmp_path)
    assert message.startswith(f"{tmp_path / 'train'}: names that differ only in their suffix (1):")
    assert "/1." in message
    assert "/2." not in message


def test_an_unreadable_folder_is_refused(side_by_side, monkeypatch):
    root = side_by_side("train", 1)

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    assert find_error(root) == f"{root}: cannot be listed (Permission denied)"
    monkeypatch.undo()
    monkeypatch.setattr(Path, "is_file", refuse)  # the folder lacks the permission to enter it
    assert find_error(root) == f"{root / 'train'}: cannot be listed (Permission denied)"


def test_hidden_files_and_rubbish_are_overlooked(side_by_side):
    root = side_by_side("train", 2)
    for name in (".DS_Store", "Thumbs.db", "._1.png", ".1.jpg", "1.txt"):
        (root / "train" / name).touch()
    assert names(find_whole_split(root, "train")) == ["1", "2"]


@given(st.integers(0, 25))
def test_a_listing_shows_ten_problems_and_how_many(count):
    lines = list_problems("bad", [Path(str(i)) for i in range(count)]).splitlines()
    assert lines[0] == f"bad ({count}):"
    assert lines[1:11] == [f"  {i}" for i in range(min(count, 10))]
    assert lines[11:] == ([f"  ... and {count - 10} more"] if count > 10 else [])
