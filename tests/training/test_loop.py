import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from accelerate.utils import LoggerType
from PIL import Image
from training.steps import assert_same_training, before_step, crash, state_of

from pix2pix_ilm import checkpoints, files
from pix2pix_ilm.data.images import to_model_range, to_uint8
from pix2pix_ilm.data.palette import FACADES_PALETTE, find_palette
from pix2pix_ilm.data.synthetic.dataset import synthesize
from pix2pix_ilm.errors import LockedError, SettingError, UserError
from pix2pix_ilm.inference import flushes_denormals
from pix2pix_ilm.models.discriminator import DiscriminatorConfig
from pix2pix_ilm.models.generator import GeneratorConfig
from pix2pix_ilm.models.norms import NormOptions
from pix2pix_ilm.seeds import derive_seed
from pix2pix_ilm.serving.translator import Translator
from pix2pix_ilm.training import loop, run_folder, setup
from pix2pix_ilm.training.interrupts import Interrupted
from pix2pix_ilm.training.setup import build_networks, load_data, make_accelerator

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture
def config(config):
    return replace(config, epochs=3, tracker="tensorboard", log_every=5, sample_every=1)


def new_run(config):
    accelerator = make_accelerator(config)
    networks = build_networks(config, accelerator)
    return loop.TrainingRun(config, config.checkpoints, accelerator, networks, *load_data(config))


def logged_losses(folder):
    rows = map(json.loads, (folder / run_folder.METRICS).read_text().splitlines())
    return [(row["step"], row["discriminator"], row["l1"]) for row in rows]


def test_a_run_leaves_all_that_it_promises(config):
    folder = loop.train(config)
    record = run_folder.open_run(folder)
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
    with pytest.raises(
        UserError,
        match=r"^tracker: expected one that is installed.*found 'wandb'; 'pip install wandb'",
    ):
        loop.train(replace(config, tracker="wandb"))
    assert not list(config.checkpoints.iterdir())


def test_tensorboard_gets_every_loss(config):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = loop.train(replace(config, epochs=1))
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    drawn = {event.step: event.value for event in events.Scalars("l1")}
    assert drawn == pytest.approx({step: l1 for step, *_, l1 in logged_losses(folder)})


@pytest.mark.parametrize("direction", ["AtoB", "BtoA"])
def test_a_sample_grid_shows_labels_outputs_and_photos(config, drawn_pairs, direction):
    folder = loop.train(replace(config, epochs=1, direction=direction))
    grid = np.asarray(Image.open(folder / "samples" / "step-0000016.png"))
    assert grid.shape == (3 * 36 + 4, 2 * 36 + 4, 3)
    pair = np.array(Image.open(drawn_pairs / "val" / "1.png"))
    label_map, photo = pair[:, :32], pair[:, 32:]
    if direction == "BtoA":
        label_map, photo = photo, label_map
    assert np.array_equal(grid[4:36, 4:36], label_map)
    assert np.array_equal(grid[76:108, 4:36], photo)
    assert len(np.unique(grid[40:72, 4:36])) > 10
    generator, _ = checkpoints.load_generator(folder)  # without dropout
    output = to_uint8(generator(to_model_range(torch.from_numpy(label_map)[None])))[0].numpy()
    assert np.abs(grid[40:72, 4:36] - output.astype(int)).max() <= 1


def test_generators_of_earlier_epochs_can_be_kept(config):
    folder = loop.train(replace(config, keep_every=2))
    assert sorted(path.name for path in (folder / "epochs").iterdir()) == ["0002", "0003"]
    early, model_config = checkpoints.load_generator(folder / "epochs" / "0002")
    last, _ = checkpoints.load_generator(folder)
    assert model_config.step == 32
    assert not torch.equal(early.head.weight, last.head.weight)


def test_the_losses_fall(config):
    folder = loop.train(replace(config, epochs=12, lr=2e-3))
    losses = [l1 for _, _, l1 in logged_losses(folder)]
    assert np.mean(losses[-8:]) < 0.9 * np.mean(losses[:8])  # two epochs each


@pytest.mark.parametrize("norm", ["bn", "ilm-gn"])
def test_other_settings_train_too(config, norm):
    options = NormOptions(num_groups=4)
    generator = GeneratorConfig(ngf=4, norm=norm, norm_options=options, in_channels=1)
    small = replace(
        config,
        epochs=1,
        batch_size=4,
        generator=generator,
        discriminator=DiscriminatorConfig(ndf=4, norm=norm, norm_options=options, n_layers=0),
        direction="AtoB",
        gan_loss="hinge",
        precision="bf16",
    )
    assert state_of(loop.train(small))["step"] == 4


@pytest.mark.parametrize("stop", [1, 16, 17, 40])
def test_a_crash_and_a_resume_end_like_no_crash(config, monkeypatch, stop):
    whole = loop.train(replace(config, name="whole"))
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
        before_step(patch, 20, crash)
        with pytest.raises(ZeroDivisionError):
            loop.train(config)
    path.unlink()  # the run knows its classes
    folder = loop.resume(config.checkpoints / "run")
    assert_same_training(folder, whole)
    assert logged_losses(folder) == logged_losses(whole)
    assert run_folder.open_run(folder).config == config


