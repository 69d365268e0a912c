import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pix2pix_ilm import metrics
from pix2pix_ilm.metrics.perceptual import lpips_network
from pix2pix_ilm.training.losses import (
    adversarial_loss,
    discriminator_loss,
    feature_matching_loss,
    l1_loss,
    perceptual_loss,
)

KINDS = ["bce", "least-squares", "hinge"]
logits = st.floats(-8, 8)


def one(value: float) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float64).view(1, 1, 1, 1)


@given(real=logits, fake=logits)
def test_values_equal_their_definitions(real, fake):
    expected = {
        "bce": (-math.log(1 / (1 + math.exp(-real))) - math.log(1 - 1 / (1 + math.exp(-fake)))) / 2,
        "least-squares": ((real - 1) ** 2 + fake**2) / 2,
        "hinge": (max(0, 1 - real) + max(0, 1 + fake)) / 2,
    }
    for kind, value in expected.items():
        loss = discriminator_loss(one(real), one(fake), kind)
        assert loss.item() == pytest.approx(value, rel=1e-6, abs=1e-9)


@given(fake=logits)
def test_the_generator_is_judged_as_if_its_photo_were_real(fake):
    assert adversarial_loss(one(fake), "bce").item() == pytest.approx(math.log1p(math.exp(-fake)))
    assert adversarial_loss(one(fake), "least-squares").item() == pytest.approx((fake - 1) ** 2)
    assert adversarial_loss(one(fake), "hinge").item() == pytest.approx(-fake)


@pytest.mark.parametrize("kind", KINDS)
def test_both_players_pull_fake_logits_in_opposite_directions(kind):
    fake = torch.full((2, 1, 3, 3), 0.5, requires_grad=True)
    (down,) = torch.autograd.grad(discriminator_loss(torch.zeros_like(fake), fake, kind), fake)
    (up,) = torch.autograd.grad(adversarial_loss(fake, kind), fake)
    assert (down > 0).all()
    assert (up < 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_good_discriminator_loses_less(kind):
    good, bad = torch.full((1, 1, 2, 2), 3.0), torch.full((1, 1, 2, 2), -3.0)
    assert discriminator_loss(good, bad, kind) < discriminator_loss(bad, good, kind)


def test_l1_spans_0_to_2():
    black, white = torch.full((1, 3, 2, 2), -1.0), torch.full((1, 3, 2, 2), 1.0)
    assert l1_loss(black, black).item() == 0
    assert l1_loss(black, white).item() == 2


def test_feature_matching_is_the_mean_over_layers_of_mean_differences():
    fake = [torch.zeros(2, 3, 4, 4), torch.full((2, 5, 2, 2), 3.0)]
    real = [torch.ones(2, 3, 4, 4), torch.full((2, 5, 2, 2), -1.0)]
    assert feature_matching_loss(fake, real).item() == (1 + 4) / 2


def test_the_perceptual_loss_is_the_mean_lpips_of_a_batch():
    images = torch.randint(0, 256, (2, 2, 32, 40, 3), dtype=torch.uint8)
    output, photo = (x.permute(0, 3, 1, 2) / 127.5 - 1 for x in images)
    expected = metrics.lpips(*images).mean().item()
    assert perceptual_loss(output, photo).item() == pytest.approx(expected, rel=1e-5)
    gray = [x[:, :1] for x in (output, photo)]
    as_colors = [x.expand(-1, 3, -1, -1) for x in gray]
    assert torch.equal(perceptual_loss(*gray), perceptual_loss(*as_colors))


def test_gradients_pass_the_perceptual_loss_though_a_metric_asked_first_for_its_network():
    lpips_network.cache_clear()
    images = torch.zeros(1, 32, 32, 3, dtype=torch.uint8)
    metrics.lpips(images, images)  # without gradients
    output = torch.rand(1, 3, 32, 32, requires_grad=True)
    perceptual_loss(output, torch.zeros(1, 3, 32, 32)).backward()
    assert output.grad.abs().sum() > 0
