import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "run_all.py"


@pytest.mark.slow
def test_all_benchmarks_run_and_become_tables(tmp_path):
    results, document = tmp_path / "results.json", tmp_path / "performance.md"
    document.write_text("before\n<!-- translate -->\nold\n<!-- end -->\nafter\n")
    arguments = ["--quick", "--out", results, "--tables", results, "--document", document]
    subprocess.run([sys.executable, PROGRAM, *arguments], check=True)
    found = json.loads(results.read_text())
    assert {entry["name"] for entry in found["benchmarks"]} == {
        "train_step", "translate", "data_scale", "startup",
    }  # fmt: skip
    step = next(entry["found"] for entry in found["benchmarks"] if entry["name"] == "train_step")
    assert {"plain in", "in auto", "ilm-in auto"} <= set(step["milliseconds"])
    assert step["flops"]["plain in"] == pytest.approx(step["flops"]["in auto"], rel=0.01)
    assert found["machine"]["cores"] > 0

    text = document.read_text()
    assert text.startswith("before\n<!-- translate -->\nTranslating, ngf 4")
    assert "| ilm-in Translator |" in text
    assert "old" not in text
    assert text.endswith("<!-- end -->\nafter\n")
