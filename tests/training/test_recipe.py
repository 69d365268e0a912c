"""Parts beyond the recipe of pix2pix: with each, a run that was killed goes on to the bit."""

import json
from dataclasses import replace

import pytest
import torch
from training.steps import before_step, crash
from training.test_cuda_graph import pretend_graphs, pretended_capture

from pix2pix_ilm.models.discriminator import DiscriminatorConfig
from pix2pix_ilm.models.generator import GeneratorConfig
from pix2pix_ilm.training import loop, run_folder
from pix2pix_ilm.training.config import TrainConfig

PARTS = {
    "ema": {"ema": 0.9},
    "losses": {"feature_matching": 10.0, "perceptual": 10.0},
    "augmentation": {"augment_discriminator": ("color", "translation", "cutout")},
}


@pytest.fixture
def config(drawn_pairs, tmp_path):
    return TrainConfig(
        name="run",
        checkpoints=tmp_path,
        data=str(drawn_pairs),
        image_size=32,
        generator=GeneratorConfig(ngf=4, norm="ilm-in"),
        discriminator=DiscriminatorConfig(ndf=4, n_layers=2),
        epochs=2,
        device="cpu",
        tracker="none",
        save_every=1,
    )


def state(folder):
    return torch.load(folder / run_folder.STATE, weights_only=True)


@pytest.mark.parametrize("graph", [False, True], ids=["eager", "graph"])
@pytest.mark.parametrize("part", PARTS)
def test_a_crash_and_a_resume_end_like_no_crash(config, monkeypatch, part, graph):
    config = replace(config, **PARTS[part])
    whole = loop.train(replace(config, name="whole"))
    if graph:
        pretend_graphs(monkeypatch, lambda work: pretended_capture(work, config))
    with monkeypatch.context() as patch:
        before_step(patch, 23, crash)
        with pytest.raises(ZeroDivisionError):
            loop.train(config)
    folder = loop.resume(config.checkpoints / "run")
    torch.testing.assert_close(state(folder), state(whole), rtol=0, atol=0)


@pytest.mark.parametrize("part", PARTS)
def test_every_part_changes_what_is_learned(config, part):
    plain = loop.train(replace(config, name="plain", epochs=1))
    other = loop.train(replace(config, epochs=1, **PARTS[part]))
    weights = [state(folder)["generator"]["head.weight"] for folder in (plain, other)]
    assert torch.equal(*weights) is (part == "ema")  # which leaves the training alone


def test_all_losses_are_logged(config):
    folder = loop.train(replace(config, epochs=1, **PARTS["losses"]))
    rows = [json.loads(line) for line in (folder / run_folder.METRICS).read_text().splitlines()]
    assert rows[-1]["feature_matching"] > 0
    assert 0 < rows[-1]["perceptual"] < 2
    loop.resume(folder, epochs=2)
