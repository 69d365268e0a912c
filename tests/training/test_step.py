import copy

import pytest
import torch

from pix2pix_ilm.models.discriminator import DiscriminatorConfig, PatchDiscriminator
from pix2pix_ilm.models.generator import GeneratorConfig, UNetGenerator
from pix2pix_ilm.models.norms import NormName
from pix2pix_ilm.training.losses import adversarial_loss, discriminator_loss, l1_loss
from pix2pix_ilm.training.step import Networks, train_step


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
    losses = train_step(networks, label_map, photo, gan_loss=gan_loss, l1_weight=10)

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
    train_step(networks, *batch, gan_loss="bce", l1_weight=100)
    assert all(parameter.requires_grad for parameter in networks.discriminator.parameters())


def test_the_discriminator_can_be_trained_again_after_a_step_that_failed(batch):
    networks = small_networks()
    count = iter(range(2))

    def backward(loss):
        if next(count):
            raise RuntimeError("in the generator's half")
        loss.backward()

    with pytest.raises(RuntimeError, match="generator's half"):
        train_step(networks, *batch, gan_loss="bce", l1_weight=100, backward=backward)
    assert all(parameter.requires_grad for parameter in networks.discriminator.parameters())


def test_the_networks_learn_a_pair_by_heart(batch):
    networks = small_networks()
    adam = torch.optim.Adam(networks.generator.parameters(), 1e-2, betas=(0.5, 0.999))
    networks = Networks(
        networks.generator, networks.discriminator, adam, networks.discriminator_optimizer
    )
    losses = [train_step(networks, *batch, gan_loss="bce", l1_weight=100) for _ in range(40)]
    assert losses[-1][2] < 0.75 * losses[0][2]