def test_label_classes_reach_both_networks_one_hot_after_crop_and_flip(config, monkeypatch):
    config = replace(config, label_classes=FACADES_PALETTE, epochs=1, batch_size=2)
    seen, step = [], setup.train_step

    def watched(networks, label_map, photo, *options):
        seen.append((label_map, photo))
        return step(networks, label_map, photo, *options)

    monkeypatch.setattr(setup, "train_step", watched)
    folder = loop.train(config)
    loop.train(replace(config, label_classes=None, name="colored"))
    for (one_hot, photo), (_, same) in zip(seen[:8], seen[8:], strict=True):
        assert one_hot.shape == (2, 12, 32, 32)
        assert (one_hot.sum(dim=1) == 1 - 11).all()
        assert torch.equal(photo, same)  # of the same crops
    assert state_of(folder)["generator"]["encoder.0.conv.weight"].shape[1] == 12
    assert state_of(folder)["discriminator"]["layers.0.weight"].shape[1] == 12 + 3
    assert checkpoints.read_model_config(folder).palette == FACADES_PALETTE


def test_sample_grids_show_classes_in_their_colors(config, drawn_pairs):
    folder = loop.train(replace(config, epochs=1, label_classes=FACADES_PALETTE))
    grid = np.asarray(Image.open(folder / "samples" / "step-0000016.png"))
    label_map = np.array(Image.open(drawn_pairs / "val" / "1.png"))[:, 32:]
    assert np.array_equal(grid[4:36, 4:36], label_map)
    output = Translator.load(folder, "cpu")([label_map])[0]
    assert np.array_equal(grid[40:72, 4:36], output)


@pytest.mark.slow
@pytest.mark.usefixtures("unchecked")
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
def test_compiled_training_agrees_with_eager(config):
    generator = GeneratorConfig(ngf=4, norm="ilm-in", depth=2)  # compiles soon
    discriminator = DiscriminatorConfig(ndf=4, n_layers=0)
    config = replace(config, epochs=1, lr=1e-5, generator=generator, discriminator=discriminator)
    eager = loop.train(replace(config, name="eager"))
    compiled = loop.train(replace(config, name="compiled", step_mode="compile"))
    for row, other in zip(logged_losses(compiled), logged_losses(eager), strict=True):
        assert row == pytest.approx(other, rel=1e-2)


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
def test_a_signal_saves_at_the_next_step(config, monkeypatch, number):
    with monkeypatch.context() as patch:
        before_step(patch, 20, lambda _: os.kill(os.getpid(), number))
        with pytest.raises(Interrupted) as stop:
            loop.train(config)
    assert (stop.value.step, stop.value.folder) == (21, config.checkpoints / "run")
    whole = loop.train(replace(config, name="whole"))
    assert_same_training(loop.resume(stop.value.folder), whole)


