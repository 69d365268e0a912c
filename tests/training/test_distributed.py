"""Several processes train like one: same losses, same weights, whoever resumes."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pix2pix_ilm.errors import UserError
from pix2pix_ilm.training import runs
from pix2pix_ilm.training.loop import share_batch

WORKER = Path(__file__).with_name("distributed_worker.py")
pytestmark = pytest.mark.slow


def work(processes: int, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Train in one process, or in several under torchrun."""
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node", str(processes)]
    command = [*(launcher if processes > 1 else []), WORKER, *arguments]
    return subprocess.run(
        [sys.executable, *map(str, command)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


def train(processes: int, *arguments: object) -> None:
    done = work(processes, *arguments)
    assert done.returncode == 0, done.stderr


def state_of(checkpoints: Path) -> dict:
    return torch.load(checkpoints / "run" / runs.STATE, weights_only=True)


def losses_of(checkpoints: Path) -> list[tuple]:
    lines = (checkpoints / "run" / runs.METRICS).read_text().splitlines()
    return [(row["step"], row["discriminator"], row["l1"]) for row in map(json.loads, lines)]


def assert_equal_to_rounding(one: Path, other: Path) -> None:
    """Weights and the optimisers' averages; float64, and Adam divides by small numbers."""
    torch.testing.assert_close(state_of(one), state_of(other), rtol=1e-7, atol=1e-10)
    for row, other_row in zip(losses_of(one), losses_of(other), strict=True):
        assert row == pytest.approx(other_row, rel=1e-7)


@pytest.fixture(scope="module")
def alone(tmp_path_factory, drawn_pairs):
    """Two epochs in one process with batches of two."""
    checkpoints = tmp_path_factory.mktemp("alone")
    train(1, drawn_pairs, checkpoints, "ilm-in", 2)
    return checkpoints


def prolong(checkpoints: Path) -> None:
    """Turn a run of one epoch into one of two that was stopped in the middle."""
    record = runs.open_run(checkpoints / "run")
    longer = replace(record.config, epochs=2)
    runs.write_json(checkpoints / "run" / runs.RUN, replace(record, config=longer))


def test_two_processes_of_batch_1_equal_one_of_batch_2(alone, drawn_pairs, tmp_path):
    train(2, drawn_pairs, tmp_path, "ilm-in", 2)
    assert_equal_to_rounding(tmp_path, alone)
    assert runs.open_run(tmp_path / "run").processes == 2
    samples = [len(list((folder / "run" / "samples").iterdir())) for folder in (tmp_path, alone)]
    assert samples == [2, 2]


@pytest.mark.parametrize(("first", "then"), [(1, 2), (2, 1)])
def test_a_run_of_some_processes_is_resumed_by_others(alone, drawn_pairs, tmp_path, first, then):
    train(first, drawn_pairs, tmp_path, "ilm-in", 1)
    prolong(tmp_path)
    train(then, drawn_pairs, tmp_path, "ilm-in", 2, "resume")
    assert_equal_to_rounding(tmp_path, alone)


def test_batch_norm_trains_in_several_processes(drawn_pairs, tmp_path):
    train(2, drawn_pairs, tmp_path, "bn", 1)
    assert state_of(tmp_path)["step"] == 8


def test_a_process_that_dies_ends_the_others_with_a_message(drawn_pairs, tmp_path):
    done = work(2, drawn_pairs, tmp_path, "in", 2, "die")
    assert done.returncode != 0
    assert "another process of this training ended" in done.stderr


def test_a_batch_that_cannot_be_shared_is_refused(alone):
    record = runs.open_run(alone / "run")
    assert share_batch(record, 2).batch_size == 1
    with pytest.raises(UserError, match="sees 2 pairs per step, which 3 processes cannot share"):
        share_batch(record, 3)
