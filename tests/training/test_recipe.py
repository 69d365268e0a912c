"""Parts beyond the recipe of pix2pix: with each, a run that was killed goes on to the bit."""

import json
from dataclasses import replace

import pytest
import torch
from training.steps import before_step, crash
from training.test_cuda_graph import pretend_graphs, pretended_capture

from pix2pix_ilm import checkpoints
from pix2pix_ilm.errors import SettingError, UserError
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


def test_a_run_starts_from_a_checkpoints_weights_also_after_a_crash(config, monkeypatch):
    first = loop.train(replace(config, name="first", epochs=1))
    config = replace(config, init_from=str(first), lr=0.0)
    with monkeypatch.context() as patch:
        before_step(patch, 3, crash)  # nothing is saved yet
        with pytest.raises(ZeroDivisionError):
            loop.train(config)
    folder = loop.resume(config.checkpoints / "run")
    for part, same in (("generator", True), ("discriminator", False)):
        ours, theirs = (state(one)[part] for one in (folder, first))
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs) is same
    (first / checkpoints.WEIGHTS).unlink()
    loop.resume(folder)  # which needs them no more


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ngf": 8}, r"generator.ngf: expected 4, as .*first has, found 8"),
        ({"norm": "in"}, "generator.norm: expected ilm-in"),
        ({"depth": 4}, "generator.depth: expected 5"),
    ],
)
def test_weights_of_another_architecture_are_refused_before_there_is_a_folder(
    config, changes, message
):
    first = loop.train(replace(config, name="first", epochs=1))
    other = replace(config.generator, **changes)
    with pytest.raises(SettingError, match=message):
        loop.train(replace(config, init_from=str(first), generator=other))
    with pytest.raises(UserError, match="nowhere: not a checkpoint"):
        loop.train(replace(config, init_from="nowhere"))
    assert not (config.checkpoints / "run").exists()


def test_weights_of_another_size_serve_where_the_depth_is_theirs(config):
    first = loop.train(replace(config, name="first", epochs=1))
    deep = replace(config.generator, depth=5)
    folder = loop.train(
        replace(config, image_size=64, epochs=1, init_from=str(first), generator=deep, lr=0.0)
    )
    ours, theirs = (checkpoints.load_generator(one)[0].state_dict() for one in (folder, first))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
