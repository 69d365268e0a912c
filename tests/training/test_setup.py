import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn
from torch._dynamo import config as dynamo_config

from pix2pix_ilm.data.palette import FACADES_PALETTE
from pix2pix_ilm.models.discriminator import DiscriminatorConfig
from pix2pix_ilm.models.generator import GeneratorConfig
from pix2pix_ilm.training.config import TrainConfig
from pix2pix_ilm.training.data import load_data
from pix2pix_ilm.training.setup import build_networks, make_accelerator


@pytest.fixture
def config(drawn_pairs, tmp_path):
    data = shutil.copytree(drawn_pairs, tmp_path / "data")
    config = TrainConfig(data=str(data), checkpoints=tmp_path, image_size=32, device="cpu")
    make_accelerator(config)
    return config


def test_what_a_pair_is_and_what_is_left_out_is_said_once_beside_the_output(config, capsys):
    load_data(config)
    line = f"{config.data}: 16 pairs (side by side in train, halves of 32x32)"
    assert capsys.readouterr() == ("", f"{line}\n")
    Path(config.data, "train", "notes.txt").touch()
    load_data(config)
    note = "1 other file left out: other suffixes train/notes.txt"
    assert capsys.readouterr() == ("", f"{line}; {note}\n")


def convolutions(config):
    networks = build_networks(config, make_accelerator(config))
    return {
        f"{network}.{name}": module.weight
        for network in ("generator", "discriminator")
        for name, module in getattr(networks, network).named_modules()
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d)
    }


@pytest.mark.parametrize(
    ("changes", "others"),
    [
        ({"generator": GeneratorConfig(ngf=4, norm="ilm-in")}, set()),
        ({"generator": GeneratorConfig(ngf=4, norm="bn")}, set()),
        ({"discriminator": DiscriminatorConfig(ndf=4, n_layers=2, norm="ilm-in")}, set()),
        (
            {"label_classes": FACADES_PALETTE},
            {"generator.encoder.0.conv", "discriminator.layers.0"},
        ),
    ],
)
def test_trainings_of_one_seed_start_with_the_same_convolutions(config, changes, others):
    config = replace(
        config,
        generator=GeneratorConfig(ngf=4),
        discriminator=DiscriminatorConfig(ndf=4, n_layers=2),
    )
    first, second = convolutions(config), convolutions(replace(config, **changes))
    assert first.keys() == second.keys()
    assert {name for name in first if not torch.equal(first[name], second[name])} == others


def test_no_two_convolutions_or_seeds_start_alike(config):
    config = replace(config, generator=GeneratorConfig(ngf=8))
    drawn = [*convolutions(config).values(), *convolutions(replace(config, seed=1)).values()]
    begins = torch.stack([weight.flatten()[:64] for weight in drawn])
    correlation = torch.corrcoef(begins).triu(1)
    assert correlation.abs().max() < 0.6
    assert torch.cat([weight.flatten() for weight in drawn]).std().item() == pytest.approx(
        0.02, rel=0.01
    )


@pytest.mark.slow
@pytest.mark.usefixtures("unchecked")
def test_a_processs_trainings_are_compiled_each_however_many_came_before(config, monkeypatch):
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    accelerator = make_accelerator(config)
    with dynamo_config.patch(recompile_limit=1, fail_on_recompile_limit_hit=True):
        for n_layers in (0, 1, 2):
            discriminator = DiscriminatorConfig(ndf=2, n_layers=n_layers)
            changed = replace(config, discriminator=discriminator, step_mode="compile")
            networks = build_networks(changed, accelerator)
            networks.discriminator(*torch.zeros(2, 1, 3, 32, 32))
