import json
import os
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from accelerate.utils import LoggerType
from PIL import Image

from pix2pix_ilm.errors import UserError
from pix2pix_ilm.inference import flushes_denormals
from pix2pix_ilm.models.discriminator import DiscriminatorConfig
from pix2pix_ilm.models.generator import GeneratorConfig
from pix2pix_ilm.training import loop, runs, setup
from pix2pix_ilm.training.config import TrainConfig
from pix2pix_ilm.training.interrupts import Interrupted
from pix2pix_ilm.training.setup import load_data, make_accelerator


@pytest.fixture
def config(drawn_pairs, tmp_path):
    return TrainConfig(
        name="run",
        checkpoints=tmp_path,
        data=str(drawn_pairs),
        image_size=32,
        generator=GeneratorConfig(ngf=4, norm="ilm-in"),
        discriminator=DiscriminatorConfig(ndf=4, norm="ilm-in", n_layers=2),
        epochs=3,
        device="cpu",
        log_every=5,
        sample_every=1,
        save_every=1,
        num_samples=2,
    )


def state_of(folder):
    return torch.load(folder / runs.STATE, weights_only=True)


def assert_same_training(folder, other):
    torch.testing.assert_close(state_of(folder), state_of(other), rtol=0, atol=0)


def logged_losses(folder):
    rows = map(json.loads, (folder / runs.METRICS).read_text().splitlines())
    return [(row["step"], row["discriminator"], row["l1"]) for row in rows]


def failing_at(step):
    """A step of training that meets an error right before one number."""
    original = loop.Session.step

    def failing(self, number):
        if number == step:
            raise ZeroDivisionError
        return original(self, number)

    return failing


def test_a_run_leaves_all_that_it_promises(config):
    folder = loop.train(config)
    record = runs.open_run(folder)
    assert record.config == config
    assert len(record.train) == 16
    assert record.val == ["1", "2"]
    assert torch.__version__.startswith(record.versions["torch"])
    logged = {*range(5, 48, 5), 16, 32, 48}  # every five steps, and before every save
    assert [step for step, *_ in logged_losses(folder)] == sorted(logged)
    assert len(list((folder / "samples").iterdir())) == 3
    assert list((folder / "tensorboard").glob("events*"))
    assert state_of(folder)["step"] == 48
    assert not list(folder.glob("**/*.tmp"))


def test_without_a_tracker_losses_are_logged_all_the_same(config):
    folder = loop.train(replace(config, epochs=1, tracker="none"))
    assert logged_losses(folder)
    assert not (folder / "tensorboard").exists()


def test_a_tracker_that_is_not_installed_is_refused_before_anything_is_written(config, monkeypatch):
    monkeypatch.setattr(setup, "get_available_trackers", lambda: [LoggerType.TENSORBOARD])
    with pytest.raises(UserError, match=r"^--tracker wandb: not installed; 'pip install wandb'"):
        loop.train(replace(config, tracker="wandb"))
    assert not list(config.checkpoints.iterdir())


def test_tensorboard_gets_every_loss(config):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = loop.train(replace(config, epochs=1))
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    drawn = {event.step: event.value for event in events.Scalars("l1")}
    assert drawn == pytest.approx({step: l1 for step, *_, l1 in logged_losses(folder)})


def test_a_sample_grid_shows_labels_outputs_and_photos(config, drawn_pairs):
    folder = loop.train(replace(config, epochs=1))
    grid = np.asarray(Image.open(folder / "samples" / "step-0000016.png"))
    assert grid.shape == (3 * 36 + 4, 2 * 36 + 4, 3)
    pair = np.asarray(Image.open(drawn_pairs / "val" / "1.png"))
    assert np.array_equal(grid[4:36, 4:36], pair[:, 32:])
    assert np.array_equal(grid[76:108, 4:36], pair[:, :32])
    assert len(np.unique(grid[40:72, 4:36])) > 10


def test_generators_of_earlier_epochs_can_be_kept(config):
    folder = loop.train(replace(config, keep_every=2))
    assert sorted(path.name for path in (folder / "epochs").iterdir()) == ["0002", "0003"]
    early, described = runs.load_generator(folder / "epochs" / "0002")
    last, _ = runs.load_generator(folder)
    assert described.step == 32
    assert not torch.equal(early.head.weight, last.head.weight)


def test_the_losses_fall(config):
    folder = loop.train(replace(config, epochs=12, lr=2e-3))
    losses = [l1 for _, _, l1 in logged_losses(folder)]
    assert np.mean(losses[-8:]) < 0.9 * np.mean(losses[:8])  # two epochs each


@pytest.mark.parametrize("norm", ["bn", "ilm-gn"])
def test_other_settings_train_too(config, norm):
    generator = GeneratorConfig(ngf=32, norm=norm, in_channels=1)
    small = replace(
        config,
        epochs=1,
        batch_size=4,
        generator=generator,
        discriminator=DiscriminatorConfig(ndf=32, norm=norm, n_layers=0),
        direction="AtoB",
        gan_loss="hinge",
        precision="bf16",
    )
    assert state_of(loop.train(small))["step"] == 4


