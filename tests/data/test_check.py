import os
from dataclasses import replace

import pytest
from PIL import Image

from pix2pix_ilm.data.check import check_colors, check_folder, left_out
from pix2pix_ilm.data.downloads import KNOWN, manifest
from pix2pix_ilm.data.images import SUFFIXES
from pix2pix_ilm.data.pairs import Pair, find_pairs, list_splits
from pix2pix_ilm.data.palette import FACADES_PALETTE
from pix2pix_ilm.errors import SettingError, UserError


@pytest.fixture
def root(tmp_path, noise, save):
    """Two training pairs of 8x8, one of 6x4, and a pair to test."""
    for seed, height, width in ((1, 8, 16), (2, 8, 16), (3, 4, 12)):
        save(tmp_path / "train" / f"{seed}.png", noise(seed, height, width))
    save(tmp_path / "test" / "1.jpg", noise(4, 8, 16))
    return tmp_path


def error_of(root):
    with pytest.raises(UserError) as caught:
        check_folder(root)
    return str(caught.value)


def test_good_pairs_are_counted_by_split_with_their_sizes(root):
    assert check_folder(root).splitlines() == [
        "train: 3 good pairs (side by side in train, halves of 8x8 and 1 other sizes)",
        "test: 1 good pairs (side by side in test, halves of 8x8)",
    ]


@pytest.mark.parametrize("direction", ["AtoB", "BtoA"])
def test_label_maps_must_have_the_colors_of_their_classes(drawn_pairs, direction):
    """The other direction takes photos for label maps."""
    pairs = find_pairs(drawn_pairs, "train")
    if direction == "BtoA":
        check_colors(pairs, FACADES_PALETTE, direction)
        return
    with pytest.raises(SettingError, match=r"colors the label maps, A, have \(\d+% of"):
        check_colors(pairs, FACADES_PALETTE, direction)


def test_index_maps_have_no_colors_to_compare(tmp_path):
    for side, mode in (("A", "RGB"), ("B", "L")):
        (tmp_path / side).mkdir()
        Image.new(mode, (8, 8), 3 if mode == "L" else "white").save(tmp_path / side / "1.png")
    pairs = [Pair("1", (tmp_path / "A" / "1.png", tmp_path / "B" / "1.png"))]
    check_colors(pairs, FACADES_PALETTE, "BtoA")


def test_a_folder_without_splits_shows_how_it_will_be_divided(tmp_path, noise, save):
    for seed in range(11):
        for side in "AB":
            save(tmp_path / side / f"{seed}.png", noise(seed))
    assert check_folder(tmp_path).splitlines() == [
        "train: 10 good pairs (A in A, B in B, 8x8)",
        "val: 1 good pairs (A in A, B in B, 8x8)",
    ]


def test_every_problem_of_every_split_is_named_after_the_good_pairs(root, noise, save):
    save(root / "train" / "odd.png", noise(0, 8, 15))
    (root / "train" / "empty.png").touch()
    (root / "test" / "text.png").write_text("no image")
    (root / "val").mkdir()
    train, val, test = (root / split for split in ("train", "val", "test"))
    assert error_of(root).splitlines() == [
        "train: 3 good pairs (side by side in train, halves of 8x8 and 1 other sizes)",
        "test: 1 good pairs (side by side in test, halves of 8x8)",
        "train: these images cannot be used (2):",
        f"  {train}/empty.png: cannot be read (not an image, or of an unknown kind)",
        f"  {train}/odd.png: a side-by-side image must have an even width, found 15",
        f"{val}: no images found; expected {', '.join(SUFFIXES)}; found an empty folder",
        "test: these images cannot be used (1):",
        f"  {test}/text.png: cannot be read (not an image, or of an unknown kind)",
    ]


def test_many_problems_show_ten_and_how_many(root):
    for number in range(25):
        (root / "train" / f"bad{number}.png").touch()
    lines = error_of(root).splitlines()
    assert "train: these images cannot be used (25):" in lines
    assert sum("not an image" in line for line in lines) == 10
    assert lines[-1] == "  ... and 15 more"


def test_pairs_of_unequal_size_are_found_with_both_files(tmp_path, noise, save):
    save(tmp_path / "trainA" / "1.png", noise(0))
    save(tmp_path / "trainB" / "1.png", noise(0, 8, 9))
    assert f"A is 8x8 but B ({tmp_path}/trainB/1.png) is 9x8" in error_of(tmp_path)
    assert error_of(tmp_path).startswith("train: 0 good pairs (A in trainA, B in trainB, none)\n")


