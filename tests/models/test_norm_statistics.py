import math

import pytest
import torch

from pix2pix_ilm.models.discriminator import DiscriminatorConfig, PatchDiscriminator
from pix2pix_ilm.models.generator import GeneratorConfig, UNetGenerator
from pix2pix_ilm.models.norm_statistics import layer_statistics, spread
from pix2pix_ilm.models.norms import ILMNorm2d


def generator(norm="ilm-in"):
    return UNetGenerator(GeneratorConfig(ngf=4, depth=4, norm=norm)).eval()


LABELS = [(one,) for one in (torch.rand(5, 3, 16, 16) * 2 - 1).split(1)]


def test_the_spread_is_that_over_images_and_over_channels():
    values = torch.tensor([[0.0, 10.0, 4.0], [2.0, 10.0, 4.0]])
    found = spread(values)
    assert found.over_images == torch.tensor(1 / 3).sqrt().item()
    assert abs(found.over_channels - torch.tensor([1.0, 10, 4]).std(correction=0).item()) < 1e-6
    assert abs(found.constant_fraction - 2 / 3) < 1e-6


def test_layers_without_encoders_are_constant_and_others_are_not():
    network = generator()
    layers = {n: m for n, m in network.named_modules() if isinstance(m, ILMNorm2d)}
    first, *rest = layers.values()
    torch.nn.init.zeros_(first.encoder.weight)
    for layer in rest:
        torch.nn.init.normal_(layer.mean_decoder.weight)
        torch.nn.init.normal_(layer.encoder.weight)
    found = layer_statistics(network, LABELS)
    assert [layer.layer for layer in found] == list(layers)
    assert found[0].beta.constant_fraction == found[0].omega.constant_fraction == 1
    assert all(layer.beta.over_images > 1e-4 for layer in found[1:])


def test_the_networks_outputs_are_what_they_were():
    network = generator()
    label_map = torch.rand(1, 3, 16, 16)
    with torch.inference_mode():
        before = network(label_map)
        layer_statistics(network, LABELS)
        assert torch.equal(network(label_map), before)


def test_networks_without_ilm_layers_have_no_statistics():
    assert layer_statistics(generator("in"), LABELS) == []


@pytest.mark.usefixtures("without_float64")
@pytest.mark.parametrize(("end", "counted"), [(0.97, 0.0), (0.985, 1.0), (0.015, 1.0)])
def test_a_value_within_two_hundredths_of_the_sigmoids_ends_is_saturated(end, counted):
    layer = ILMNorm2d(1, key_group_size=1, reduction=1)
    image = torch.tensor([-1.0, 1.0]).repeat(1, 1, 8, 4)  # variance 1
    with torch.no_grad():
        layer.encoder.weight.fill_(1)
        layer.var_decoder.weight.fill_(math.log(end / (1 - end)) / layer.encoder.out_features)
    (found,) = layer_statistics(torch.nn.Sequential(layer), [(image,), (image,)])
    assert found.saturated_fraction == counted


@pytest.mark.usefixtures("without_float64")
def test_rows_that_never_fire_and_values_at_the_sigmoids_ends_are_counted():
    layer = ILMNorm2d(4, key_group_size=1, reduction=1)
    with torch.no_grad():
        layer.encoder.weight.copy_(torch.tensor([[1.0] * 4, [-1.0] * 4, [0.0] * 4, [2.0] * 4]))
        layer.var_decoder.weight.zero_()
        layer.var_decoder.weight[0, 0] = 1e4  # D_gamma of channel 0 is 1, of the others 0.5
    network = torch.nn.Sequential(layer)
    images = torch.rand(6, 4, 8, 8)
    (found,) = layer_statistics(network, [(images[:3],), (-images[3:],)])
    assert found.dead_var_rows == 0.5  # variances are positive, so -1 and 0 never fire
    assert found.dead_mean_rows == 0.25  # means of both signs: 0 alone never does
    assert found.saturated_fraction == 0.25
    (found,) = layer_statistics(network, [(images,)])
    assert found.dead_mean_rows == 0.5


def test_a_network_of_two_inputs_is_measured_too():
    config = DiscriminatorConfig(ndf=4, n_layers=2, norm="ilm-in")
    network = PatchDiscriminator(config).eval()
    pairs = [tuple(torch.rand(2, 2, 3, 32, 32)) for _ in range(3)]
    found = layer_statistics(network, pairs)
    assert [layer.layer for layer in found] == ["layers.3", "layers.6"]
    assert all(0 <= layer.dead_var_rows <= 1 for layer in found)
