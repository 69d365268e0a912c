"""Runs that are resumed: after crashes, signals and kills, with moved data, for more epochs."""

import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
import torch
from training.steps import (
    assert_same_training,
    before_step,
    crash,
    logged_losses,
    small_training,
    state_of,
)

from pix2pix_ilm import files
from pix2pix_ilm.data.palette import FACADES_PALETTE, find_palette
from pix2pix_ilm.data.synthetic.dataset import synthesize
from pix2pix_ilm.errors import LockedError, SettingError, UserError
from pix2pix_ilm.training import loop, run_folder
from pix2pix_ilm.training.interrupts import Interrupted

# The steps are those of test_loop.py, which checks their shapes; doing so takes half of the time.
pytestmark = pytest.mark.usefixtures("unchecked")

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(scope="module")
def whole(drawn_pairs, tmp_path_factory):
    """A run of the same settings that nothing stopped."""
    return loop.train(small_training(drawn_pairs, tmp_path_factory.mktemp("whole")))


@pytest.mark.parametrize("stop", [1, 8, 9, 20])
def test_a_crash_and_a_resume_end_like_no_crash(config, whole, monkeypatch, stop):
    with monkeypatch.context() as patch:
        before_step(patch, stop, crash)
        with pytest.raises(ZeroDivisionError):
            loop.train(config)
    folder = loop.resume(config.checkpoints / "run")
    assert_same_training(folder, whole)
    assert logged_losses(folder) == logged_losses(whole)


def test_with_label_classes_a_crash_and_a_resume_end_like_no_crash(config, monkeypatch):
    path = config.checkpoints / "classes.json"
    files.write_json(path, FACADES_PALETTE)
    config = replace(config, label_classes=find_palette(str(path)))
    whole = loop.train(replace(config, name="whole"))
    with monkeypatch.context() as patch:
        before_step(patch, 10, crash)
        with pytest.raises(ZeroDivisionError):
            loop.train(config)
    path.unlink()  # the run knows its classes
    folder = loop.resume(config.checkpoints / "run")
    assert_same_training(folder, whole)
    assert logged_losses(folder) == logged_losses(whole)
    assert run_folder.open_run(folder).config == config


def test_a_finished_run_resumes_to_nothing_new(config):
    folder = loop.train(replace(config, epochs=1))
    before = state_of(folder)
    loop.resume(folder)
    torch.testing.assert_close(state_of(folder), before, rtol=0, atol=0)


@pytest.fixture
def _not_ignored():
    """Let signals end this process, also where the tests are started with nohup or in the back."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("_not_ignored")
@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_saves_at_the_next_step(config, whole, monkeypatch, number):
    with monkeypatch.context() as patch:
        before_step(patch, 10, lambda _: os.kill(os.getpid(), number))
        with pytest.raises(Interrupted) as stop:
            loop.train(config)
    assert (stop.value.step, stop.value.folder) == (11, config.checkpoints / "run")
    assert_same_training(loop.resume(stop.value.folder), whole)


RESUMED_AND_KILLED = """
import multiprocessing, sys, time
from pathlib import Path
import torch
from pix2pix_ilm.training import loop

def resume(folder, begun):
    make_step = loop.make_step
    def begin(*arguments):
        begun.set()
        return make_step(*arguments)
    loop.make_step = begin  # made first, also where nothing is left to train
    loop.resume(folder)

torch.set_num_threads(1)
forked = multiprocessing.get_context("fork")  # with all that is imported here
for moment in map(float, sys.argv[2:]):
    begun = forked.Event()
    process = forked.Process(target=resume, args=(Path(sys.argv[1]), begun))
    process.start()
    assert begun.wait(60)
    time.sleep(moment)
    process.kill()
    process.join()
