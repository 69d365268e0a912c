"""The generator's average: its arithmetic, and what it is for."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from training.steps import state_of

from pix2pix_ilm import checkpoints
from pix2pix_ilm.training import loop
from pix2pix_ilm.training.ema import average_weights


@pytest.fixture
def config(config):
    return replace(config, epochs=2, ema=0.9, keep_every=1, tracker="none")


def test_the_average_forgets_its_beginning_and_then_keeps_its_decay():
    network = nn.Linear(3, 2).double()
    average = average_weights(network, 0.3)
    expected = None
    for step in range(12):
        with torch.no_grad():
            network.weight.normal_()
        average.update_parameters(network)
        kept = min(0.3, (1 + step) / (10 + step))
        now = network.weight.detach()
        expected = now.clone() if expected is None else kept * expected + (1 - kept) * now
    torch.testing.assert_close(average.module.weight, expected)
    assert not any(weight.requires_grad for weight in average.parameters())


def test_statistics_of_batch_norm_are_copied():
    network = nn.BatchNorm2d(2)
    average = average_weights(network, 0.9)
    for _ in range(3):
        network(torch.randn(2, 2, 4, 4))
        average.update_parameters(network)
    torch.testing.assert_close(average.module.running_var, network.running_var)
    assert average.module.num_batches_tracked == 3


def test_photos_are_the_averages_and_the_raw_weights_are_kept_in_the_state(config):
    folder = loop.train(config)
    saved = state_of(folder)
    averaged = {
        name.removeprefix("module."): weight
        for name, weight in saved["average"].items()
        if name != "n_averaged"
    }
    assert saved["average"]["n_averaged"] == saved["step"] == 16
    for written in (folder, folder / "epochs" / "0002"):
        exported = checkpoints.load_generator(written)[0].state_dict()
        torch.testing.assert_close(exported, averaged, rtol=0, atol=0)
    raw = saved["generator"]
    assert any((raw[name] - weight).abs().max() > 1e-4 for name, weight in averaged.items())


def test_training_itself_is_the_same_with_and_without(config):
    averaged, plain = loop.train(config), loop.train(replace(config, name="plain", ema=0.0))
    own = state_of(averaged)
    own.pop("average")
    torch.testing.assert_close(own, state_of(plain), rtol=0, atol=0)
