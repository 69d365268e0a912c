import math
from pathlib import Path

import pytest

from pix2pix_ilm.checkpoints import read_model_config
from pix2pix_ilm.data.palette import FACADES_PALETTE
from pix2pix_ilm.errors import SettingError
from pix2pix_ilm.models.discriminator import DiscriminatorConfig
from pix2pix_ilm.models.generator import GeneratorConfig
from pix2pix_ilm.training.config import PRESETS, TrainConfig
from pix2pix_ilm.training.run_folder import open_run


def test_the_defaults_are_the_recipe_of_pix2pix():
    config = TrainConfig()
    assert (config.lr, config.beta1, config.beta2, config.l1_weight) == (2e-4, 0.5, 0.999, 100)
    assert (config.epochs, config.batch_size, config.gan_loss) == (200, 1, "bce")
    assert (config.image_size, config.stored_size, config.flip) == (256, 286, True)
    assert (config.generator.ngf, config.discriminator.ndf) == (64, 64)


@pytest.mark.parametrize(("size", "depth"), [(32, 5), (64, 6), (128, 7), (256, 8), (1024, 10)])
def test_the_depth_takes_the_image_to_one_pixel(size, depth):
    assert TrainConfig(image_size=size).sized_generator.num_downs == depth


def test_a_depth_that_is_set_stays():
    config = TrainConfig(image_size=256, generator=GeneratorConfig(depth=5))
    assert config.sized_generator.num_downs == 5


def test_the_learning_rate_is_constant_then_falls_linearly_toward_0():
    config = TrainConfig(lr=1.0, epochs=10, decay_epochs=4)
    rates = [config.learning_rate(epoch) for epoch in range(10)]
    assert rates[:6] == [1.0] * 6
    assert rates[6:] == pytest.approx([0.8, 0.6, 0.4, 0.2])


def test_decay_takes_the_last_half_by_default_and_can_be_off():
    assert TrainConfig(lr=1.0).learning_rate(99) == 1
    assert TrainConfig(lr=1.0).learning_rate(100) < 1
    constant = TrainConfig(lr=1.0, epochs=5, decay_epochs=0)
    assert {constant.learning_rate(epoch) for epoch in range(5)} == {1.0}


def test_the_papers_split_halves_the_training_folder():
    _, paper = PRESETS["paper"]
    assert (paper.train_split, paper.val_split) == ("train[:200]", "train[200:]")


def test_the_name_tells_data_and_norms():
    config = TrainConfig(
        data="some/walls",
        generator=GeneratorConfig(norm="ilm-in"),
        discriminator=DiscriminatorConfig(norm="gn"),
    )
    assert config.run_name == "walls-ilm-in-gn"
    assert TrainConfig(name="mine").run_name == "mine"


def test_label_classes_set_the_generators_input():
    config = TrainConfig(label_classes=FACADES_PALETTE)
    assert config.sized_generator.in_channels == 12
    assert config.generator.in_channels == 3  # as it was given
    assert TrainConfig().label_classes is None
    assert TrainConfig().sized_generator.in_channels == 3


def test_a_run_of_version_0_1_knows_no_classes():
    run = Path(__file__).parents[1] / "fixtures" / "v0.1" / "checkpoints" / "ilm"
    assert open_run(run).config.label_classes is None
    assert read_model_config(run).palette is None
    assert read_model_config(run).label_channels == 3


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        ({"image_size": 100}, "image_size"),
        ({"load_size": 200}, "load_size"),
        ({"epochs": 0}, "epochs"),
        ({"batch_size": 0}, "batch_size"),
        ({"decay_epochs": 201}, "decay_epochs"),
        ({"epochs": 10**12}, "epochs"),
        ({"zoom": 1.5}, "zoom"),
        ({"zoom": math.nan}, "zoom"),
        ({"lr": -1.0}, "lr"),
        ({"lr": math.nan}, "lr"),
        ({"lr": math.inf}, "lr"),
        ({"l1_weight": math.inf}, "l1_weight"),
        ({"beta1": 1.0}, "beta1"),
        ({"beta2": math.nan}, "beta2"),
        ({"beta1": 1.5}, "beta1"),
        ({"l1_weight": -1.0}, "l1_weight"),
        ({"save_every": 0}, "save_every"),
        ({"num_samples": 0}, "num_samples"),
        ({"name": "../elsewhere"}, "name"),
        ({"name": ".."}, "name"),
        ({"generator": GeneratorConfig(depth=9)}, "generator.depth"),
        ({"generator": GeneratorConfig(in_channels=12)}, "generator.in_channels"),
        (
            {"generator": GeneratorConfig(in_channels=1), "label_classes": FACADES_PALETTE},
            "generator.in_channels",
        ),
        (
            {"image_size": 32, "discriminator": DiscriminatorConfig(n_layers=5)},
            "discriminator.n_layers",
        ),
    ],
)
def test_bad_settings_are_refused_by_their_path(settings, path):
    with pytest.raises(SettingError) as refused:
        TrainConfig(**settings)
    assert refused.value.path == path
