import shutil
from dataclasses import replace
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
import torch
from accelerate.utils import LoggerType
from PIL import Image
from training.steps import logged_losses, state_of

from pix2pix_ilm import checkpoints
from pix2pix_ilm.data.images import to_model_range, to_uint8
from pix2pix_ilm.data.palette import FACADES_PALETTE
from pix2pix_ilm.errors import SettingError, UserError
from pix2pix_ilm.evaluation.evaluate import distinct_titles
from pix2pix_ilm.inference import flushes_denormals
from pix2pix_ilm.models.discriminator import DiscriminatorConfig
from pix2pix_ilm.models.generator import GeneratorConfig
from pix2pix_ilm.models.norms import NormOptions
from pix2pix_ilm.serving.translator import Translator
from pix2pix_ilm.training import loop, run_folder, setup
from pix2pix_ilm.training.data import load_data
from pix2pix_ilm.training.diagnostics import read_diagnoses
from pix2pix_ilm.training.setup import build_networks, make_accelerator


def new_run(config):
    accelerator = make_accelerator(config)
    networks = build_networks(config, accelerator)
    images = load_data(config).to(accelerator.device)
    return loop.TrainingRun(config, config.checkpoints, accelerator, networks, images)


def test_a_run_leaves_all_that_it_promises(config):
    folder = loop.train(config)
    record = run_folder.open_run(folder)
    assert record.config == config
    assert len(record.train) == 8
    assert record.val == ["1", "2"]
    only = replace(config, name="one", num_samples=1, epochs=1)  # in its grid: the list is whole
    assert run_folder.open_run(loop.train(only)).val == ["1", "2"]
    assert torch.__version__.startswith(record.versions["torch"])
    logged = {*range(5, 24, 5), 8, 16, 24}  # every five steps, and before every save
    assert [step for step, *_ in logged_losses(folder)] == sorted(logged)
    assert len(list((folder / "samples").iterdir())) == 3
    assert list((folder / "tensorboard").glob("events*"))
    assert state_of(folder)["step"] == 24
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
    grid = np.asarray(Image.open(folder / "samples" / "step-0000008.png"))
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
    assert model_config.step == 16
    assert not torch.equal(early.head.weight, last.head.weight)


def test_of_the_kept_generators_the_last_ones_stay(config):
    folder = loop.train(replace(config, keep_every=1, keep_last=2))
    assert sorted(path.name for path in (folder / "epochs").iterdir()) == ["0002", "0003"]
    with pytest.raises(SettingError, match="keep_every: expected epochs, as keep_last is set"):
        replace(config, keep_last=2)


def test_the_losses_fall(config):
    folder = loop.train(replace(config, epochs=8, lr=4e-3, log_every=2))
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
    assert state_of(loop.train(small))["step"] == 2


def test_label_classes_reach_both_networks_one_hot_after_crop_and_flip(config, monkeypatch):
    config = replace(config, label_classes=FACADES_PALETTE, epochs=1, batch_size=2)
    seen, step = [], setup.train_step

    def watched(networks, label_map, photo, *options):
        seen.append((label_map, photo))
        return step(networks, label_map, photo, *options)

    monkeypatch.setattr(setup, "train_step", watched)
    folder = loop.train(config)
    loop.train(replace(config, label_classes=None, name="colored"))
    for (one_hot, photo), (_, same) in zip(seen[:4], seen[4:], strict=True):
        assert one_hot.shape == (2, 12, 32, 32)
        assert (one_hot.sum(dim=1) == 1 - 11).all()
        assert torch.equal(photo, same)  # of the same crops
    assert state_of(folder)["generator"]["encoder.0.conv.weight"].shape[1] == 12
    assert state_of(folder)["discriminator"]["layers.0.weight"].shape[1] == 12 + 3
    assert checkpoints.read_model_config(folder).palette == FACADES_PALETTE