RESUMED_AND_KILLED = """
import multiprocessing, sys, time
from pathlib import Path
import torch
from pix2pix_ilm.seeds import derive_seed
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


def test_infinite_losses_stop_the_run_before_they_are_saved(config, monkeypatch):
    original = setup.train_step

    def exploding(networks, *arguments, **options):
        losses = original(networks, *arguments, **options)
        exploding.calls += 1
        return losses * torch.tensor([1, 1, np.nan]) if exploding.calls == 20 else losses

    exploding.calls = 0
    monkeypatch.setattr(setup, "train_step", exploding)
    with pytest.raises(UserError, match=r"step 20: the l1 loss became nan; step 16 is saved"):
        loop.train(config)
    assert state_of(config.checkpoints / "run")["step"] == 16


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
        folder = loop.train(config)
        loop.resume(folder)
    before = sorted(folder.iterdir())
    assert [path.name for path in before] == [run_folder.LOCK, run_folder.RUN]
    loop.resume(folder)  # it was let go


@pytest.mark.parametrize(
    "wrong", [{"data": "nowhere"}, {"train_split": "none"}, {"val_split": "none"}]
)
def test_a_refused_run_leaves_no_folder(config, wrong):
    with pytest.raises(UserError):
        loop.train(replace(config, **wrong))
    assert not list(config.checkpoints.iterdir())


def test_a_run_goes_on_where_its_data_were_moved(config, drawn_pairs, tmp_path):
    mine = tmp_path / "mine"
    shutil.copytree(drawn_pairs, mine)
    folder = loop.train(replace(config, data=str(mine), epochs=1))
    moved = mine.rename(tmp_path / "moved")
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


@pytest.mark.parametrize("stop", [None, 20])
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
    with pytest.raises(SettingError, match="epochs: expected at least 2, of which step 32") as less:
        loop.resume(folder, epochs=1)
    assert less.value.path == "epochs"
    assert (folder / run_folder.RUN).read_bytes() == record


def test_a_save_from_beyond_the_end_is_damaged(config):
    folder = loop.train(replace(config, epochs=1))
    torch.save(state_of(folder) | {"step": 10**9}, folder / run_folder.STATE)
    with pytest.raises(UserError, match=r"training_state.pt: step: expected at most 16, found 10"):
        loop.resume(folder)


def test_a_batch_larger_than_the_data_is_refused_before_a_folder_is_made(config):
    with pytest.raises(UserError, match="batch_size: expected at most the 16"):
        loop.train(replace(config, batch_size=17))
    assert not (config.checkpoints / "run").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there_is_refused(config):
    with pytest.raises(UserError, match="device: expected a device that is there"):
        loop.train(replace(config, device="cuda"))


def test_training_flushes_denormals_and_leaves_the_caller_as_it_was(config, monkeypatch):
    seen, step = set(), setup.train_step

    def noted(*arguments, **settings):
        seen.add(flushes_denormals())
        return step(*arguments, **settings)

    monkeypatch.setattr(setup, "train_step", noted)
    loop.train(replace(config, epochs=1))
    assert seen == {True}
    assert not flushes_denormals()


def test_every_pair_is_seen_once_an_epoch_in_an_order_that_changes(config, monkeypatch):
    seen = []
    monkeypatch.setattr(
        loop, "make_step", lambda *_: lambda index: seen.extend(index.tolist()) or torch.zeros(3)
    )
    loop.train(replace(config, epochs=2))
    epochs = seen[:16], seen[16:]
    for order in epochs:
        assert sorted(order) == list(range(16))
    assert epochs[0] != epochs[1]


@pytest.mark.parametrize("drawn", ["crops", "flips", "dropout"])
def test_every_process_and_step_draws_anew(config, monkeypatch, drawn):
    """All see the same pairs, and one thing is left to chance."""
    still = {"load_size": 32, "flip": False, "generator": replace(config.generator, dropout=0.0)}
    chance = {
        "crops": {"load_size": 48},
        "flips": {"flip": True},
        "dropout": {"generator": config.generator},
    }
    config = replace(
        config, **still | chance[drawn], batch_size=16, epochs=6, lr=0.0, tracker="none"
    )
    monkeypatch.setattr(loop.TrainingRun, "draw_order", lambda *_: torch.arange(16))

    def draw(process):
        """Sums of what the untrained generator made of all pairs in every step."""
        drawn = []

        def noted(networks, label_map, *_, **__):
            drawn.append(networks.generator(label_map).detach().sum().item())
            return torch.zeros(3)

        with monkeypatch.context() as patch:
            patch.setattr(setup, "train_step", noted)
            run = new_run(replace(config, name=f"run-{process}-{len(drawn)}"))
            run.folder = config.checkpoints / f"{process}"
            run.folder.mkdir(exist_ok=True)
            patch.setattr(type(run.accelerator), "process_index", process)
            run.run()
        return drawn

    first, other = draw(0), draw(1)
    assert draw(0) == first
    assert len({*first, *other}) == 12


def test_every_step_follows_the_settings(config, monkeypatch):
    settings = {"l1_weight": 7.0, "gan_loss": "hinge", "beta1": 0.3, "beta2": 0.8, "lr": 1e-3}
    config = replace(config, **settings, tracker="none")
    seen = []

    def recorded(networks, _label_map, _photo, objective, _backward):
        optimizers = (networks.generator_optimizer, networks.discriminator_optimizer)
        groups = [group for optimizer in optimizers for group in optimizer.param_groups]
        seen.append([objective, *((group["lr"], group["betas"]) for group in groups)])
        return torch.full((3,), float(len(seen)))

    monkeypatch.setattr(setup, "train_step", recorded)
    folder = loop.train(config)
    for step, (objective, *of_optimizers) in enumerate(seen):
        assert (objective.l1_weight, objective.gan_loss) == (7.0, "hinge")
        assert of_optimizers == [(config.learning_rate(step // 16), (0.3, 0.8))] * 2
    steps = [0, *(step for step, *_ in logged_losses(folder))]  # the mean of those since the last
    means = [(before + 1 + last) / 2 for before, last in pairwise(steps)]
    assert [l1 for *_, l1 in logged_losses(folder)] == means


@pytest.mark.parametrize(
    ("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)]
)
def test_convolutions_compute_in_the_precision_that_is_asked_for(config, precision, dtype):
    run = new_run(replace(config, precision=precision))
    seen = []
    for network in (run.networks.generator, run.networks.discriminator):
        convolutions = (layer for layer in network.modules() if isinstance(layer, torch.nn.Conv2d))
        next(convolutions).register_forward_hook(lambda _, __, output: seen.append(output.dtype))
    images = torch.zeros(1, 3, 32, 32)
    run.networks.discriminator(images, run.networks.generator(images))
    assert seen == [dtype] * 2
    weights = run.saved_networks.generator.parameters()
    assert {weight.dtype for weight in weights} == {torch.float32}


def test_no_two_seeds_of_trainings_are_equal():
    """Of any purpose: they take one, two or three numbers more than the training's own."""
    purposes = [
        (setup.INIT,),
        *((loop.ORDER, epoch) for epoch in range(50)),
        *((loop.STEP, process, step) for process in range(4) for step in range(50)),
    ]
    seeds = {derive_seed(seed, *purpose) for seed in range(4) for purpose in purposes}
    assert len(seeds) == 4 * len(purposes)