"""


@pytest.mark.slow
def test_kills_at_random_moments_change_nothing(config):
    config = replace(config, epochs=8)
    whole = loop.train(replace(config, name="whole"))
    whole_record = run_folder.open_run(whole)
    folder, lock = run_folder.create_folder(config)
    with lock:
        files.write_json(folder / run_folder.RUN, replace(whole_record, config=config))
    moments = np.random.default_rng().uniform(0, 1, 3)
    program = [sys.executable, "-c", RESUMED_AND_KILLED, folder, *map(str, moments)]
    print("killed", *moments, "s after training began")  # noqa: T201 (shown where it fails)
    subprocess.run(program, check=True, stdout=subprocess.DEVNULL)
    assert_same_training(loop.resume(folder), whole)


def test_changed_images_are_not_trained_on_by_accident(config):
    folder = loop.train(replace(config, epochs=1))
    record = run_folder.open_run(folder)
    files.write_json(folder / run_folder.RUN, replace(record, data_digest="other"))
    with pytest.raises(UserError, match="not those that"):
        loop.resume(folder)


def test_a_second_process_is_refused_at_once_and_leaves_the_run_alone(config, monkeypatch):
    def begun_twice(self):
        with pytest.raises(LockedError, match="run: another process is training this run"):
            loop.resume(self.folder)

    with monkeypatch.context() as patch:
        patch.setattr(loop.TrainingRun, "run", begun_twice)
        folder = loop.train(replace(config, epochs=1))
        loop.resume(folder)
    before = sorted(folder.iterdir())
    assert [path.name for path in before] == [run_folder.LOCK, run_folder.RUN]
    loop.resume(folder)  # it was let go


def test_a_run_goes_on_where_its_data_were_moved(config, drawn_pairs, tmp_path):
    mine = tmp_path / "mine"
    shutil.copytree(drawn_pairs, mine)
    folder = loop.train(replace(config, data=str(mine), epochs=1))
    moved = mine.rename(tmp_path / "moved")
    with pytest.raises(UserError, match=r"no such folder; .*or say where the data lie now: --data"):
        loop.resume(folder)
    with pytest.raises(UserError, match="mine: no such folder"):
        loop.resume(folder)
    loop.resume(folder, data=str(moved))
    assert run_folder.open_run(folder).config.data == str(moved)
    loop.resume(folder)
    other = tmp_path / "other"
    synthesize(other, 20, 32, seed=1)
    record = (folder / run_folder.RUN).read_bytes()
    with pytest.raises(UserError, match=r"other: the training images are not those .*differ"):
        loop.resume(folder, data=str(other))
    assert (folder / run_folder.RUN).read_bytes() == record


@pytest.mark.parametrize("stop", [None, 10])
def test_a_run_that_is_made_longer_ends_like_one_that_was_long_from_the_start(
    config, monkeypatch, stop
):
    short = replace(config, epochs=2, decay_epochs=0)
    whole = loop.train(replace(short, name="whole", epochs=3))
    with monkeypatch.context() as patch, suppress(ZeroDivisionError):
        if stop:
            before_step(patch, stop, crash)
        loop.train(short)
    folder = loop.resume(config.checkpoints / "run", epochs=3)
    assert_same_training(folder, whole)
    assert logged_losses(folder) == logged_losses(whole)
    assert run_folder.open_run(folder).config == replace(short, epochs=3)


def test_a_run_does_not_become_shorter_than_its_rate_falls(config):
    folder = loop.train(replace(config, epochs=2, decay_epochs=2))
    with pytest.raises(SettingError, match="epochs: expected at least 2, as its learning rate"):
        loop.resume(folder, epochs=1)


def test_a_longer_run_follows_the_schedule_of_its_new_length(config):
    folder = loop.train(replace(config, epochs=2))  # of which the second lowers the rate
    loop.resume(folder, epochs=4)
    rows = map(json.loads, (folder / run_folder.METRICS).read_text().splitlines())
    rates = {row["epoch"]: row["learning_rate"] for row in rows}
    longer = replace(config, epochs=4)
    assert rates == {1: config.lr, 2: config.lr / 2} | {
        epoch: longer.learning_rate(epoch - 1) for epoch in (3, 4)
    }


def test_fewer_epochs_than_are_done_are_refused(config):
    folder = loop.train(replace(config, epochs=2))
    record = (folder / run_folder.RUN).read_bytes()
    with pytest.raises(SettingError, match="epochs: expected at least 2, of which step 16") as less:
        loop.resume(folder, epochs=1)
    assert less.value.path == "epochs"
    assert (folder / run_folder.RUN).read_bytes() == record


def test_a_save_from_beyond_the_end_is_damaged(config):
    folder = loop.train(replace(config, epochs=1))
    torch.save(state_of(folder) | {"step": 10**9}, folder / run_folder.STATE)
    with pytest.raises(UserError, match=r"training_state.pt: step: expected at most 8, found 10"):
        loop.resume(folder)
