"""CUDA graphs: their machinery with a pretended capture, and real ones where there is a GPU."""

import copy
import json
import shutil
import signal
from contextlib import nullcontext
from dataclasses import replace
from itertools import cycle
from unittest.mock import Mock

import pytest
import torch
from training.steps import assert_same_training, before_step, small_training, state_of

from pix2pix_ilm import checkpoints, files
from pix2pix_ilm.data.palette import FACADES_PALETTE
from pix2pix_ilm.errors import UserError
from pix2pix_ilm.training import loop, run_folder, setup, step
from pix2pix_ilm.training.cuda_graph import WARMUP_STEPS, CapturedStep, cuda_capture
from pix2pix_ilm.training.interrupts import Interrupted
from pix2pix_ilm.training.settings import describe_generator
from pix2pix_ilm.training.setup import build_networks, make_accelerator, place_optimizers

# Whole runs: shapes are checked where the parts are tested, and take a fifth of the time here.
pytestmark = pytest.mark.usefixtures("unchecked")


def three_rates(config):
    return replace(config, decay_epochs=2, log_every=4, tracker="none")


@pytest.fixture
def config(config):
    return three_rates(config)


@pytest.fixture(scope="module")
def plain(drawn_pairs, tmp_path_factory):
    """A run of the same settings whose steps are ordinary ones."""
    return loop.train(three_rates(small_training(drawn_pairs, tmp_path_factory.mktemp("plain"))))


def pretended_capture(work, config=None):
    """What a graph does, by doing the work again: into the same place, from the same inputs."""
    result = torch.zeros(len(config.objective.loss_names) if config else 3)
    return lambda: result.copy_(work()), result


def failing_capture(_):
    raise RuntimeError("operation not permitted\nwhen stream is capturing")


def pretend_graphs(monkeypatch, capture):
    """Let trainings on the CPU go the way of those on a GPU."""
    monkeypatch.setattr(setup, "resolve_step_mode", lambda *_: "graph")
    monkeypatch.setattr(setup, "place_optimizers", lambda *_, **__: None)
    monkeypatch.setattr(setup, "compiles", lambda _: False)
    monkeypatch.setattr(setup, "on_a_side_stream", lambda step: step)
    monkeypatch.setattr(setup, "cuda_capture", capture)


@pytest.mark.parametrize("classes", [None, FACADES_PALETTE], ids=["colors", "classes"])
def test_replayed_steps_train_like_ordinary_ones(config, plain, monkeypatch, classes):
    if classes:
        config = replace(config, label_classes=classes)
        plain = loop.train(replace(config, name="plain"))
    captures = []
    pretend_graphs(monkeypatch, lambda work: captures.append(work) or pretended_capture(work))
    replayed = loop.train(config)
    assert len(captures) == 1  # once in 24 steps, over three learning rates
    assert_same_training(plain, replayed)
    assert (plain / run_folder.METRICS).read_text().count("\n") == 6


def test_a_resumed_training_is_captured_anew(config, plain, monkeypatch):
    pretend_graphs(monkeypatch, pretended_capture)
    with monkeypatch.context() as patch:
        before_step(patch, 10, lambda _: signal.raise_signal(signal.SIGTERM))
        with pytest.raises(Interrupted):
            loop.train(config)
    loop.resume(config.checkpoints / "run")
    assert_same_training(plain, config.checkpoints / "run")


def test_where_capturing_fails_the_training_goes_on_with_one_line(
    config, plain, monkeypatch, capsys
):
    pretend_graphs(monkeypatch, failing_capture)
    assert_same_training(plain, loop.train(config))
    said = [line for line in capsys.readouterr().out.splitlines() if "graph" in line]
    assert said == ["no CUDA graph, going on without: operation not permitted"]