@pytest.mark.parametrize("stop", [1, 16, 17, 40])
def test_a_crash_and_a_resume_end_like_no_crash(config, monkeypatch, stop):
    whole = loop.train(replace(config, name="whole"))
    with monkeypatch.context() as patch:
        patch.setattr(loop.Session, "step", failing_at(stop))
        with pytest.raises(ZeroDivisionError):
            loop.train(config)
    folder = loop.resume(config.checkpoints / "run")
    assert_same_training(folder, whole)
    assert logged_losses(folder) == logged_losses(whole)


@pytest.mark.slow
@pytest.mark.usefixtures("unchecked")
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
def test_compiled_training_agrees_with_eager(config):
    generator = GeneratorConfig(ngf=4, norm="ilm-in", depth=2)  # compiles soon
    discriminator = DiscriminatorConfig(ndf=4, n_layers=0)
    config = replace(config, epochs=1, lr=1e-5, generator=generator, discriminator=discriminator)
    eager = loop.train(replace(config, name="eager"))
    compiled = loop.train(replace(config, name="compiled", accelerate_step="compile"))
    for row, other in zip(logged_losses(compiled), logged_losses(eager), strict=True):
        assert row == pytest.approx(other, rel=1e-2)


def test_a_finished_run_resumes_to_nothing_new(config):
    folder = loop.train(replace(config, epochs=1))
    before = state_of(folder)
    loop.resume(folder)
    torch.testing.assert_close(state_of(folder), before, rtol=0, atol=0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_at_the_next_step(config, monkeypatch, number):
    original = loop.Session.step

    def signalled(self, step):
        if step == 20:
            os.kill(os.getpid(), number)
        return original(self, step)

    with monkeypatch.context() as patch:
        patch.setattr(loop.Session, "step", signalled)
        with pytest.raises(Interrupted) as stop:
            loop.train(config)
    assert (stop.value.step, stop.value.folder) == (21, config.checkpoints / "run")
    whole = loop.train(replace(config, name="whole"))
    assert_same_training(loop.resume(stop.value.folder), whole)


RESUMED_AND_KILLED = """
import multiprocessing, sys, time
from pathlib import Path
import torch
from pix2pix_ilm.training import loop

def resume(folder, begun):
    describe = loop.Session.describe
    def begin(self):
        begun.set()
        return describe(self)
    loop.Session.describe = begin  # said first, also where nothing is left to train
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
    config = replace(config, epochs=20)
    whole = loop.train(replace(config, name="whole"))
    folder = runs.create_folder(config)
    whole_record = runs.open_run(whole)
    runs.write_json(folder / runs.RUN, replace(whole_record, config=config))
    moments = np.random.default_rng().uniform(0, 1, 3)
    program = [sys.executable, "-c", RESUMED_AND_KILLED, folder, *map(str, moments)]
    print("killed", *moments, "s after training began")  # noqa: T201 (shown where it fails)
    subprocess.run(program, check=True, stdout=subprocess.DEVNULL)
    assert_same_training(loop.resume(folder), whole)


def test_infinite_losses_stop_the_run_before_they_are_saved(config, monkeypatch):
    original = loop.train_step

    def exploding(networks, *arguments, **options):
        losses = original(networks, *arguments, **options)
        exploding.calls += 1
        return losses * torch.tensor([1, 1, np.nan]) if exploding.calls == 20 else losses

    exploding.calls = 0
    monkeypatch.setattr(loop, "train_step", exploding)
    with pytest.raises(UserError, match=r"step 20: the l1 loss became nan; step 16 is saved"):
        loop.train(config)
    assert state_of(config.checkpoints / "run")["step"] == 16


def test_changed_images_are_not_trained_on_by_accident(config):
    folder = loop.train(replace(config, epochs=1))
    record = runs.open_run(folder)
    runs.write_json(folder / runs.RUN, replace(record, data_digest="other"))
    with pytest.raises(UserError, match="not those that"):
        loop.resume(folder)


def test_a_batch_larger_than_the_data_is_refused_before_a_folder_is_made(config):
    with pytest.raises(UserError, match="--batch-size: expected at most the 16"):
        loop.train(replace(config, batch_size=17))
    assert not (config.checkpoints / "run").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there_is_refused(config):
    with pytest.raises(UserError, match="--device cuda: no such device"):
        loop.train(replace(config, device="cuda"))


def test_training_flushes_denormals_and_leaves_the_caller_as_it_was(config, monkeypatch):
    seen, step = set(), loop.train_step

    def noted(*arguments, **settings):
        seen.add(flushes_denormals())
        return step(*arguments, **settings)

    monkeypatch.setattr(loop, "train_step", noted)
    loop.train(replace(config, epochs=1))
    assert seen == {True}
    assert not flushes_denormals()


def test_every_pair_is_seen_once_an_epoch_in_an_order_that_changes(config):
    train_pairs, val_pairs = load_data(config)
    session = loop.Session(
        config, config.checkpoints, make_accelerator(config), train_pairs, val_pairs
    )
    epochs = [torch.cat([session.batch(step) for step in range(s, s + 16)]) for s in (0, 16)]
    for order in epochs:
        assert sorted(order.tolist()) == list(range(16))
    assert not torch.equal(*epochs)
