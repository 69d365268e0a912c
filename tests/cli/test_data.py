import json

import numpy as np
from PIL import Image


def test_data_synthesize_and_check(run, tmp_path, capsys):
    assert run("data", "synthesize", "--out", tmp_path / "new", "--count", 4, "--size", 32) == 0
    assert run("data", "check", tmp_path / "new") == 0
    assert "train: 2 good pairs (side by side in train, halves of 32x32)" in capsys.readouterr().out


def test_data_download_from_an_archive_that_is_none(run, tmp_path, capsys):
    (tmp_path / "facades.tar.gz").write_bytes(b"no archive")
    code = run(
        "data", "download", "facades", "--out", tmp_path / "facades",
        "--archive", tmp_path / "facades.tar.gz",
    )  # fmt: skip
    assert code == 2
    assert "cannot be unpacked" in capsys.readouterr().err
    assert not (tmp_path / "facades").exists()


def test_a_proposed_palette_is_what_train_takes(run, tiny, drawn_pairs, tmp_path, capsys):
    """Printed or written, and then known to the run and the model without its file."""
    file = tmp_path / "classes.json"
    assert run("data", "palette", drawn_pairs) == 0
    printed = capsys.readouterr()
    assert "class 0: " in printed.err
    assert run("data", "palette", drawn_pairs, "--out", file) == 0
    assert file.read_text() == printed.out
    assert run("data", "check", drawn_pairs, "--label-classes", file) == 0
    code = run(
        "train", "facades", "--data", drawn_pairs, *tiny, "--epochs", 1, "--name", "tiny",
        "--checkpoints", tmp_path, "--device", "cpu", "--label-classes", file,
    )  # fmt: skip
    assert code == 0
    classes = json.loads(printed.out)
    assert json.loads((tmp_path / "tiny" / "config.json").read_text())["palette"] == classes
    record = json.loads((tmp_path / "tiny" / "run.json").read_text())
    assert record["config"]["label_classes"] == classes


def test_index_maps_are_checked_against_classes(run, tmp_path, capsys):
    for side, value in (("A", 0), ("B", 12)):
        (tmp_path / side / "train").mkdir(parents=True)
        Image.fromarray(np.full((8, 8), value, np.uint8)).save(tmp_path / side / "train" / "1.png")
    flags = ("data", "check", tmp_path, "--label-classes", "facades")
    assert run(*flags, "--direction", "AtoB") == 0
    assert run(*flags) == 2
    assert "B/train/1.png: expected indices of the 12 label classes" in capsys.readouterr().err
