import json
import os
import shlex
import subprocess
import sys

import pytest
from PIL import Image

from pix2pix_ilm import cli

TINY = ["--image-size", "32", "--generator.ngf", "4", "--discriminator.ndf", "4"]


def run(*arguments) -> int:
    """The exit code of a command, 0 if it returns."""
    try:
        cli.main([str(argument) for argument in arguments])
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 1
    return 0


def python(*arguments) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def train_tiny(data, checkpoints) -> int:
    return run(
        "train", "facades", "--data", data, *TINY, "--epochs", 1, "--name", "tiny",
        "--checkpoints", checkpoints, "--device", "cpu",
    )  # fmt: skip


@pytest.fixture
def trained(drawn_pairs, tmp_path):
    """A run of one epoch, made from the command line."""
    assert train_tiny(drawn_pairs, tmp_path) == 0
    return tmp_path / "tiny"


def test_help_answers_without_loading_what_it_does_not_need():
    program = (
        "import sys; from pix2pix_ilm import cli\n"
        "try: cli.main(['--help'])\n"
        "except SystemExit: print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    for command in cli.COMMANDS:
        assert command in done.stdout
    heavy = {"torch", "torchvision", "accelerate", "numpy", "PIL", "gradio", "lpips", "matplotlib"}
    assert not heavy & set(done.stdout.split())


def test_the_module_runs_like_the_script():
    done = python("-m", "pix2pix_ilm", "--version")
    assert done.stdout.strip()
    assert done.returncode == 0


def test_training_says_what_to_do_next(drawn_pairs, tmp_path, capsys):
    assert train_tiny(drawn_pairs, tmp_path) == 0
    printed = capsys.readouterr()
    assert "epoch 1/1  step 16/16" in printed.out
    assert f"LABEL_MAP... --checkpoint {tmp_path / 'tiny'}" in printed.err
    assert (tmp_path / "tiny" / "model.safetensors").exists()


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_training_outlives_whoever_reads_its_lines(drawn_pairs, tmp_path, encoding):
    arguments = ["train", "facades", "--data", drawn_pairs, *TINY, "--epochs", 1, "--log-every", 1,
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


@pytest.mark.parametrize("command", ["--help", "data --help"])
def test_help_is_quiet_when_its_reader_leaves(command):
    program = f"{sys.executable} -m pix2pix_ilm {command} | head -1"
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout


def test_a_taken_name_is_refused_and_nothing_lost(trained, drawn_pairs, capsys):
    before = (trained / "model.safetensors").read_bytes()
    assert train_tiny(drawn_pairs, trained.parent) == 2
    assert "--resume" in capsys.readouterr().err
    assert (trained / "model.safetensors").read_bytes() == before


def test_flags_reach_the_networks(drawn_pairs, tmp_path):
    code = run(
        "train", "paper", "--data", drawn_pairs, *TINY, "--epochs", 1, "--checkpoints", tmp_path,
        "--train-split", "train[:4]", "--val-split", "train[4:]", "--device", "cpu",
        "--generator.norm", "ilm-gn", "--generator.norm-options.num-groups", 2,
        "--discriminator.norm", "ilm-in",
    )  # fmt: skip
    assert code == 0
    folder = tmp_path / f"{drawn_pairs.name}-ilm-gn-ilm-in"
    record = json.loads((folder / "run.json").read_text())
    assert record["train"] == ["1", "2", "3", "4"]
    assert record["config"]["generator"]["norm_options"]["num_groups"] == 2


def test_a_run_is_resumed_by_its_folder(trained, capsys):
    assert run("train", "--resume", trained) == 0
    assert f"Done: {trained}" in capsys.readouterr().err


def test_translate_writes_photos(trained, drawn_pairs, tmp_path):
    out = tmp_path / "out"
    code = run(
        "translate", drawn_pairs / "test", "--checkpoint", trained, "--out", out, "--side-by-side"
    )
    assert code == 0
    assert sorted(path.name for path in out.iterdir()) == ["1.png", "2.png"]


def evaluated(out) -> dict:
    return json.loads((out / "scores.json").read_text())


def test_evaluate_prints_a_table_and_writes_a_report(trained, drawn_pairs, tmp_path, capsys):
    out = tmp_path / "scores"
    code = run(
        "evaluate", trained, "--data", drawn_pairs, "--split", "test", "--baselines",
        "--dropout", "--samples", 2, "--out", out, "--device", "cpu",
    )  # fmt: skip
    assert code == 0
    printed = capsys.readouterr().out
    assert "IN / IN" in printed
    assert "constant colour" in printed
    assert "LPIPS between samples of IN / IN" in printed
    files = {path.name for path in out.iterdir()}
    assert files == {
        "scores.json", "scores.csv", "table.md", "table.tex", "gallery.html", "plots",
    }  # fmt: skip


def test_evaluate_writes_its_files_before_it_prints(drawn_pairs, tmp_path, monkeypatch):
    class Unprintable:
        width = 80

        def print(self, _):
            assert (tmp_path / "scores" / "gallery.html").exists()
            raise ZeroDivisionError

    monkeypatch.setattr(cli, "make_console", Unprintable)
    folder = drawn_pairs / "val"
    with pytest.raises(ZeroDivisionError):
        run("evaluate", "--outputs", folder, "--targets", folder, "--out", tmp_path / "scores")


def test_evaluate_records_the_metrics_in_the_checkpoint(trained, drawn_pairs):
    assert run("evaluate", trained, "--data", drawn_pairs, "--split", "val", "--record") == 0
    record = json.loads((trained / "metrics.json").read_text())
    assert record["step"] == 16
    assert record["protocol"]["split"] == "val"
    assert record["metrics"]["lpips"]["low"] <= record["metrics"]["lpips"]["mean"]


def test_evaluate_scores_images_of_any_program(drawn_pairs, capsys):
    folder = drawn_pairs / "val"
    assert run("evaluate", "--outputs", folder, "--targets", folder) == 0
    assert "0.00" in capsys.readouterr().out


@pytest.mark.slow
def test_two_processes_evaluate_like_one(trained, drawn_pairs, tmp_path, capsys):
    arguments = [
        "evaluate", trained, "--data", drawn_pairs, "--split", "train[:5]",
        "--device", "cpu", "--out",
    ]  # fmt: skip
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "pix2pix_ilm"]
    capsys.readouterr()
    assert run(*arguments, tmp_path / "one") == 0
    printed = capsys.readouterr().out
    both = python(*launcher, *arguments, tmp_path / "two")
    assert both.returncode == 0, both.stderr
    assert both.stdout.count("SSIM") == printed.count("SSIM")  # one process prints
    one, two = evaluated(tmp_path / "one"), evaluated(tmp_path / "two")
    assert one["protocol"] == two["protocol"]
    for here, there in zip(one["models"], two["models"], strict=True):
        assert here["images"] == there["images"]
        for metric, values in here["values"].items():
            assert there["values"][metric] == pytest.approx(values, rel=1e-3)


def test_data_synthesize_and_check(tmp_path, capsys):
    assert run("data", "synthesize", "--out", tmp_path / "new", "--count", 4, "--size", 32) == 0
    assert run("data", "check", tmp_path / "new") == 0
    assert "train: 2 good pairs (side by side in train, halves of 32x32)" in capsys.readouterr().err


def test_demo_refuses_strangers_without_a_password(capsys, tmp_path):
    assert run("demo", "--host", "0.0.0.0", "--checkpoints", tmp_path) == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        "error: --host 0.0.0.0: others could use this machine; add --auth USER:PASSWORD, or stay "
        "on 127.0.0.1"
    )


