import runpy
import sys
from pathlib import Path

from PIL import Image

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "painted.py"


def test_painted_maps_and_patterns_of_every_checkpoint(
    make_checkpoint, drawn_pairs, tmp_path, monkeypatch, capsys
):
    checkpoints = [make_checkpoint(name) for name in ("first", "second")]
    out = tmp_path / "painted.jpg"
    options = ["--size", 64, "--drawn", 2, "--data", drawn_pairs, "--out", out]
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setattr(sys, "argv", ["painted.py", *map(str, [*checkpoints, *options])])
    runpy.run_path(str(PROGRAM), run_name="__main__")
    printed = capsys.readouterr().out
    assert all(str(name) in printed for name in ("photos of test", *checkpoints))
    with Image.open(out) as picture:
        assert picture.height == 3 * 64  # label maps, and photos of two
