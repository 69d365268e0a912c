"""Parts beyond the recipe of pix2pix: with each, a run that was killed goes on to the bit."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from training.steps import assert_same_training, before_step, crash, small_training, state_of
from training.test_cuda_graph import pretend_graphs, pretended_capture

from pix2pix_ilm import checkpoints, metrics
from pix2pix_ilm.data.cache import load_pairs
from pix2pix_ilm.data.pairs import find_pairs
from pix2pix_ilm.data.palette import FACADES_PALETTE, Palette
from pix2pix_ilm.data.synthetic.dataset import synthesize
from pix2pix_ilm.errors import SettingError, UserError
from pix2pix_ilm.inference import generate
from pix2pix_ilm.models.discriminator import DiscriminatorConfig
from pix2pix_ilm.models.generator import GeneratorConfig
from pix2pix_ilm.models.norms import NormOptions
from pix2pix_ilm.training import loop, run_folder
from pix2pix_ilm.training.curves import CURVES
from pix2pix_ilm.training.diagnostics import read_diagnoses
from pix2pix_ilm.training.validation import BATCH, Validation

# Whole runs: shapes are checked where the parts are tested, and take a fifth of the time here.
pytestmark = pytest.mark.usefixtures("unchecked")

NEUTRAL = NormOptions(neutral_start=True)
PARTS = {
    "neutral": {
        "generator": GeneratorConfig(ngf=4, norm="ilm-in", norm_options=NEUTRAL),
        "discriminator": DiscriminatorConfig(
            ndf=4, n_layers=2, norm="ilm-in", norm_options=NEUTRAL
        ),
    },
    "classes": {"label_classes": FACADES_PALETTE},
    "upsampling": {"generator": GeneratorConfig(ngf=4, norm="ilm-in", upsample="resize")},
    "ema": {"ema": 0.9},
    "losses": {"feature_matching": 10.0, "perceptual": 10.0},
    "zoom": {"zoom": 0.5},
    "augmentation": {"augment_discriminator": ("color", "translation", "cutout")},
}


@pytest.fixture
def config(config):
    return replace(config, epochs=2, tracker="none")


@pytest.fixture(scope="module")
def first(drawn_pairs, tmp_path_factory):
    """A run of one epoch with none of the parts."""
    settings = small_training(drawn_pairs, tmp_path_factory.mktemp("checkpoints"))
    return loop.train(replace(settings, name="first", epochs=1, tracker="none"))


@pytest.mark.parametrize("part", PARTS)
def test_a_crash_and_a_resume_end_like_no_crash(config, monkeypatch, part):
    config = replace(config, **PARTS[part])
    whole = loop.train(replace(config, name="whole"))
    for name in ("eager", "graph"):
        if name == "graph":
            pretend_graphs(monkeypatch, lambda work: pretended_capture(work, config))
        with monkeypatch.context() as patch:
            before_step(patch, 11, crash)
            with pytest.raises(ZeroDivisionError):
                loop.train(replace(config, name=name))
        assert_same_training(loop.resume(config.checkpoints / name), whole)


@pytest.mark.parametrize("part", PARTS)
def test_every_part_changes_what_is_learned(config, first, part):
    other = loop.train(replace(config, epochs=1, **PARTS[part]))
    weights = [state_of(folder)["generator"]["encoder.0.conv.weight"] for folder in (first, other)]
    assert torch.equal(*weights) is (part == "ema")  # which leaves the training alone


def test_all_losses_are_logged(config):
    folder = loop.train(replace(config, epochs=1, **PARTS["losses"]))
    rows = [json.loads(line) for line in (folder / run_folder.METRICS).read_text().splitlines()]
    assert rows[-1]["feature_matching"] > 0
    assert 0 < rows[-1]["perceptual"] < 2
    loop.resume(folder, epochs=2)


def test_a_run_starts_from_a_checkpoints_weights_also_after_a_crash(
    config, first, monkeypatch, tmp_path
):
    first = shutil.copytree(first, tmp_path / "first")
    config = replace(config, init_from=str(first), lr=0.0)
    with monkeypatch.context() as patch:
        before_step(patch, 3, crash)  # nothing is saved yet
        with pytest.raises(ZeroDivisionError):
            loop.train(config)
    folder = loop.resume(config.checkpoints / "run")
    for part in ("generator", "discriminator"):
        ours, theirs = (state_of(one)[part] for one in (folder, first))
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    (first / checkpoints.WEIGHTS).unlink()
    loop.resume(folder)  # which needs them no more


def test_a_run_starts_with_a_discriminator_of_its_own_where_there_is_none_of_its_kind(
    config, first, tmp_path, capsys
):
    alone = shutil.copytree(first, tmp_path / "alone")
    (alone / run_folder.STATE).unlink()
    still = replace(config, epochs=1, lr=0.0)
    other = replace(config.discriminator, norm="in")

    def start_from(name, start, kind, said):
        state = state_of(
            loop.train(replace(still, name=name, init_from=str(start), discriminator=kind))
        )
        assert f"{start}: starting from its {said}" in capsys.readouterr().err
        return state

    same = start_from("same", first, config.discriminator, "generator and discriminator")
    fresh = start_from("fresh", alone, config.discriminator, "generator alone: it has no")
    changed = start_from("changed", first, other, "generator alone: its discriminator's layers.")
    name = "layers.0.weight"
    theirs, drawn = state_of(first)["discriminator"][name], fresh["discriminator"][name]
    assert torch.equal(same["discriminator"][name], theirs)
    assert not torch.equal(drawn, theirs)
    assert torch.equal(changed["discriminator"][name], drawn)  # seeds are paired
    (first_state := tmp_path / "damaged" / run_folder.STATE).parent.mkdir()
    shutil.copytree(first, first_state.parent, dirs_exist_ok=True)
    first_state.write_bytes(b"nonsense")
    with pytest.raises(UserError, match="no discriminator can be read from it"):
        loop.train(replace(config, name="none", init_from=str(first_state.parent)))
    assert not (config.checkpoints / "none").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ngf": 8}, r"generator.ngf: expected 4, as .*first has, found 8"),
        ({"norm": "in"}, "generator.norm: expected ilm-in"),
        ({"depth": 4}, "generator.depth: expected 5"),
        (
            {"norm_options": NormOptions(key_group_size=2)},
            r"generator.norm_options.key_group_size: expected 1, as .*first has, found 2",
        ),
    ],
)
def test_weights_of_another_architecture_are_refused_before_there_is_a_folder(
    config, first, changes, message
):
    other = replace(config.generator, **changes)
    with pytest.raises(SettingError, match=message):
        loop.train(replace(config, init_from=str(first), generator=other))
    with pytest.raises(UserError, match="nowhere: no such checkpoint"):
        loop.train(replace(config, init_from="nowhere"))
    assert not (config.checkpoints / "run").exists()


def test_how_weights_would_have_been_drawn_does_not_matter_to_a_start_from_others(config, first):
    neutral = NormOptions(neutral_start=True, autoencoder_std=0.02)
    other = replace(config.generator, norm_options=neutral)
    folder = loop.train(replace(config, init_from=str(first), generator=other, epochs=1, lr=0.0))
    (before, _), (after, _) = map(checkpoints.load_generator, (first, folder))
    for name, weight in after.state_dict().items():
        assert torch.equal(weight, before.state_dict()[name])


def test_weights_of_another_size_serve_where_the_depth_is_theirs(config, first):
    deep = replace(config.generator, depth=5)
    folder = loop.train(
        replace(config, image_size=64, epochs=1, init_from=str(first), generator=deep, lr=0.0)
    )
    ours, theirs = (checkpoints.load_generator(one)[0].state_dict() for one in (folder, first))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_validation_is_logged_and_the_best_generator_kept_also_over_a_crash(config, monkeypatch):
    metric = "lpips"
    config = replace(config, epochs=3, save_every=3, validate_every=1, keep_best=metric, lr=2e-3)
    whole = loop.train(replace(config, name="whole"))
    with monkeypatch.context() as patch:
        before_step(patch, 20, crash)
        with pytest.raises(ZeroDivisionError):
            loop.train(config)
    folder = loop.resume(config.checkpoints / "run")
    assert_same_training(folder, whole)

    rows = [json.loads(line) for line in (folder / run_folder.METRICS).read_text().splitlines()]
    values = {row["step"]: row[f"val_{metric}"] for row in rows if f"val_{metric}" in row}
    assert list(values) == [8, 16, 24]
    best = min(values, key=values.__getitem__)
    assert checkpoints.read_model_config(folder / "best").step == best
    for file in (checkpoints.WEIGHTS, checkpoints.DISCRIMINATOR):
        ours, expected = (one / "best" / file for one in (folder, whole))
        assert ours.read_bytes() == expected.read_bytes()

    kept = checkpoints.discriminator_weights(folder / "best")
    assert kept.keys() == state_of(folder)["discriminator"].keys()

    last = checkpoints.load_generator(folder)[0]
    pairs = load_pairs(find_pairs(Path(config.data), "val"), 32, direction="BtoA")
    photos = generate(last, pairs.label_map)
    measured = getattr(metrics, metric)(photos, pairs.photo).mean().item()
    assert values[24] == pytest.approx(measured, rel=1e-4)


@pytest.mark.parametrize(("metric", "sign"), [("lpips", -1), ("rmse_rgb", -1), ("ssim", 1)])
def test_the_best_is_highest_or_lowest_as_the_metric_wants(config, metric, sign):
    config = replace(config, validate_every=1, keep_best=metric)
    pairs = load_pairs(find_pairs(Path(config.data), "val"), 32, direction="BtoA")
    validation = Validation(pairs, config, [])
    values = (0.5, 0.4, 0.6, 0.55, float("nan"), 0.3, 0.7)
    better = [validation.is_best({f"val_{metric}": sign * value}) for value in values]
    assert better == [True, False, True, False, False, False, True]


def test_validation_is_the_mean_over_all_images_and_needs_no_float64_on_a_gpu(
    config, first, request
):
    pairs = load_pairs(find_pairs(Path(config.data), "train")[: BATCH + 1], 32, direction="BtoA")
    assert len(pairs) == BATCH + 1  # in the second batch one image counts as much as in the first
    generator = checkpoints.load_generator(first)[0]
    photos = generate(generator, pairs.label_map)
    names = ("rmse_rgb", "ssim", "lpips")
    expected = {
        f"val_{name}": getattr(metrics, name)(photos, pairs.photo).double().mean().item()
        for name in names
    }
    request.getfixturevalue("without_float64")
    measured = Validation(pairs, config, []).measure(generator)
    assert measured == pytest.approx(expected, rel=1e-5)


def test_the_best_so_far_is_known_after_a_resume(config):
    config = replace(config, validate_every=1, keep_best="rmse_rgb", epochs=1, lr=0.0)
    folder = loop.train(config)
    kept = (folder / "best").stat().st_mtime_ns, (folder / "best" / "config.json").read_text()
    loop.resume(folder, epochs=2)  # no better, as nothing is learned
    assert (folder / "best" / "config.json").read_text() == kept[1]


def test_only_the_folder_val_chooses_and_must_be_there(config, tmp_path):
    synthesize(tmp_path / "data", 12, 32)
    shutil.rmtree(tmp_path / "data" / "val")
    config = replace(config, data=str(tmp_path / "data"), validate_every=1, val_split="test")
    with pytest.raises(UserError, match="val"):
        loop.train(config)
    assert not (config.checkpoints / "run").exists()
    with pytest.raises(SettingError, match="validate_every: expected epochs, as keep_best is set"):
        replace(config, validate_every=None, keep_best="ssim")


def test_a_training_that_validates_draws_its_curves(config):
    config = replace(config, epochs=1)
    folder = loop.train(replace(config, validate_every=1))
    with Image.open(folder / CURVES) as picture:
        assert picture.width == 8 * 150
    assert not (loop.train(replace(config, name="plain")) / CURVES).exists()


@pytest.mark.parametrize("graph", [False, True], ids=["eager", "graph"])
def test_looking_at_norms_and_gradients_changes_nothing_and_goes_on_after_a_crash(
    config, monkeypatch, graph
):
    config = replace(config, **PARTS["neutral"], **PARTS["classes"])
    plain = loop.train(replace(config, name="plain"))
    config = replace(config, diagnose_every=1)
    whole = loop.train(replace(config, name="whole"))
    if graph:
        pretend_graphs(monkeypatch, lambda work: pretended_capture(work, config))
    with monkeypatch.context() as patch:
        before_step(patch, 11, crash)
        with pytest.raises(ZeroDivisionError):
            loop.train(config)
    folder = loop.resume(config.checkpoints / "run")
    assert_same_training(folder, plain)
    first, second = read_diagnoses(folder)
    assert read_diagnoses(whole) == [first, second]
    assert (first.step, first.epoch, second.step, second.epoch) == (8, 1, 16, 2)
    assert first.gradient_ratio > 0
    assert len(first.generator) == 7
    assert len(first.discriminator) == 2


def test_a_start_may_have_another_strength_of_noise(config):
    config = replace(config, epochs=1)
    strong, weak = (replace(config.generator, noise=noise) for noise in (0.2, 0.05))
    first = loop.train(replace(config, name="first", generator=strong))
    weaker = replace(config, init_from=str(first), generator=weak, lr=0.0)
    (before, _), (after, _) = map(checkpoints.load_generator, (first, loop.train(weaker)))
    assert torch.equal(after.head.weight, before.head.weight)
    torch.testing.assert_close(after.pattern, before.pattern / 4)
    with pytest.raises(UserError, match=r"generator\.noise: expected 0\.2, as .*first has"):
        loop.train(replace(weaker, name="none", generator=config.generator))


def test_classes_are_validated_on_and_those_of_a_start_must_be_the_same(config):
    config = replace(config, epochs=1, label_classes=FACADES_PALETTE, validate_every=1)
    folder = loop.train(replace(config, name="first"))
    [row] = (folder / run_folder.METRICS).read_text().splitlines()[-1:]
    pairs = load_pairs(
        find_pairs(Path(config.data), "val"), 32, direction="BtoA", label_channels=FACADES_PALETTE
    )
    photos = generate(
        checkpoints.load_generator(folder)[0], pairs.label_map, palette=FACADES_PALETTE
    )
    expected = metrics.ssim(photos, pairs.photo).mean().item()
    assert json.loads(row)["val_ssim"] == pytest.approx(expected, rel=1e-5)

    renamed = Palette(
        classes=tuple(replace(one, name=f"my {one.name}") for one in FACADES_PALETTE.classes)
    )
    tuned = replace(config, name="renamed", label_classes=renamed, init_from=str(folder))
    assert checkpoints.read_model_config(loop.train(tuned)).palette == renamed

    turned = Palette(classes=FACADES_PALETTE.classes[::-1])
    with pytest.raises(SettingError, match=r"label_classes: expected facades, as .*first has"):
        loop.train(replace(config, init_from=str(folder), label_classes=turned))
    with pytest.raises(SettingError, match=r"label_classes: expected facades.*found 'none'"):
        loop.train(replace(config, init_from=str(folder), label_classes=None))
    loop.train(replace(config, init_from=str(folder)))
