import json

import pytest
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
