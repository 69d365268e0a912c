"""What is fast on a CPU against its plain form, and against PyTorch's own layers."""

import pytest
import torch
import torch.nn.functional as F
from torch.autograd import forward_ad
from torch.utils.checkpoint import checkpoint

from pix2pix_ilm.models import cpu_kernels
from pix2pix_ilm.models.cpu_kernels import DownConv, ResizeConv, UpConv
from pix2pix_ilm.models.norms import ILMNorm2d

REFERENCE = {DownConv: F.conv2d, UpConv: F.conv_transpose2d}
KINDS = pytest.mark.parametrize("kind", [DownConv, UpConv])


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

    monkeypatch.setattr(cpu_kernels.F, "linear", noted)
    layer = kind(3, 4)
    for size in (2, 8, 16, 32):
        for batch in (1, 4):
            layer(torch.zeros(batch, 3, size, size))
    assert multiplied
    assert max(multiplied) == cpu_kernels.FEW
    multiplied.clear()
    with torch.no_grad():
        layer(torch.zeros(1, 3, 2, 2))
    assert not multiplied


@KINDS
def test_a_map_of_one_pixel_is_doubled_and_of_odd_sizes_halved(kind):
    size = (1, 1) if kind is UpConv else (5, 3)
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


def resized(x, layer):
    doubled = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
    return F.conv2d(doubled, layer.weight, layer.bias, padding=1)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 3, 4), (1, 20, 10), (3, 9, 16), (1, 33, 17)])
def test_maps_of_any_size_are_resized_and_convolved(shape, bias):
    batch, height, width = shape
    layer = ResizeConv(3, 5, bias=bias).double()
    x = torch.randn(batch, 3, height, width, dtype=torch.float64)
    expected = results(lambda x: resized(x, layer), x, layer)
    for ours, theirs in zip(results(layer, x, layer), expected, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_large_maps_are_never_enlarged_before_they_are_convolved(monkeypatch):
    enlarged = []
    monkeypatch.setattr(cpu_kernels.F, "interpolate", lambda x, **_: enlarged.append(x.shape) or x)
    layer = ResizeConv(2, 2)
    for batch, side in ((1, 4), (1, 16), (4, 8), (1, 64)):
        layer(torch.zeros(batch, 2, side, side))
    assert enlarged == [(1, 2, 4, 4)]


LAYOUTS = pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)


@LAYOUTS
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 2, 3), (3, 2, 2), (1, 9, 8), (2, 20, 30)])
def test_native_moments_are_those_of_the_pixels(shape, layout):
    batch, height, width = shape
    x = 3 + torch.randn(batch, 4, height, width, dtype=torch.float64)
    rows = x.to(memory_format=layout).reshape(1, 4 * batch, -1)
    expected = rows.mean(2), rows.var(2, correction=0)
    torch.testing.assert_close(cpu_kernels.row_moments(rows), expected)


def ilm_norm(standardization="instance", **options):
    options = {"num_groups": 2, "key_group_size": 2, "reduction": 1} | options
    return ILMNorm2d(8, standardization, **options).double()


