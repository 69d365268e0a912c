import shutil
from pathlib import Path

import pytest

from pix2pix_ilm.training.config import TrainConfig
from pix2pix_ilm.training.setup import load_data, make_accelerator


@pytest.fixture
def config(drawn_pairs, tmp_path):
    data = shutil.copytree(drawn_pairs, tmp_path / "data")
    config = TrainConfig(data=str(data), checkpoints=tmp_path, image_size=32, device="cpu")
    make_accelerator(config)
    return config


def test_what_a_pair_is_and_what_is_left_out_is_said_once_beside_the_output(config, capsys):
    load_data(config)
    line = f"{config.data}: 16 pairs (side by side in train, halves of 32x32)"
    assert capsys.readouterr() == ("", f"{line}\n")
    Path(config.data, "train", "notes.txt").touch()
    load_data(config)
    note = "1 other file left out: other suffixes train/notes.txt"
    assert capsys.readouterr() == ("", f"{line}; {note}\n")