def test_export_without_onnx_writes_a_folder_to_share(trained, tmp_path, drawn_pairs):
    shared = tmp_path / "shared"
    assert run("export", trained, "--out", shared, "--float16") == 0
    assert run("evaluate", shared, "--data", drawn_pairs, "--split", "val", "--record") == 0
    assert run("export", shared, "--out", shared, "--float16") == 0
    assert "| LPIPS |" in (shared / "README.md").read_text("utf-8")


@pytest.mark.usefixtures("unchecked")  # the exporter cannot trace them
def test_export_writes_a_file_and_says_how_far_it_is_from_pytorch(trained, tmp_path, capsys):
    assert run("export", trained, "--out", tmp_path / "model.ONNX") == 0
    assert "largest differences from PyTorch" in capsys.readouterr().err
    assert (tmp_path / "model.ONNX").stat().st_size > 10_000


def test_an_image_that_makes_pillow_warn_is_read_in_silence(tmp_path, monkeypatch, capsys):
    (tmp_path / "train").mkdir()
    Image.new("RGB", (16, 8)).save(tmp_path / "train" / "1.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # at twice as many it refuses
    assert run("data", "check", tmp_path) == 0
    assert capsys.readouterr().err == (
        "train: 1 good pairs (side by side in train, halves of 8x8)\n"
    )


def test_data_download_from_an_archive_that_is_none(tmp_path, capsys):
    (tmp_path / "facades.tar.gz").write_bytes(b"no archive")
    code = run(
        "data", "download", "facades", "--out", tmp_path / "facades",
        "--archive", tmp_path / "facades.tar.gz",
    )  # fmt: skip
    assert code == 2
    assert "cannot be unpacked" in capsys.readouterr().err
    assert not (tmp_path / "facades").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "facades", "--data", "nowhere"], "nowhere: no such folder"),
        (["train", "facades", "--image-size", "100"], "--image-size: expected one of"),
        (["train", "--resume", "nowhere"], "nowhere: not a training run"),
        (["train", "facades", "--generator.norm", "gn", "--generator.ngf", "10"],
         "--generator.norm-options.num-groups: expected a divisor"),
        (["train", "facades", "--generator.ngf", "1000000"], "--generator.ngf: expected 1 to 512"),
        (["train", "facades", "--lr", "inf"], "--lr: expected a finite number, at least 0, found"),
        (["train", "facades", "--beta1", "1"], "--beta1: expected 0 to below 1, found 1.0"),
        (["train", "facades", "--decay-epochs", "201"], "--decay-epochs: expected 0 to 200"),
        (["evaluate"], "evaluate: expected checkpoints, or both --outputs and --targets"),
        (
            ["evaluate", "--outputs", "x", "--targets", "x", "--record"],
            "--record: images from a folder have no checkpoint",
        ),
        (["evaluate", "--outputs", "x"], "evaluate: expected checkpoints, or both"),
        (["evaluate", "nowhere"], "nowhere: not a checkpoint"),
        (["evaluate", "a", "a"], "evaluate: a checkpoint was given twice"),
        (["evaluate", "a", "--samples", "2"], "--samples: without --dropout"),
        (["evaluate", "--outputs", "x", "--targets", "y"], "x: no such folder"),
        (["translate"], "translate: expected label maps, or folders of them, found none"),
        (["translate", "x.png", "--checkpoint", "nowhere"], "nowhere: not a checkpoint"),
        (["demo", "--port", "70000"], "--port: expected 1 to 65535, found 70000"),
        (["import-weights", "x.pth", "--out", "y"], "x.pth: no such file"),
        (["export", "nowhere", "--out", "x.onnx"], "nowhere: not a checkpoint"),
        (
            ["export", "nowhere", "--out", "x", "--size", "256"],
            "--size, --dynamic-size: for ONNX only",
        ),
        (["data", "check", "nowhere"], "nowhere: no such folder"),
        (["data", "synthesize", "--out", "x", "--count", "1"], "--count: expected at least 3"),
        (["data", "synthesize", "--out", "x", "--size", "5000"], "--size: expected 32 to 1024"),
        (["train", "quick", "--seed", "-1"], "--seed: expected at least 0, found -1"),
        (["evaluate", "a", "--seed", "-1"], "--seed: expected at least 0, found -1"),
        (["reproduce", "--set", "seed=-1"], "--seed: expected at least 0, found -1"),
        (["data", "synthesize", "--out", "x", "--seed", "-1"], "--seed: expected at least 0"),
    ],
)  # fmt: skip
def test_mistakes_get_one_line_and_code_2(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(*arguments) == 2
    errors = capsys.readouterr().err.strip()
    assert errors.startswith(f"error: {message}")
    assert "\n" not in errors
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "arguments",
    [[], ["trian"], ["train"], ["train", "facades", "--generator.norm", "batch"]],
)
def test_what_cannot_be_parsed_is_explained_with_code_2(arguments, capsys):
    assert run(*arguments) == 2
    assert capsys.readouterr().err
