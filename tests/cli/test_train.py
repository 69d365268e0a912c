import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pix2pix_ilm.training.curves import CURVES
from pix2pix_ilm.training.run_folder import METRICS


def test_training_says_what_to_do_next(train_tiny, drawn_pairs, tmp_path, capsys):
    assert train_tiny(drawn_pairs, tmp_path) == 0
    printed = capsys.readouterr()
    assert "epoch 1/1  step 16/16" in printed.out
    assert f"LABEL_MAP... --checkpoint {tmp_path / 'tiny'}" in printed.err
    assert (tmp_path / "tiny" / "model.safetensors").exists()


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_training_outlives_whoever_reads_its_lines(tiny, drawn_pairs, tmp_path, encoding):
    arguments = ["train", "facades", "--data", drawn_pairs, *tiny, "--epochs", 1, "--log-every", 1,
                 "--checkpoints", tmp_path, "--name", "[bold]x :smile:"]  # fmt: skip
    command = shlex.join(map(str, [sys.executable, "-m", "pix2pix_ilm", *arguments]))
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command} | head -1"],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONIOENCODING": encoding},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{tmp_path}/[bold]x :smile:: 16 pairs")
    assert "standard output cannot be written (Broken pipe); going on without it" in done.stderr
    assert (tmp_path / "[bold]x :smile:" / "model.safetensors").exists()


def test_a_taken_name_is_refused_and_nothing_lost(train_tiny, trained, drawn_pairs, capsys):
    before = (trained / "model.safetensors").read_bytes()
    assert train_tiny(drawn_pairs, trained.parent) == 2
    assert "--resume" in capsys.readouterr().err
    assert (trained / "model.safetensors").read_bytes() == before


def test_flags_reach_the_networks(run, tiny, drawn_pairs, tmp_path):
    code = run(
        "train", "paper", "--data", drawn_pairs, *tiny, "--epochs", 1, "--checkpoints", tmp_path,
        "--train-split", "train[:4]", "--val-split", "train[4:]", "--device", "cpu",
        "--generator.norm", "ilm-gn", "--generator.norm-options.num-groups", 2,
        "--discriminator.norm", "ilm-in",
    )  # fmt: skip
    assert code == 0
    folder = tmp_path / f"{drawn_pairs.name}-ilm-gn-ilm-in"
    record = json.loads((folder / "run.json").read_text())
    assert record["train"] == ["1", "2", "3", "4"]
    assert record["config"]["generator"]["norm_options"]["num_groups"] == 2


def test_the_best_recipe_trains_and_flags_go_before(run, tiny, drawn_pairs, tmp_path, capsys):
    common = ["best", "--data", drawn_pairs, *tiny, "--generator.depth", 5, "--epochs", 1,
              "--checkpoints", tmp_path, "--device", "cpu"]  # fmt: skip
    assert run("train", *common, "--name", "own", "--generator.noise", 0.1) == 0
    config = json.loads((tmp_path / "own" / "run.json").read_text())["config"]
    assert (config["generator"]["noise"], config["generator"]["upsample"]) == (0.1, "resize")

    assert run("train", *common, "--name", "turned", "--direction", "AtoB") == 2
    assert "--label-classes: expected classes whose colors" in capsys.readouterr().err
    assert not (tmp_path / "turned").exists()


def test_settings_come_from_a_file_and_flags_go_before(run, trained, drawn_pairs, tmp_path):
    (tmp_path / "mine.json").write_text(
        json.dumps({"data": str(drawn_pairs), "image_size": 32, "generator": {"ngf": 4}})
    )
    common = ("--epochs", 1, "--checkpoints", tmp_path / "new", "--device", "cpu")
    for number, file in enumerate((trained, trained / "run.json", tmp_path / "mine.json")):
        name = f"run{number}"
        flags = ("--lr", "3e-4", "--discriminator.ndf", 4, "--name", name)
        assert run("train", "--config", file, *flags, *common) == 0
        config = json.loads((tmp_path / "new" / name / "run.json").read_text())["config"]
        assert (config["lr"], config["image_size"], config["generator"]["ngf"]) == (3e-4, 32, 4)
    assert run("train", f"--config={trained}", *common) == 0
    assert (tmp_path / "new" / f"{drawn_pairs.name}-in-in").exists()  # not the file's name


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"lr": "fast"}', "lr: "),
        ('{"speed": 3}', "speed: "),
        ('{"generator": {"norm": "x"}}', "generator.norm: "),
        ("{", "content: Invalid JSON"),
        ("[]", "content: "),
        ('{"config": {}}', "data_digest: "),
    ],
)
def test_a_file_of_other_settings_is_refused_by_its_name(run, tmp_path, capsys, content, message):
    file = tmp_path / "run.json"
    file.write_text(content)
    assert run("train", "--config", file, "--checkpoints", tmp_path / "new") == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {file}: {message}")
    assert not (tmp_path / "new").exists()


def test_a_run_is_resumed_by_its_folder(run, trained, capsys):
    assert run("train", "--resume", trained) == 0
    said = capsys.readouterr().err
    assert f"Done: {trained}" in said
    assert f"curves:      {trained / METRICS}, or tensorboard --logdir {trained}\n" in said
    record = (trained / "run.json").read_text()
    (trained / "run.json").write_text(
        record.replace('"tracker": "tensorboard"', '"tracker": "none"')
    )
    assert run("train", "--resume", trained) == 0
    assert f"curves:      {trained / METRICS}\n" in capsys.readouterr().err


def test_a_run_is_resumed_by_its_name_in_checkpoints(run, trained, tmp_path, monkeypatch, capsys):
    shutil.copytree(trained, tmp_path / "checkpoints" / "mine")
    monkeypatch.chdir(tmp_path)
    assert run("train", "--resume", "mine") == 0
    assert f"Done: {Path('checkpoints', 'mine')}" in capsys.readouterr().err
    (tmp_path / "mine").mkdir()
    assert run("train", "--resume", "mine") == 2  # the folder of this name comes first
    assert "mine: not a training run" in capsys.readouterr().err


def test_a_run_that_has_validated_ends_with_the_place_of_its_curves(run, trained, tmp_path, capsys):
    folder = shutil.copytree(trained, tmp_path / "validated")
    (folder / CURVES).write_bytes(b"")
    assert run("train", "--resume", folder) == 0
    assert f"curves:      {folder / CURVES}" in capsys.readouterr().err
