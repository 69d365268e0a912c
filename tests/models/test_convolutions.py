"""The matrix product of small maps against PyTorch's own convolutions."""

import pytest
import torch
import torch.nn.functional as F

from pix2pix_ilm.models import convolutions
from pix2pix_ilm.models.convolutions import DoublingConv, HalvingConv

REFERENCE = {HalvingConv: F.conv2d, DoublingConv: F.conv_transpose2d}
KINDS = pytest.mark.parametrize("kind", [HalvingConv, DoublingConv])


def results(function, x, layer):
    """Output, and the gradients of input and parameters for the same random loss."""
    x = x.detach().requires_grad_()
    y = function(x)
    weights = torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view(y.shape)
    return y, *torch.autograd.grad((weights * y).sum(), [x, *layer.parameters()])


@KINDS
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(1, 2, 2), (3, 2, 4), (2, 6, 2), (1, 16, 16)])
def test_small_maps_are_convolved_as_by_pytorch(kind, bias, shape):
    batch, height, width = shape
    layer = kind(3, 5, bias=bias).double()
    x = torch.randn(batch, 3, height, width, dtype=torch.float64)
    expected = results(lambda x: REFERENCE[kind](x, layer.weight, layer.bias, 2, 1), x, layer)
    for ours, theirs in zip(results(layer, x, layer), expected, strict=True):
        torch.testing.assert_close(ours, theirs)


@KINDS
def test_only_few_windows_are_multiplied(kind, monkeypatch):
    multiplied = []
    linear = F.linear

    def noted(x, *others):
        multiplied.append(x.shape[0] * x.shape[1])
        return linear(x, *others)

    monkeypatch.setattr(convolutions.F, "linear", noted)
    layer = kind(3, 4)
    for size in (2, 8, 16, 32):
        for batch in (1, 4):
            layer(torch.zeros(batch, 3, size, size))
    assert multiplied
    assert max(multiplied) == convolutions.FEW
    multiplied.clear()
    with torch.no_grad():
        layer(torch.zeros(1, 3, 2, 2))
    assert not multiplied


@KINDS
def test_a_map_of_one_pixel_is_doubled_and_of_odd_sizes_halved(kind):
    size = (1, 1) if kind is DoublingConv else (5, 3)
    layer, x = kind(2, 3), torch.randn(1, 2, *size)
    torch.testing.assert_close(layer(x), REFERENCE[kind](x, layer.weight, layer.bias, 2, 1))


@KINDS
def test_autocast_computes_small_maps_in_bfloat16(kind):
    layer, x = kind(8, 8), torch.randn(1, 8, 4, 4)
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(x)
    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(y.float(), layer(x), rtol=0.02, atol=0.02)


@KINDS
def test_channels_last_maps_are_read_alike(kind):
    layer, x = kind(6, 4), torch.randn(2, 6, 4, 4)
    torch.testing.assert_close(layer(x.to(memory_format=torch.channels_last)), layer(x))