def test_sample_grids_show_classes_in_their_colors(config, drawn_pairs):
    folder = loop.train(replace(config, epochs=1, label_classes=FACADES_PALETTE))
    grid = np.asarray(Image.open(folder / "samples" / "step-0000008.png"))
    label_map = np.array(Image.open(drawn_pairs / "val" / "1.png"))[:, 32:]
    assert np.array_equal(grid[4:36, 4:36], label_map)
    output = Translator.load(folder, "cpu")([label_map])[0]
    assert np.array_equal(grid[40:72, 4:36], output)


@pytest.mark.slow
@pytest.mark.usefixtures("unchecked")
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
def test_compiled_training_agrees_with_eager(config, monkeypatch):
    # Our part is to be traced and differentiated; the code that PyTorch's own backend writes takes
    # a minute to compile.
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    generator = GeneratorConfig(ngf=4, norm="ilm-in", depth=2)
    discriminator = DiscriminatorConfig(ndf=4, n_layers=0)
    config = replace(config, epochs=1, lr=1e-5, generator=generator, discriminator=discriminator)
    eager = loop.train(replace(config, name="eager"))
    compiled = loop.train(replace(config, name="compiled", step_mode="compile"))
    for row, other in zip(logged_losses(compiled), logged_losses(eager), strict=True):
        assert row == pytest.approx(other, rel=1e-2)


def test_infinite_losses_stop_the_run_before_they_are_saved(config, monkeypatch):
    original = setup.train_step

    def exploding(networks, *arguments, **options):
        losses = original(networks, *arguments, **options)
        exploding.calls += 1
        return losses * torch.tensor([1, 1, np.nan]) if exploding.calls == 10 else losses

    exploding.calls = 0
    monkeypatch.setattr(setup, "train_step", exploding)
    with pytest.raises(UserError, match=r"step 10: the l1 loss became nan; step 8 is saved"):
        loop.train(config)
    assert state_of(config.checkpoints / "run")["step"] == 8


def test_a_run_whose_folder_is_moved_stops_and_leaves_no_half_behind(config, monkeypatch):
    original, run = setup.train_step, config.checkpoints / "run"

    def moving(*arguments, **options):
        moving.calls += 1
        if moving.calls == 10:
            run.rename(config.checkpoints / "elsewhere")
        return original(*arguments, **options)

    moving.calls = 0
    monkeypatch.setattr(setup, "train_step", moving)
    config = replace(config, tracker="none", epochs=3, save_every=1, sample_every=1, log_every=1000)
    with pytest.raises(UserError, match=r"run: is not there any more; if it was moved, 'pix2pix-i"):
        loop.train(config)
    assert not run.exists()
    monkeypatch.undo()
    loop.resume(config.checkpoints / "elsewhere")
    assert state_of(config.checkpoints / "elsewhere")["step"] == 24
    moving.calls = 0
    monkeypatch.setattr(setup, "train_step", moving)
    (config.checkpoints / "elsewhere").rename(config.checkpoints / "done")
    with pytest.raises(UserError, match="is not there any more"):  # where a sample is the first
        loop.train(replace(config, save_every=3))
    assert not run.exists()


def test_a_run_with_an_average_is_looked_at_whatever_device_counts_its_steps(config):
    run = new_run(replace(config, ema=0.9))
    networks = run.saved_networks
    assert networks.average is not None
    networks.average.n_averaged = networks.average.n_averaged.to(
        "meta"
    )  # as beside a GPU's weights
    assert networks.finite
    with torch.no_grad():
        next(networks.average.module.parameters()).fill_(np.inf)
    assert not networks.finite


