import copy

import pytest
import torch
import torch.nn.functional as F

from pix2pix_ilm.models.discriminator import DiscriminatorConfig, PatchDiscriminator
from pix2pix_ilm.models.generator import GeneratorConfig, UNetGenerator
from pix2pix_ilm.models.norms import NormName
from pix2pix_ilm.training.losses import (
    Objective,
    adversarial_loss,
    discriminator_loss,
    feature_matching_loss,
    l1_loss,
    perceptual_loss,
)
from pix2pix_ilm.training.step import Networks, output_at, train_step

OBJECTIVE = Objective(gan_loss="bce", l1_weight=100)


def small_networks(lr: float = 2e-4, norm: NormName = "ilm-in") -> Networks:
    generator = UNetGenerator(GeneratorConfig(ngf=4, depth=5, norm=norm, dropout=0))
    discriminator = PatchDiscriminator(DiscriminatorConfig(ndf=4, norm=norm))
    optimizers = (torch.optim.SGD(n.parameters(), lr) for n in (generator, discriminator))
    return Networks(generator.double(), discriminator.double(), *optimizers)


@pytest.fixture
def batch():
    return torch.rand(2, 2, 3, 32, 32, dtype=torch.float64).mul(2).sub(1).unbind()


@pytest.mark.parametrize(
    ("gan_loss", "norm"),
    [("bce", "ilm-in"), ("least-squares", "ilm-in"), ("hinge", "ilm-in"), ("bce", "bn")],
)
def test_a_step_is_the_discriminators_descent_then_the_generators_against_it(batch, gan_loss, norm):
    """The recipe again, written with plain gradients instead of optimizers."""
    lr, (label_map, photo) = 1e-2, batch
    networks = small_networks(lr, norm)
    generator, discriminator = map(copy.deepcopy, (networks.generator, networks.discriminator))
    losses = train_step(networks, label_map, photo, Objective(gan_loss=gan_loss, l1_weight=10))

    def descend(network, loss):
        gradients = torch.autograd.grad(loss, list(network.parameters()))
        with torch.no_grad():
            for parameter, gradient in zip(network.parameters(), gradients, strict=True):
                parameter.sub_(lr * gradient)

    fake = generator(label_map).detach()
    d_loss = discriminator_loss(
        discriminator(label_map, photo), discriminator(label_map, fake), gan_loss
    )
    descend(discriminator, d_loss)
    output = generator(label_map)
    adversarial = adversarial_loss(discriminator(label_map, output), gan_loss)
    l1 = l1_loss(output, photo)
    descend(generator, adversarial + 10 * l1)

    expected = torch.stack((d_loss, adversarial, l1)).detach()
    torch.testing.assert_close(losses, expected)
    for ours, theirs in ((networks.generator, generator), (networks.discriminator, discriminator)):
        for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(a, b)


def test_the_discriminator_can_be_trained_again_after_a_step(batch):
    networks = small_networks()
    train_step(networks, *batch, OBJECTIVE)
    assert all(parameter.requires_grad for parameter in networks.discriminator.parameters())


def test_the_discriminator_can_be_trained_again_after_a_step_that_failed(batch):
    networks = small_networks()
    count = iter(range(2))

    def backward(loss):
        if next(count):
            raise RuntimeError("in the generator's half")
        loss.backward()

    with pytest.raises(RuntimeError, match="generator's half"):
        train_step(networks, *batch, OBJECTIVE, backward)
    assert all(parameter.requires_grad for parameter in networks.discriminator.parameters())


def test_the_networks_learn_a_pair_by_heart(batch):
    networks = small_networks()
    adam = torch.optim.Adam(networks.generator.parameters(), 1e-2, betas=(0.5, 0.999))
    networks = Networks(
        networks.generator, networks.discriminator, adam, networks.discriminator_optimizer
    )
    losses = [train_step(networks, *batch, OBJECTIVE) for _ in range(40)]
    assert losses[-1][2] < 0.75 * losses[0][2]


