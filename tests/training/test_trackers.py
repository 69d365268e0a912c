"""What trackers get: TensorBoard itself, and stand-ins for those that are not installed."""

import sys
from dataclasses import replace
from types import SimpleNamespace
from typing import get_args

import numpy as np
import pytest
from accelerate.tracking import LOGGER_TYPE_TO_CLASS
from accelerate.utils import LoggerType
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pix2pix_ilm.data.images import read_image
from pix2pix_ilm.data.palette import FACADES_PALETTE
from pix2pix_ilm.training import loop
from pix2pix_ilm.training.config import Tracker, TrainConfig
from pix2pix_ilm.training.settings import hyper_parameters
from pix2pix_ilm.training.trackers import log_samples, open_trackers


def test_every_tracker_that_accelerate_knows_is_accepted():
    assert set(get_args(Tracker)) == {*LOGGER_TYPE_TO_CLASS, "none"}


def test_hyper_parameters_are_plain_and_named_like_flags():
    settings = hyper_parameters(TrainConfig(label_classes=FACADES_PALETTE))
    assert settings["generator.norm"] == "in"
    assert settings["generator.norm_options.neutral_start"] is False
    assert settings["label_classes"] == "facades"
    assert settings["lr"] == 2e-4
    assert {type(value) for value in settings.values()} <= {bool, int, float, str}


def test_tensorboard_has_settings_losses_metrics_and_samples(config):
    folder = loop.train(replace(config, validate_every=1, sample_every=2))
    assert [path.is_file() for path in (folder / "tensorboard").iterdir()] == [True]
    events = EventAccumulator(str(folder / "tensorboard"), size_guidance={"images": 0}).Reload()
    assert {"l1", "learning_rate", "val_ssim"} <= set(events.Tags()["scalars"])
    [*_, last] = events.Scalars("val_ssim")
    assert last.step == 24
    shown = events.Images("samples")
    assert [image.step for image in shown] == [16, 24]
    (folder / "shown.png").write_bytes(shown[-1].encoded_image_string)
    grid = read_image(folder / "samples" / "step-0000024.png")
    assert np.array_equal(read_image(folder / "shown.png"), grid)
    plugins = events.summary_metadata
    assert any(name.startswith("_hparams_") for name in plugins)


def test_a_run_tells_a_tracker_its_name_settings_losses_and_samples(config, monkeypatch):
    logged, begun, settings = [], {}, {}

    class Run:
        def log(self, values, step=None):
            logged.append((step, values))

        def finish(self):
            begun["finished"] = True

    def init(**arguments):
        begun.update(arguments)
        return Run()

    def update(values, **_):
        settings.update(values)

    stand_in = SimpleNamespace(
        init=init, config=SimpleNamespace(update=update), Image=lambda grid: ("image", grid.shape)
    )
    monkeypatch.setitem(sys.modules, "trackio", stand_in)
    monkeypatch.setattr("accelerate.tracking._available_trackers", [LoggerType.TRACKIO])
    loop.train(replace(config, tracker="trackio", epochs=1))
    assert begun == {"project": "pix2pix-ilm", "name": "run", "finished": True}
    assert settings["epochs"] == 1
    assert any("l1" in values for _, values in logged)
    assert [(step, values) for step, values in logged if "samples" in values] == [
        (8, {"samples": ("image", (112, 76, 3))})
    ]


@pytest.mark.usefixtures("unchecked")  # the stand-ins have other types
@pytest.mark.parametrize("name", sorted(set(LOGGER_TYPE_TO_CLASS) - {"tensorboard", "trackio"}))
def test_others_get_the_runs_name_settings_and_samples(name, monkeypatch, tmp_path):
    images, kept = [], []

    def log_image(*values, **named):
        images.extend([*values, *named.values()])

    tracker = SimpleNamespace(
        name=name,
        log_images=lambda values, **_: images.append(values["samples"]),
        store_init_configuration=kept.append,
        tracker=SimpleNamespace(log_image=log_image),
    )
    started = {}
    accelerator = SimpleNamespace(
        trackers=[tracker],
        is_main_process=True,
        project_configuration=SimpleNamespace(),
        init_trackers=lambda project, init_kwargs: started.update({project: init_kwargs[name]}),
    )
    monkeypatch.setitem(sys.modules, "mlflow", SimpleNamespace(log_image=log_image))
    config = TrainConfig(tracker=name)
    open_trackers(accelerator, tmp_path / "my-run", config, 0)
    assert "my-run" in [*started, *started.get("pix2pix-ilm", {}).values()]
    assert kept == [hyper_parameters(config)]
    grid = np.zeros((4, 6, 3), np.uint8)
    log_samples(accelerator, grid, 7)
    [image] = [np.asarray(one) for one in images if not isinstance(one, str | int)]
    assert image.shape[-3:] == grid.shape