@pytest.mark.parametrize("name", ["missing", "file", "empty"])
def test_nothing_to_check_is_said_once(tmp_path, name):
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    message = error_of(tmp_path / name)
    assert message.startswith(f"{tmp_path / name}: no ")
    assert "\n" not in message


def test_unmatched_files_without_splits_are_said_once(tmp_path, noise, save):
    save(tmp_path / "A" / "1.png", noise(0))
    (tmp_path / "B").mkdir()
    assert error_of(tmp_path).count("without a partner (1)") == 1


def test_the_real_data_set_is_recognized(root, monkeypatch):
    with monkeypatch.context() as patch:  # other counts: no file is read a second time
        patch.setattr("pix2pix_ilm.data.check.manifest", lambda _: pytest.fail("was read"))
        assert "CMP Facades" not in check_folder(root)
    splits = {split: len(find_pairs(root, split)) for split in list_splits(root)}
    known = replace(KNOWN["facades"], splits=splits, manifest="of other files")
    monkeypatch.setitem(KNOWN, "facades", known)
    assert "CMP Facades" not in check_folder(root)
    monkeypatch.setitem(KNOWN, "facades", replace(known, manifest=manifest(root)))
    last = check_folder(root).splitlines()[-1]
    assert last.startswith("this is CMP Facades")
    assert "its direction is BtoA" in last


def test_stray_files_do_not_disturb(root):
    (root / "folder.jpg").mkdir()
    (root / "gone.jpg").symlink_to("nowhere")
    (root / "Thumbs.db").touch()
    assert check_folder(root).startswith("train: 3 good pairs")


def test_names_that_no_training_can_note_are_named(root):
    try:
        Image.new("RGB", (4, 2)).save(os.fsdecode(os.fsencode(root) + b"/train/caf\xe9.jpg"))
    except OSError:
        pytest.skip("this file system accepts UTF-8 names only")
    said = error_of(root).encode("ascii", "backslashreplace").decode()
    assert "train: 3 good pairs" in said
    assert r"train/caf\udce9.jpg: its path is not UTF-8, so no training can note it" in said


def test_a_split_that_can_be_listed_and_not_entered_is_a_problem_among_others(root, monkeypatch):
    whole, lstat, stat = check_folder(root).splitlines(), os.lstat, os.stat
    (root / "train" / "notes.txt").touch()

    def refusing(look):
        def look_at(path, *arguments, **options):
            if str(path).startswith(f"{root}/train/"):
                raise PermissionError(13, "Permission denied", str(path))
            return look(path, *arguments, **options)

        return look_at

    monkeypatch.setattr(os, "stat", refusing(stat))
    monkeypatch.setattr(os, "lstat", refusing(lstat))
    said = error_of(root).splitlines()
    assert said == [*whole[1:], f"{root}/train: cannot be listed (Permission denied)"]


def test_single_photos_show_themselves_by_their_halves(tmp_path, noise, save):
    save(tmp_path / "train" / "1.png", noise(0, 64, 64))
    expected = "train: 1 good pairs (side by side in train, halves of 32x64)"
    assert check_folder(tmp_path) == expected


def test_what_is_left_out_is_said_once(root, noise, save):
    assert left_out(root) == []
    save(root / "5.png", noise(0, 8, 16))
    save(root / "train" / "cats" / "6.png", noise(0, 8, 16))
    save(root / "extra" / "7.png", noise(0, 8, 16))
    last = check_folder(root).splitlines()[-1]
    assert last == "3 other files left out: folders train/cats, extra; images 5.png"
    assert left_out(root, "extra[:1]", "train/cats") == [root / "5.png"]
    (root / "test" / "text.png").write_text("no image")
    assert error_of(root).count(last) == 1


@pytest.mark.parametrize("above", ["A", "."])
def test_what_lies_beside_two_folders_is_left_out(tmp_path, noise, save, above):
    for side in "AB":
        save(tmp_path / side / "train" / "1.png", noise(0))
    (tmp_path / above / "train.csv").touch()
    assert left_out(tmp_path) == [tmp_path / above / "train.csv"]


def test_without_splits_what_is_no_image_is_left_out(tmp_path, noise, save):
    for seed in range(2):
        save(tmp_path / f"{seed}.png", noise(seed, 8, 16))
    (tmp_path / "cats").mkdir()
    assert left_out(tmp_path, "train", "val") == [tmp_path / "cats"]


def test_checking_writes_nothing(root):
    before = {path: path.stat().st_mtime_ns for path in (root, *root.rglob("*"))}
    check_folder(root)
    assert {path: path.stat().st_mtime_ns for path in (root, *root.rglob("*"))} == before