@pytest.mark.parametrize("parts", [{"feature_matching": 3.0}, {"perceptual": 2.0}, {}])
def test_every_term_of_the_generator_counts_with_its_weight(batch, parts):
    """The generator's step by plain gradients, after the discriminator's."""
    objective = Objective(gan_loss="bce", l1_weight=10, **parts)
    networks, (label_map, photo) = small_networks(1e-2), batch
    before = copy.deepcopy(networks.generator)
    losses = train_step(networks, label_map, photo, objective)
    assert len(losses) == len(objective.loss_names)

    output, activations = before(label_map), [[], []]
    adversarial = adversarial_loss(networks.discriminator(label_map, output, activations[0]), "bce")
    networks.discriminator(label_map, photo, activations[1])
    loss = adversarial + 10 * l1_loss(output, photo)
    if "feature_matching" in parts:
        fake, real = ([x.float() for x in side] for side in activations)
        assert len(fake) == 4  # of the 70x70 PatchGAN
        loss = loss + 3 * feature_matching_loss(fake, real)
    if "perceptual" in parts:
        loss = loss + 2 * perceptual_loss(output, photo)
    gradients = torch.autograd.grad(loss, list(before.parameters()))
    for weight, old, gradient in zip(
        networks.generator.parameters(), before.parameters(), gradients, strict=True
    ):
        torch.testing.assert_close(weight, old - 1e-2 * gradient, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kinds", [("color",), ("translation", "cutout")])
def test_the_discriminator_sees_changed_pairs_and_the_l1_term_the_true_ones(batch, kinds):
    networks, (label_map, photo) = small_networks(), batch
    seen, judge = [], networks.discriminator.forward
    networks.discriminator.forward = lambda *pair: seen.append(pair) or judge(*pair)
    before = networks.generator(label_map)
    objective = Objective(gan_loss="bce", l1_weight=10, augmentation=kinds, feature_matching=1.0)
    losses = dict(zip(objective.loss_names, train_step(networks, *batch, objective), strict=True))
    torch.testing.assert_close(losses["l1"], l1_loss(before, photo))

    both, fake, real = seen
    for seen_map, seen_photo, true_photo in (
        (both[0][:2], both[1][:2], photo), (fake[0], fake[1], before), (real[0], real[1], photo),
    ):  # fmt: skip
        assert torch.equal(seen_map, label_map) is (kinds == ("color",))
        assert (seen_photo - true_photo).abs().mean() > 0.05
    assert torch.equal(fake[0], real[0])  # features are compared at the same places
    assert not torch.equal(fake[0], both[0][:2]) or kinds == ("color",)


def test_an_output_of_an_enlarged_label_map_is_judged_at_the_maps_own_size():
    """The generator's step by plain gradients, after the discriminator's."""
    networks, (label_map, photo) = small_networks(1e-2), torch.rand(2, 2, 3, 24, 24).double()
    before = copy.deepcopy(networks.generator)
    _, _, l1 = train_step(networks, label_map, photo, OBJECTIVE, size=32)
    places = (torch.arange(32) + 0.5).mul(24 / 32).floor().long()
    output = before(label_map[:, :, places][:, :, :, places])
    assert output.shape == (2, 3, 32, 32)
    reduced = F.interpolate(output, size=(24, 24), mode="bilinear", antialias=True)
    torch.testing.assert_close(l1, l1_loss(reduced, photo))
    loss = 100 * l1_loss(reduced, photo)
    loss = loss + adversarial_loss(networks.discriminator(label_map, reduced), "bce")
    gradients = torch.autograd.grad(loss, list(before.parameters()))
    for weight, old, gradient in zip(
        networks.generator.parameters(), before.parameters(), gradients, strict=True
    ):
        torch.testing.assert_close(weight, old - 1e-2 * gradient, rtol=1e-5, atol=1e-6)


def test_an_enlarged_flat_color_stays_one_when_it_is_reduced():
    colors = torch.linspace(-1, 1, 3)[None, :, None, None].expand(1, 3, 24, 24)
    torch.testing.assert_close(output_at(32, torch.nn.Identity(), colors), colors)
    assert output_at(24, torch.nn.Identity(), colors) is colors
