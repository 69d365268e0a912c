import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from two_processes import call_in_two_processes

from pix2pix_ilm.cli import evaluate


def test_evaluate_prints_a_table_and_writes_a_report(run, trained, drawn_pairs, tmp_path, capsys):
    out = tmp_path / "scores"
    code = run(
        "evaluate", trained, "--data", drawn_pairs, "--split", "test", "--baselines",
        "--dropout", "--samples", 2, "--out", out, "--device", "cpu",
    )  # fmt: skip
    assert code == 0
    printed = capsys.readouterr().out
    assert "IN / IN" in printed
    assert "constant color" in printed
    assert "LPIPS between samples of IN / IN" in printed
    files = {path.name for path in out.iterdir()}
    assert files == {
        "scores.json", "scores.csv", "table.csv", "table.md", "table.tex", "gallery.html", "plots",
    }  # fmt: skip


def test_evaluate_writes_its_files_before_it_prints(run, drawn_pairs, tmp_path, monkeypatch):
    class Unprintable:
        width = 80

        def print(self, _):
            assert (tmp_path / "scores" / "gallery.html").exists()
            raise ZeroDivisionError

    monkeypatch.setattr(evaluate, "make_console", Unprintable)
    folder = drawn_pairs / "val"
    with pytest.raises(ZeroDivisionError):
        run("evaluate", "--outputs", folder, "--targets", folder, "--out", tmp_path / "scores")


def test_evaluate_records_the_metrics_in_the_checkpoint(run, trained, drawn_pairs):
    assert run("evaluate", trained, "--data", drawn_pairs, "--split", "val", "--record") == 0
    record = json.loads((trained / "metrics.json").read_text())
    assert record["step"] == 16
    assert record["protocol"]["split"] == "val"
    assert record["metrics"]["lpips"]["low"] <= record["metrics"]["lpips"]["mean"]


def test_evaluate_scores_images_of_any_program(run, drawn_pairs, capsys):
    folder = drawn_pairs / "val"
    assert run("evaluate", "--outputs", folder, "--targets", folder) == 0
    assert "0.00" in capsys.readouterr().out


def test_evaluate_names_images_by_their_folder(run, drawn_pairs, monkeypatch, capsys):
    monkeypatch.chdir(drawn_pairs / "val")
    assert run("evaluate", "--outputs", ".", "--targets", ".") == 0
    assert re.search(r"^val ", capsys.readouterr().out, re.MULTILINE)


@pytest.mark.parametrize(
    "flags", [["--baselines"], ["--dropout"], ["--data", "x"], ["--split", "val"], ["--seed", "1"]]
)
def test_evaluate_refuses_what_images_of_a_folder_have_not(run, drawn_pairs, flags, capsys):
    folder = drawn_pairs / "val"
    assert run("evaluate", "--outputs", folder, "--targets", folder, *flags) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line == f"error: {flags[0]}: is for checkpoints, not for images from a folder"


def evaluated(out) -> dict:
    return json.loads((out / "scores.json").read_text())


@pytest.mark.slow
def test_two_processes_evaluate_like_one(run, trained, drawn_pairs, tmp_path, capsys):
    arguments = [
        "evaluate", trained, "--data", drawn_pairs, "--split", "train[:5]",
        "--device", "cpu", "--out",
    ]  # fmt: skip
    capsys.readouterr()
    assert run(*arguments, tmp_path / "one") == 0
    printed = capsys.readouterr().out
    call = [[*map(str, arguments), str(tmp_path / "two")]]
    heavy = ("accelerate", "lpips", "matplotlib.figure", "scipy.stats", "skimage.metrics")
    printed_by_both = call_in_two_processes("pix2pix_ilm.cli", "main", call, imports=heavy)
    assert printed_by_both.count("SSIM") == printed.count("SSIM")  # one process prints
    one, two = evaluated(tmp_path / "one"), evaluated(tmp_path / "two")
    assert one["protocol"] == two["protocol"]
    for here, there in zip(one["models"], two["models"], strict=True):
        assert here["images"] == there["images"]
        for metric, values in here["values"].items():
            assert there["values"][metric] == pytest.approx(values, rel=1e-3)