def test_a_capture_that_fails_in_the_generators_half_leaves_no_trace(
    config, plain, monkeypatch, capsys
):
    """As on a GPU: the kernels before the failure are recorded, not run, but Python has run."""
    networks, failures = [], []
    build = loop.build_networks
    monkeypatch.setattr(
        loop, "build_networks", lambda *a: networks.append(build(*a)) or networks[0]
    )

    def failing_late(work):
        parts = networks[0].parts.values()
        before = [copy.deepcopy(part.state_dict()) for part in parts]
        drawn = torch.get_rng_state()
        with monkeypatch.context() as patch:
            patch.setattr(step, "l1_loss", Mock(side_effect=RuntimeError("not when capturing")))
            try:
                work()
            except RuntimeError as error:
                failures.append(error)
                raise
            finally:
                torch.set_rng_state(drawn)
                for part, state in zip(parts, before, strict=True):
                    part.load_state_dict(state)

    pretend_graphs(monkeypatch, failing_late)
    assert_same_training(plain, loop.train(config))
    assert len(failures) == 1
    assert "no CUDA graph, going on without: not when capturing" in capsys.readouterr().out


class Generator:
    """A random generator of a CUDA device, as PyTorch before 2.13 has them."""

    def __init__(self):
        self.capturing = False

    def clone_state(self):
        return Generator()

    def graphsafe_set_state(self, other):
        self.capturing = other.capturing


@pytest.mark.parametrize("fails", [True, False])
def test_a_failed_capture_takes_the_generator_out_of_it(monkeypatch, fails):
    generator, current = Generator(), []

    class Capture(nullcontext):
        def __enter__(self):
            generator.capturing = True
            current.append("of the capture")

        def __exit__(self, *_):
            if fails:
                raise RuntimeError("operation failed due to a previous error during capture")
            generator.capturing = False
            current.pop()

    class Stream(nullcontext):
        def __enter__(self):
            self.before = [*current]

        def __exit__(self, *_):
            current[:] = self.before

    monkeypatch.setattr(torch.cuda, "default_generators", (generator,))
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: None)
    monkeypatch.setattr(torch.cuda, "stream", Stream)
    monkeypatch.setattr(torch.cuda, "graph", Capture)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Mock)
    with pytest.raises(RuntimeError, match="during capture") if fails else nullcontext():
        cuda_capture(lambda: torch.zeros(3))
    assert not generator.capturing
    assert current == []


def test_a_graph_that_was_asked_for_is_not_silently_replaced(config, monkeypatch):
    pretend_graphs(monkeypatch, failing_capture)
    with pytest.raises(RuntimeError, match="not permitted"):
        loop.train(replace(config, step_mode="graph"))


def test_losses_of_earlier_replays_are_kept():
    count = iter(range(100))
    step = CapturedStep(
        lambda index: torch.full((3,), 10.0 * next(count)) + index, print, pretended_capture,
        fall_back=False,
    )  # fmt: skip
    losses = [step(torch.tensor([i])) for i in range(WARMUP_STEPS + 3)]
    assert [loss[0].item() for loss in losses] == [11.0 * i for i in range(WARMUP_STEPS + 3)]


def test_graphs_are_refused_where_there_are_none(config):
    with pytest.raises(UserError, match="step_mode: expected auto, eager or compile without"):
        loop.train(replace(config, step_mode="graph"))
    assert not (config.checkpoints / "run").exists()


def alternate_sizes(monkeypatch):
    sizes = cycle([32, 20])
    monkeypatch.setattr(setup, "random_crop_size", lambda *_: next(sizes))


def test_crops_of_each_size_have_a_graph_of_their_own(config, monkeypatch):
    alternate_sizes(monkeypatch)
    eager = loop.train(replace(config, name="eager"))
    alternate_sizes(monkeypatch)
    captures = []
    pretend_graphs(monkeypatch, lambda work: captures.append(work) or pretended_capture(work))
    assert_same_training(eager, loop.train(replace(config, name="graph")))
    assert len(captures) == 2


def test_where_no_size_can_be_captured_one_line_says_so(config, monkeypatch, capsys):
    alternate_sizes(monkeypatch)
    pretend_graphs(monkeypatch, failing_capture)
    loop.train(config)
    assert capsys.readouterr().out.count("no CUDA graph") == 1


