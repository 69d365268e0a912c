from dataclasses import replace

import pytest

from pix2pix_ilm.data.palette import FACADES_PALETTE
from pix2pix_ilm.models.norms import NormOptions
from pix2pix_ilm.reproduction.studies import PARTS, STUDIES, make_arms
from pix2pix_ilm.training.config import PRESETS, TrainConfig


def arms(study, *flags):
    return {arm.name: arm for arm in make_arms(STUDIES[study], "somewhere", flags)}


def test_table_6_compares_norms_alone_in_the_paper_preset():
    _, paper = PRESETS["paper"]
    configs = [arm.config for arm in arms("table6").values()]
    norms = [(one.generator.norm, one.discriminator.norm) for one in configs]
    assert norms == [("in", "in"), ("ilm-in", "in"), ("ilm-in", "ilm-in")]
    for one in configs:
        assert (one.train_split, one.val_split) == (paper.train_split, paper.val_split)
        assert one.epochs == paper.epochs
        assert one.generator.ngf == paper.generator.ngf


def test_the_recipe_is_chosen_on_val_and_trained_on_train():
    for arm in arms("recipe").values():
        assert (arm.config.train_split, arm.config.val_split) == ("train", "val")
        assert arm.config.data == "somewhere"


def parts_of(config: TrainConfig) -> set[str]:
    neutral = NormOptions(neutral_start=True)
    found = {
        "ema": config.ema > 0,
        "classes": config.label_classes == FACADES_PALETTE,
        "augment": set(config.augment_discriminator) == {"translation", "cutout"},
        "feature-matching": config.feature_matching > 0,
        "perceptual": config.perceptual > 0,
        "neutral": {config.generator.norm_options, config.discriminator.norm_options} == {neutral},
    }
    return {name for name, there in found.items() if there}


@pytest.mark.parametrize("part", PARTS)
def test_the_recipe_has_each_part_alone_and_each_left_out(part):
    found = arms("recipe")
    every = {*PARTS, "neutral"}
    assert parts_of(found["in"].config) == set()
    assert parts_of(found[f"in-{part}"].config) == {part}
    assert parts_of(found["all-in"].config) == set(PARTS)
    assert parts_of(found["all-ilm"].config) == every
    assert parts_of(found[f"all-ilm-no-{part}"].config) == every - {part}
    assert parts_of(found["all-ilm-no-neutral"].config) == set(PARTS)


def test_the_norms_study_changes_norms_alone_and_sees_nothing_that_is_held_out():
    found = arms("norms")
    for arm in found.values():
        assert (arm.config.train_split, arm.config.val_split) == ("train[:200]", "val")
        same = replace(
            found["in-in"].config,
            generator=arm.config.generator,
            discriminator=arm.config.discriminator,
            l1_weight=arm.config.l1_weight,
        )
        assert same == arm.config
    assert [name for name, arm in found.items() if arm.config.l1_weight != 100] == [
        "ilm-ilm-l1-150"
    ]
    starts = {
        name: tuple(
            net.norm_options.neutral_start
            for net in (arm.config.generator, arm.config.discriminator)
        )
        for name, arm in found.items()
    }
    assert starts["neutral-both"] == (True, True)
    assert starts["neutral-generator"] == (True, False)
    assert starts["neutral-discriminator"] == (False, True)
    port = found["port-ilm-ilm"].config
    assert (port.generator.conv_bias, port.discriminator.conv_bias) == ("no", "no")
    assert port.generator.norm_options.autoencoder_std == 0.02
    assert not found["port-in-in"].config.discriminator.norm_options.affine


def test_the_ilm_study_repeats_trainings_of_the_norms_study():
    screened, repeated = arms("norms"), arms("ilm")
    assert list(repeated) == ["in-in", "ilm-in", "ilm-ilm", "neutral-ilm-in"]
    assert repeated == {name: screened[name] for name in repeated}


def test_given_flags_hold_for_all_trainings():
    found = arms("recipe", "--epochs=3", "--no-flip").values()
    assert {(arm.config.epochs, arm.config.flip) for arm in found} == {(3, False)}
    assert {arm.config.image_size for arm in found} == {128}


def test_a_training_is_named_by_its_configuration_and_seed(tmp_path):
    training = arms("table6")["ilm-in-in"].training(tmp_path, 2)
    assert (training.run_name, training.checkpoints, training.seed) == (
        "ilm-in-in-seed2", tmp_path, 2
    )  # fmt: skip


def test_the_best_recipe_is_one_that_the_study_measures():
    arms = make_arms(STUDIES["recipe"], "facades", [])
    measured = next(arm.config for arm in arms if arm.name == "best-ilm")
    size = {"generator": replace(measured.generator, ngf=64, depth=7)} | {
        name: getattr(PRESETS["best"][1], name) for name in ("image_size", "val_split", "epochs")
    }
    measured = replace(measured, discriminator=replace(measured.discriminator, ndf=64), **size)
    assert PRESETS["best"][1] == measured