@LAYOUTS
@pytest.mark.parametrize("correction", [0, 1])
@pytest.mark.parametrize("key_group_size", [1, 2])
@pytest.mark.parametrize("standardization", ["instance", "group", "layer"])
@pytest.mark.parametrize("shape", [(1, 2, 3), (3, 2, 2), (1, 9, 8), (2, 20, 30)])
def test_ilm_norm_is_its_plain_form(
    standardization, key_group_size, correction, shape, layout, monkeypatch
):
    """Value and all gradients of the kernels' and of the written-out arithmetic, in float64."""
    batch, height, width = shape
    norm = ilm_norm(standardization, key_group_size=key_group_size, correction=correction)
    x = 1 + torch.randn(batch, 8, height, width, dtype=torch.float64)
    x = x.to(memory_format=layout)
    ours = results(norm, x, norm)
    monkeypatch.setattr(cpu_kernels, "has_ilm_norm", lambda *_: False)
    for fast, plain in zip(ours, results(norm, x, norm), strict=True):
        torch.testing.assert_close(fast, plain)


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "relu", "cos"])
def test_activations_have_their_derivatives(name):
    activation = getattr(torch, name)
    norm = ilm_norm(mean_activation=activation, var_activation=activation)
    x = torch.randn(2, 8, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(norm, x)


def test_derivatives_of_ilm_norm_can_be_differentiated():
    """A gradient penalty does so."""
    norm = ilm_norm(key_group_size=1)
    x = torch.randn(2, 8, 3, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(norm, x)


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:FutureWarning")
def test_forward_differentiation_of_ilm_norm_gives_its_slope():
    norm = ilm_norm()
    x, direction = torch.randn(2, 1, 8, 3, 3, dtype=torch.float64)
    with forward_ad.dual_level():
        slope = forward_ad.unpack_dual(norm(forward_ad.make_dual(x, direction))).tangent
    with torch.no_grad():
        difference = norm(x + 1e-6 * direction) - norm(x - 1e-6 * direction)
    torch.testing.assert_close(slope, difference / 2e-6, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("key_group_size", [1, 2])
@pytest.mark.parametrize("standardization", ["instance", "group"])
@pytest.mark.usefixtures("unchecked")  # the checks look into shapes that vmap hides
def test_ilm_norm_takes_batches_of_gradients(standardization, key_group_size):
    norm = ilm_norm(standardization, key_group_size=key_group_size)
    x = torch.randn(2, 8, 3, 2, dtype=torch.float64, requires_grad=True)
    together = torch.autograd.functional.jacobian(norm, x, vectorize=True)
    torch.testing.assert_close(together, torch.autograd.functional.jacobian(norm, x))


def test_ilm_norm_can_be_computed_again_for_its_gradients():
    """Activation checkpointing gives saved tensors once."""
    norm, x = ilm_norm(), torch.randn(2, 8, 3, 2, dtype=torch.float64, requires_grad=True)
    checkpoint(norm, x, use_reentrant=False).sum().backward()
    (expected,) = torch.autograd.grad(norm(x).sum(), x)
    torch.testing.assert_close(x.grad, expected)


def test_hooks_of_an_ilm_norm_see_each_call_once():
    calls = []
    norm = ilm_norm().float()
    norm.register_forward_hook(lambda *_: calls.append(1))
    with torch.autocast("cpu", torch.bfloat16):
        norm(torch.randn(2, 8, 3, 2))
        norm(torch.randn(8, 3, 2))
    assert len(calls) == 2


def test_an_activation_needs_no_hash():
    class Cosine:
        __hash__ = None

        def __call__(self, x):
            return torch.cos(x)

    norm = ilm_norm(mean_activation=Cosine())
    assert norm(torch.randn(1, 8, 3, 3, dtype=torch.float64)).isfinite().all()


def test_the_next_layer_may_write_into_ilm_norm_s_output():
    norm, x = ilm_norm(), torch.randn(2, 8, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: norm(x).mul_(2).tanh_(), x)


@LAYOUTS
@pytest.mark.parametrize("standardization", ["instance", "layer"])
def test_flat_maps_keep_their_variance(standardization, layout):
    """A wall: a mean of 1000 deviations, whose rounding alone moves the result by 6e-5."""
    norm = ILMNorm2d(4, standardization, key_group_size=1)
    for side in (4, 8, 16, 256):
        x = (10 + 0.01 * torch.randn(1, 4, side, side)).to(memory_format=layout)
        exact = norm.double()(x.double())
        with torch.no_grad():
            torch.testing.assert_close(norm.float()(x).double(), exact, rtol=0, atol=1e-3)


@pytest.mark.parametrize("standardization", ["instance", "layer"])
def test_small_maps_in_training_lose_little(standardization):
    """The kernel for channels_last loses 1e-7 (mean / deviation)^2 of the variance there."""
    norm = ILMNorm2d(4, standardization, key_group_size=1)
    for side in (4, 8):
        x = (10 + torch.randn(1, 4, side, side)).to(memory_format=torch.channels_last)
        assert cpu_kernels.as_rows(x) is x
        exact = norm.double()(x.double())
        torch.testing.assert_close(norm.float()(x).double(), exact, rtol=0, atol=1e-3)
