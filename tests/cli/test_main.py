import subprocess
import sys

import pytest

from pix2pix_ilm import cli


def test_help_lists_every_command():
    command = [sys.executable, "-m", "pix2pix_ilm", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    for name in cli.COMMANDS:
        assert name in done.stdout


def test_the_module_runs_like_the_script():
    command = [sys.executable, "-m", "pix2pix_ilm", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.strip()
    assert done.returncode == 0


@pytest.mark.parametrize("command", ["--help", "data --help"])
def test_help_is_quiet_when_its_reader_leaves(command):
    program = f"{sys.executable} -m pix2pix_ilm {command} | head -1"
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "facades", "--data", "nowhere"], "nowhere: no such folder"),
        (["train", "facades", "--image-size", "100"], "--image-size: expected one of"),
        (["train", "--resume", "nowhere"], "nowhere: not a training run"),
        (["train", "facades", "--generator.norm", "gn", "--generator.ngf", "10"],
         "--generator.norm-options.num-groups: expected a divisor"),
        (["train", "facades", "--generator.ngf", "1000000"], "--generator.ngf: expected 1 to 512"),
        (["train", "facades", "--label-classes", "x"],
         "--label-classes: expected facades, cityscapes, none, or a JSON file of classes"),
        (["train", "facades", "--label-classes", "facades", "--generator.in-channels", "1"],
         "--generator.in-channels: expected 3 (the default) or the 12 of the label classes"),
        (["data", "palette", "nowhere"], "nowhere: no such folder"),
        (["train", "facades", "--lr", "inf"], "--lr: expected a finite number, at least 0, found"),
        (["train", "facades", "--beta1", "1"], "--beta1: expected 0 to below 1, found 1.0"),
        (["train", "facades", "--decay-epochs", "201"], "--decay-epochs: expected 0 to 200"),
        (["evaluate"], "evaluate: expected checkpoints, or both --outputs and --targets"),
        (
            ["evaluate", "--outputs", "x", "--targets", "x", "--record"],
            "--record: images from a folder have no checkpoint",
        ),
        (["evaluate", "--outputs", "x"], "evaluate: expected checkpoints, or both"),
        (["evaluate", "nowhere"], "nowhere: no such checkpoint"),
        (["evaluate", "facades-in", "facades-in"], "evaluate: a checkpoint was given twice"),
        (["evaluate", "a", "--samples", "2"], "--samples: has no effect without --dropout"),
        (["evaluate", "a", "--seed", "2"], "--seed: has no effect without --dropout; add"),
        (["evaluate", "a", "--fid-weights", "b"], "--fid-weights: has no effect without --fid"),
        (["export", "folder", "a", "--out", "b", "--split", "c"], "--split: has no effect without"),
        (["push", "a", "me/b", "--split", "c"], "--split: has no effect without --data; add"),
        (["evaluate", "--outputs", "x", "--targets", "y"], "x: no such folder"),
        (["translate"], "translate: expected label maps, or folders of them, found none"),
        (["translate", "x.png", "--checkpoint", "nowhere"], "nowhere: no such checkpoint"),
        (["demo", "--port", "70000"], "--port: expected 1 to 65535, found 70000"),
        (["import-weights", "x.pth", "--out", "y"], "x.pth: no such file"),
        (["export", "onnx", "nowhere", "--out", "x"], "nowhere: no such checkpoint"),
        (["export", "nowhere", "--out", "x.Onnx"], "nowhere: no such checkpoint"),
        (["data", "check", "nowhere"], "nowhere: no such folder"),
        (["data", "synthesize", "--out", "x", "--count", "1"], "--count: expected at least 3"),
        (["data", "synthesize", "--out", "x", "--size", "5000"], "--size: expected 32 to 1024"),
        (["train", "quick", "--seed", "-1"], "--seed: expected at least 0, found -1"),
        (["evaluate", "a", "--seed", "-1"], "--seed: expected at least 0, found -1"),
        (["reproduce", "--set", "lr=-1"], "--lr: expected a finite number, at least 0, found -1.0"),
        (["data", "synthesize", "--out", "x", "--seed", "-1"], "--seed: expected at least 0"),
    ],
)  # fmt: skip
def test_mistakes_get_one_line_and_code_2(run, arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(*arguments) == 2
    errors = capsys.readouterr().err.strip()
    assert errors.startswith(f"error: {message}")
    assert "\n" not in errors
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["trian"],
        ["train"],
        ["train", "facades", "--generator.norm", "batch"],
        ["export"],
        ["export", "folder", "a", "--out", "b", "--size", "256"],
    ],
)
def test_what_cannot_be_parsed_is_explained_with_code_2(run, arguments, capsys):
    assert run(*arguments) == 2
    assert capsys.readouterr().err
