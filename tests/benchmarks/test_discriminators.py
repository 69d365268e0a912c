import runpy
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from training.steps import small_training

from pix2pix_ilm.checkpoints import load_generator
from pix2pix_ilm.data.images import encode_label_maps
from pix2pix_ilm.training import loop

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "discriminators.py"


def test_every_run_has_a_row_of_numbers(drawn_pairs, tmp_path, monkeypatch, capsys):
    config = replace(small_training(drawn_pairs, tmp_path), epochs=1, tracker="none")
    runs = [loop.train(replace(config, name=name, seed=seed)) for seed, name in enumerate("ab")]
    capsys.readouterr()
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setattr(sys, "argv", ["", *map(str, runs), "--data", str(drawn_pairs)])
    runpy.run_path(str(PROGRAM), run_name="__main__")
    rows = [line for line in capsys.readouterr().out.splitlines() if str(tmp_path) in line]
    falls = [[float(cell) for cell in row.split("│")[2:-1]] for row in rows]
    assert [len(of) for of in falls] == [5, 5]
    assert falls[0] != falls[1]


def test_a_change_that_makes_photos_outputs_is_one_gap(drawn_pairs, tmp_path):
    program = runpy.run_path(str(PROGRAM))
    config = replace(small_training(drawn_pairs, tmp_path), epochs=1, tracker="none")
    run = loop.train(config)
    made = program["read_split"](drawn_pairs, "val", program["read_model_config"](run))
    generator, _ = load_generator(run)
    with torch.no_grad():
        outputs = torch.cat(
            [generator(encode_label_maps(one, made.palette)) for one in made.label_map.split(1)]
        )
    changes = [lambda photos: photos, lambda _: outputs]
    falls = program["measure"](run, str(drawn_pairs), "val", changes)
    assert falls == pytest.approx([0.0, 1.0], abs=1e-4)