@pytest.fixture
def inception_weights(tmp_path, monkeypatch) -> Path:
    """Draw weights for torch-fidelity's Inception, whose own have to be downloaded."""
    from torch_fidelity import feature_extractor_inceptionv3 as inception

    torch.manual_seed(0)
    with monkeypatch.context() as patch:
        patch.setattr(inception, "load_state_dict_from_url", lambda *_, **__: {})
        patch.setattr(torch.nn.Module, "load_state_dict", lambda *_, **__: None)
        network = inception.FeatureExtractorInceptionV3("drawn", ["2048"])
    for layer in network.modules():
        if isinstance(layer, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(layer.weight)  # else all images are alike after it
    torch.save(network.state_dict(), tmp_path / "inception.pth")
    return tmp_path / "inception.pth"


@pytest.fixture
def two_folders(tmp_path) -> tuple[Path, Path]:
    rng = np.random.default_rng(0)
    folders = tmp_path / "outputs", tmp_path / "targets"
    for most, folder in zip((256, 200), folders, strict=True):
        folder.mkdir()
        for i in range(5):
            pixels = rng.integers(0, most, (32, 40, 3), np.uint8)
            Image.fromarray(pixels).save(folder / f"{i}.png")
    return folders


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning:torch_fidelity")
def test_fid_and_kid_are_those_of_torch_fidelitys_own_command(
    run, two_folders, inception_weights, tmp_path, capsys, monkeypatch
):
    from torch_fidelity import fidelity  # seconds, also where it is not run

    outputs, targets = two_folders
    out = tmp_path / "scores"
    flags = ("--fid", "--fid-weights", inception_weights, "--out", out, "--device", "cpu")
    assert run("evaluate", "--outputs", outputs, "--targets", targets, *flags) == 0
    assert "FID" in capsys.readouterr().out
    command = [
        "fidelity", "--cpu", "--silent", "--no-cache", "--save-cpu-ram",
        "--fid", "--kid", "--kid-subset-size", "2", "--json",
        "--feature-extractor-weights-path", inception_weights,
        "--input1", outputs, "--input2", targets,
    ]  # fmt: skip
    monkeypatch.setattr(sys, "argv", list(map(str, command)))
    fidelity.main()
    expected = json.loads(capsys.readouterr().out)
    report = json.loads((out / "scores.json").read_text())
    [model] = report["models"]
    assert min(model["fid"], abs(model["kid"]), model["kid_deviation"]) > 1e-4
    for ours, theirs in {
        "fid": "frechet_inception_distance",
        "kid": "kernel_inception_distance_mean",
        "kid_deviation": "kernel_inception_distance_std",
    }.items():
        assert model[ours] == pytest.approx(expected[theirs], rel=1e-5)
    assert report["protocol"]["FID, KID"] == (
        "5 photos of 40x32, torch-fidelity's Inception, KID over 100 subsets of 2"
    )
    table = (out / "table.md").read_text("utf-8")
    assert f"| {model['fid']:.1f} | {1000 * model['kid']:.1f}<br>±" in table
    assert f"{model['fid']:.1f}" in (out / "gallery.html").read_text("utf-8")


def test_what_fid_lacks_is_said_in_one_line(run, two_folders, tmp_path, capsys, monkeypatch):
    outputs, targets = two_folders

    def refusal(*flags: object) -> str:
        assert run("evaluate", "--outputs", outputs, "--targets", targets, *flags) == 2
        printed = capsys.readouterr()
        assert "RMSE" in printed.out  # what was measured is shown
        return printed.err.splitlines()[-1]

    bad = tmp_path / "bad.pth"
    bad.write_bytes(b"nonsense")
    weights = ("--fid", "--fid-weights", bad)
    assert refusal(*weights).startswith(f"error: {bad}: cannot be read")

    def unreachable(*_, **__):
        raise OSError("Name or service not known")

    monkeypatch.setattr(
        "torch_fidelity.feature_extractor_inceptionv3.load_state_dict_from_url", unreachable
    )
    assert refusal("--fid").startswith("error: --fid: Inception's weights cannot be had (Name or")
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    assert refusal("--fid").startswith("error: --fid: torch-fidelity is missing; (uv) pip install")