@pytest.mark.parametrize("lost", ["losses", "weights"])
def test_what_is_kept_of_a_run_that_diverges_is_from_before(config, monkeypatch, lost):
    original = setup.train_step

    def exploding(networks, *arguments, **options):
        losses = original(networks, *arguments, **options)
        exploding.calls += 1
        if exploding.calls < 12:
            return losses
        with torch.no_grad():  # it is lost in the last step of an epoch, or some steps before
            next(networks.generator.parameters()).fill_(np.nan)
        return losses * np.nan if lost == "losses" else losses

    exploding.calls = 0
    monkeypatch.setattr(setup, "train_step", exploding)
    config = replace(
        config, epochs=3, save_every=3, keep_every=1, keep_last=1, validate_every=1,
        keep_best="rmse_rgb", log_every=1000, batch_size=2, tracker="none", sample_every=1,
        diagnose_every=1,
    )  # fmt: skip
    with pytest.raises(UserError, match=r"step 12: the .* became (nan|infinite); nothing was sav"):
        loop.train(config)
    run = config.checkpoints / "run"
    assert [path.name for path in sorted((run / "samples").iterdir())] == [
        "step-0000004.png", "step-0000008.png"
    ]  # fmt: skip
    assert [one.step for one in read_diagnoses(run)] == [4, 8]
    assert [path.name for path in (run / "epochs").iterdir()] == ["0002"]
    for kept in (run / "epochs" / "0002", run / "best"):
        checkpoints.load_generator(kept)
        assert checkpoints.read_model_config(kept).step <= 8


def test_trainings_of_other_data_and_batches_are_told_apart(config, drawn_pairs, tmp_path):
    other = shutil.copytree(drawn_pairs, tmp_path / "elsewhere" / drawn_pairs.name)
    shutil.copyfile(other / "train" / "10.png", other / "train" / "1.png")
    config = replace(config, epochs=1, tracker="none")
    copy = shutil.copytree(drawn_pairs, tmp_path / "copy" / drawn_pairs.name)
    folders = {
        name: loop.train(replace(config, name=name, **changes))
        for name, changes in {
            "same": {"seed": 1}, "moved": {"seed": 2, "data": str(copy)},
            "other": {"seed": 3, "data": str(other)},
            "batch": {"seed": 4, "batch_size": 2, "epochs": 2},
        }.items()
    }  # fmt: skip
    configs = {name: checkpoints.read_model_config(folder) for name, folder in folders.items()}
    titles = distinct_titles(configs)
    assert titles["same"] == titles["moved"]
    assert len({titles[name] for name in ("same", "other", "batch")}) == 3


@pytest.mark.parametrize(
    "wrong", [{"data": "nowhere"}, {"train_split": "none"}, {"val_split": "none"}]
)
def test_a_refused_run_leaves_no_folder(config, wrong):
    with pytest.raises(UserError):
        loop.train(replace(config, **wrong))
    assert not list(config.checkpoints.iterdir())


def test_a_batch_larger_than_the_data_is_refused_before_a_folder_is_made(config):
    with pytest.raises(UserError, match="batch_size: expected at most the 8"):
        loop.train(replace(config, batch_size=9))
    assert not (config.checkpoints / "run").exists()


def test_images_that_do_not_fit_on_the_device_are_refused_and_leave_nothing(config, monkeypatch):
    def full(_images, _device):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("pix2pix_ilm.data.cache.PairedImages.to", full)
    before = set(config.checkpoints.iterdir())
    expected = r"^cpu: expected room for all 8 images of the training, 0\.\d GB; choose a smaller"
    with pytest.raises(UserError, match=expected):
        loop.train(config)
    assert set(config.checkpoints.iterdir()) == before


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
    epochs = seen[:8], seen[8:]
    for order in epochs:
        assert sorted(order) == list(range(8))
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
        config, **still | chance[drawn], batch_size=8, epochs=6, lr=0.0, tracker="none"
    )
    monkeypatch.setattr(loop.TrainingRun, "draw_order", lambda *_: torch.arange(8))

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

    def recorded(networks, _label_map, _photo, objective, _backward, _size):
        optimizers = (networks.generator_optimizer, networks.discriminator_optimizer)
        groups = [group for optimizer in optimizers for group in optimizer.param_groups]
        seen.append([objective, *((group["lr"], group["betas"]) for group in groups)])
        return torch.full((3,), float(len(seen)))

    monkeypatch.setattr(setup, "train_step", recorded)
    folder = loop.train(config)
    for step, (objective, *of_optimizers) in enumerate(seen):
        assert (objective.l1_weight, objective.gan_loss) == (7.0, "hinge")
        assert of_optimizers == [(config.learning_rate(step // 8), (0.3, 0.8))] * 2
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