def test_a_state_that_a_graph_saved_is_resumed_without_one(config, plain, tmp_path):
    plain, half = (shutil.copytree(plain, tmp_path / name) for name in ("plain", "half"))
    accelerator = make_accelerator(config)
    networks = build_networks(config, accelerator)
    run_folder.restore(half, networks)
    place_optimizers(networks, torch.device("cpu"), graph=True)
    for optimizer in (networks.generator_optimizer, networks.discriminator_optimizer):
        [group] = optimizer.param_groups
        assert isinstance(group["lr"], torch.Tensor)
        assert group["capturable"]
    run_folder.save_run(half, networks, 24, describe_generator(config))
    assert isinstance(state_of(half)["generator_optimizer"]["param_groups"][0]["lr"], torch.Tensor)

    longer = {"epochs": 4}
    for folder in (plain, half):
        record = run_folder.open_run(folder)
        record = replace(record, config=replace(record.config, **longer))
        files.write_json(folder / run_folder.RUN, record)
        loop.resume(folder)
    assert_same_training(plain, half)


gpu = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


def on_gpu(config, name, mode, **changes):
    return loop.train(replace(config, name=name, device="cuda", step_mode=mode, **changes))


def weights(folder):
    return checkpoints.load_generator(folder)[0].state_dict()


class TestOnAGpu:
    pytestmark = gpu

    def test_a_graph_trains_like_eager_steps(self, config):
        """Without dropout, whose masks kernels draw differently; jitter is drawn alike."""
        still = replace(config.generator, dropout=0.0)
        eager = on_gpu(config, "eager", "eager", generator=still)
        graph = on_gpu(config, "graph", "graph", generator=still)
        torch.testing.assert_close(weights(graph), weights(eager), rtol=1e-2, atol=2e-3)

    def test_auto_is_a_graph(self, config, capsys):
        on_gpu(config, "auto", "auto")
        assert "no CUDA graph" not in capsys.readouterr().out

    def test_two_trainings_with_one_seed_are_alike_and_others_are_not(self, config):
        first, second = (on_gpu(config, name, "graph") for name in ("first", "second"))
        other = on_gpu(config, "other", "graph", seed=1)
        torch.testing.assert_close(weights(first), weights(second), rtol=1e-2, atol=2e-3)
        assert not torch.allclose(
            weights(first)["head.weight"], weights(other)["head.weight"], atol=5e-3
        )

    def test_every_replay_draws_anew_and_follows_its_seed(self):
        drawn = CapturedStep(
            lambda index: torch.rand(3, device="cuda") + 0 * index, print,
            cuda_capture, fall_back=False,
        )  # fmt: skip
        index = torch.zeros(1, dtype=torch.int64, device="cuda")
        values = []
        for seed in (0, 0, 0, 5, 6, 7, 5):
            torch.manual_seed(seed)
            values.append(drawn(index).cpu())
        replayed = values[WARMUP_STEPS:]
        assert torch.equal(replayed[0], replayed[3])
        assert not torch.equal(replayed[0], replayed[1])
        assert not torch.equal(replayed[1], replayed[2])

    def test_where_capturing_fails_steps_draw_on_as_they_would_have(self, capsys):
        def compute(index):
            values = torch.rand(3, device="cuda") + 0 * index
            if torch.cuda.is_current_stream_capturing():
                values.sum().item()  # waits for the device, which ends every capture
            return values

        step = CapturedStep(compute, print, cuda_capture, fall_back=True)
        index = torch.zeros(1, dtype=torch.int64, device="cuda")
        for seed in range(WARMUP_STEPS + 3):
            torch.manual_seed(seed)
            drawn = step(index)
            torch.manual_seed(seed)
            assert torch.equal(drawn, torch.rand(3, device="cuda"))
        assert "no CUDA graph" in capsys.readouterr().out

    def test_a_run_with_an_average_is_saved(self, config):
        folder = on_gpu(config, "average", "graph", ema=0.9)
        assert checkpoints.load_generator(folder)[1].step

    def test_a_graphs_run_is_resumed_on_the_cpu(self, config):
        folder = on_gpu(config, "moved", "graph")
        record = run_folder.open_run(folder)
        moved = replace(record.config, device="cpu", step_mode="auto", epochs=4)
        files.write_json(folder / run_folder.RUN, replace(record, config=moved))
        loop.resume(folder)
        assert checkpoints.read_model_config(folder).step == 32

    @pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16"])
    def test_every_precision_learns(self, config, precision):
        folder = on_gpu(config, precision, "graph", precision=precision, epochs=20)
        rows = [json.loads(line) for line in (folder / run_folder.METRICS).read_text().splitlines()]
        assert rows[-1]["l1"] < rows[0]["l1"]
