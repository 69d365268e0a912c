"""Imported discriminators against the port's, stated here once more."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from pix2pix_ilm.checkpoints import save_discriminator
from pix2pix_ilm.errors import UserError
from pix2pix_ilm.models.discriminator import DiscriminatorConfig, PatchDiscriminator
from pix2pix_ilm.models.norms import NormOptions
from pix2pix_ilm.serving.discriminator_port import read_discriminator
from pix2pix_ilm.training.setup import load_discriminator

NORMS = {"batch": nn.BatchNorm2d, "instance": nn.InstanceNorm2d}


def randomize(layer: nn.Module) -> None:
    for tensor in [*layer.parameters(recurse=False), *layer.buffers(recurse=False)]:
        if tensor.ndim:
            nn.init.uniform_(tensor, 0.05, 0.4)


def saved(network: nn.Module, folder: Path) -> Path:
    torch.save(network.state_dict(), folder / "latest_net_D.pth")
    return folder / "latest_net_D.pth"


def port_discriminator(norm: str, layers: int, ndf: int = 8) -> nn.Module:
    """Build the port's PatchGAN (``basic``: 3 layers), or with 0 its pixel discriminator."""
    bias = "instance" in norm

    def block(inner: int, outer: int, kernel: int, stride: int) -> list[nn.Module]:
        conv = nn.Conv2d(inner, outer, kernel, stride, int(kernel > 1), bias=bias)
        return [conv, NORMS[norm](outer), nn.LeakyReLU(0.2, True)]

    kernel, stride, padding = (4, 2, 1) if layers else (1, 1, 0)
    net = [nn.Conv2d(6, ndf, kernel, stride, padding), nn.LeakyReLU(0.2, True)]
    widths = [ndf * min(2**level, 8) for level in range(max(layers, 1) + 1)]
    for level in range(1, len(widths)):
        last = level == len(widths) - 1
        net += block(widths[level - 1], widths[level], kernel, 1 if last else stride)
    net.append(nn.Conv2d(widths[-1], 1, kernel, 1, padding, bias=bias or layers > 0))
    module = nn.Module()
    module.add_module("model" if layers else "net", nn.Sequential(*net))
    return module.apply(randomize)


@pytest.mark.parametrize("layers", [3, 2])
@pytest.mark.parametrize(("norm", "ours"), [("batch", "bn"), ("instance", "in")])
def test_an_imported_discriminator_judges_as_the_ports(norm, ours, layers, tmp_path):
    theirs = port_discriminator(norm, layers)
    save_discriminator(tmp_path, read_discriminator(saved(theirs, tmp_path)))
    options = NormOptions(affine=norm == "batch")
    config = DiscriminatorConfig(ndf=8, n_layers=layers, norm=ours, norm_options=options)
    network = PatchDiscriminator(config)
    assert not load_discriminator(network, tmp_path)  # says no problem
    label_map, photo = torch.rand(2, 2, 3, 64, 64, dtype=torch.float64)
    with torch.no_grad():
        expected = theirs.double().eval().model(torch.cat([label_map, photo], 1))
        torch.testing.assert_close(network.double().eval()(label_map, photo), expected)
    wider = PatchDiscriminator(replace(config, ndf=16))
    assert "layers.0.bias is (8,), this one's (16,)" in load_discriminator(wider, tmp_path)


@pytest.mark.parametrize(
    ("name", "tensor", "message"),
    [
        ("model.5.weight", torch.zeros(8, 8, 4, 4), "layers.5.weight: not as in a discriminator"),
        ("model.3.running_var", None, "layers.3.running_var: not as in a discriminator"),
        ("model.99.weight", torch.zeros(1), "layers.99.weight: not as in a discriminator"),
        ("model.0.weight", None, "not of a discriminator"),
    ],
)
def test_what_does_not_fit_is_named(name, tensor, message, tmp_path):
    theirs = port_discriminator("batch", 3)
    weights = theirs.state_dict()
    weights[name] = tensor
    weights = {key: value for key, value in weights.items() if value is not None}
    torch.save(weights, tmp_path / "latest_net_D.pth")
    with pytest.raises(UserError, match=message):
        read_discriminator(tmp_path / "latest_net_D.pth")
