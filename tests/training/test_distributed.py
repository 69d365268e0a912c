"""Several processes train like one: same losses, same weights, whoever resumes."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from training import distributed_worker
from training.steps import logged_losses, state_of
from two_processes import call_in_two_processes

from pix2pix_ilm import files
from pix2pix_ilm.errors import UserError
from pix2pix_ilm.training import run_folder

pytestmark = pytest.mark.slow


def work_together(*trainings: tuple[object, ...]) -> None:
    """Train in two processes at a time."""
    calls = [list(map(str, training)) for training in trainings]
    call_in_two_processes("training.distributed_worker", "main", *calls)


def work_under_torchrun(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Train in two processes that torchrun starts."""
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node", "2"]
    return subprocess.run(
        [sys.executable, *launcher, distributed_worker.__file__, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


def work_alone(*arguments: object) -> None:
    """Train in this process."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        distributed_worker.train(*map(str, arguments))
    finally:
        torch.set_default_dtype(before)


def assert_equal_to_rounding(one: Path, other: Path) -> None:
    """Compare weights and the optimizers' averages in float64.

    A bias before a norm has no gradient but rounding, about 1e-15, which Adam divides by 1e-8
    (its eps) and multiplies by 2e-4 (the rate): 2e-11 in each of 16 steps.
    """
    states = (state_of(checkpoints / "run") for checkpoints in (one, other))
    torch.testing.assert_close(*states, rtol=1e-7, atol=1e-9)
    for row, other_row in zip(*(logged_losses(of / "run") for of in (one, other)), strict=True):
        assert row == pytest.approx(other_row, rel=1e-7)


def prolong(checkpoints: Path) -> None:
    """Turn a run of one epoch into one of two that was stopped in the middle."""
    record = run_folder.open_run(checkpoints / "run")
    longer = replace(record.config, epochs=2)
    files.write_json(checkpoints / "run" / run_folder.RUN, replace(record, config=longer))


@pytest.fixture(scope="module")
def alone(tmp_path_factory, drawn_pairs):
    """Two epochs in one process with batches of two."""
    checkpoints = tmp_path_factory.mktemp("alone")
    work_alone(drawn_pairs, checkpoints, "ilm-in", 2)
    return checkpoints


@pytest.fixture(scope="module")
def together(tmp_path_factory, drawn_pairs):
    """Trainings in two processes: whole, first half, second half, and with BatchNorm."""
    folders = {
        name: tmp_path_factory.mktemp(name) for name in ("whole", "begun", "ended", "batch-norm")
    }
    work_alone(drawn_pairs, folders["ended"], "ilm-in", 1)
    prolong(folders["ended"])
    work_together(
        (drawn_pairs, folders["whole"], "ilm-in", 2),
        (drawn_pairs, folders["begun"], "ilm-in", 1),
        (drawn_pairs, folders["ended"], "ilm-in", 2, "resume"),
        (drawn_pairs, folders["batch-norm"], "bn", 1),
    )
    return folders


def test_two_processes_of_batch_1_equal_one_of_batch_2(alone, together):
    whole = together["whole"]
    assert_equal_to_rounding(whole, alone)
    assert run_folder.open_run(whole / "run").processes == 2
    samples = [len(list((folder / "run" / "samples").iterdir())) for folder in (whole, alone)]
    assert samples == [2, 2]


def test_a_run_of_one_process_is_resumed_by_two(alone, together):
    assert_equal_to_rounding(together["ended"], alone)


def test_a_run_of_two_processes_is_resumed_by_one(alone, together, drawn_pairs):
    prolong(together["begun"])
    work_alone(drawn_pairs, together["begun"], "ilm-in", 2, "resume")
    assert_equal_to_rounding(together["begun"], alone)


def test_batch_norm_trains_in_several_processes(together):
    assert state_of(together["batch-norm"] / "run")["step"] == 8


def test_a_process_that_dies_ends_the_others_with_a_message(drawn_pairs, tmp_path):
    done = work_under_torchrun(drawn_pairs, tmp_path, "in", 2, "die")
    assert done.returncode != 0
    assert "another process of this training ended" in done.stderr


def test_a_batch_that_cannot_be_shared_is_refused(alone):
    record = run_folder.open_run(alone / "run")
    assert run_folder.share_batch(record, 2).batch_size == 1
    with pytest.raises(UserError, match="sees 2 pairs per step, which 3 processes cannot share"):
        run_folder.share_batch(record, 3)
