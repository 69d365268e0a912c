"""ILM Norm against the equations of its paper, its limits, and the machinery of PyTorch."""

import math
from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.func import functional_call, grad, jvp, vmap
from torchvision import models

from pix2pix_ilm.models.moments import pool_moments
from pix2pix_ilm.models.norms import (
    NORM_NAMES,
    ILMNorm2d,
    NormOptions,
    make_norm,
)

STANDARDIZATIONS = ("instance", "group", "layer")
ILM_NAMES = ("ilm-in", "ilm-gn", "ilm-ln")
OPTIONS = NormOptions(num_groups=4, key_group_size=2)


def randomized(module: nn.Module) -> nn.Module:
    """No weight at a value that could hide a missing term."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_()
    return module


def small_ilm(standardization: str = "instance", **arguments) -> ILMNorm2d:
    arguments = {"num_groups": 4, "key_group_size": 2, "reduction": 1} | arguments
    return randomized(ILMNorm2d(16, standardization, **arguments))


def moments_of(values: Tensor, correction: int) -> tuple[Tensor, Tensor]:
    mean = values.sum() / values.numel()
    squares = ((values - mean) ** 2).sum()
    return mean, squares / max(values.numel() - correction, 1)


def ilm_by_loops(x: Tensor, norm: ILMNorm2d, groups: int, key_size: int, correction: int) -> Tensor:
    """Equations (1) to (6), one value after the other, in float64."""
    w1, w2, w3 = (
        linear.weight.double() for linear in (norm.encoder, norm.mean_decoder, norm.var_decoder)
    )
    x, out = x.double(), torch.empty(x.shape, dtype=torch.float64)
    batch, channels = x.shape[:2]
    for b in range(batch):
        keys = [x[b, first : first + key_size] for first in range(0, channels, key_size)]
        mu = torch.stack([moments_of(key, correction)[0] for key in keys])  # eq. (3)
        gamma = torch.stack([moments_of(key, correction)[1] for key in keys])
        e_mu, e_gamma = (w1 @ mu).clamp(min=0), (w1 @ gamma).clamp(min=0)  # eq. (4)
        d_mu, d_gamma = norm.mean_activation(w2 @ e_mu), norm.var_activation(w3 @ e_gamma)
        for c in range(channels):
            size = channels // groups
            group = x[b, c // size * size : c // size * size + size]
            mean, var = moments_of(group, correction)
            x_s = (x[b, c] - mean) / torch.sqrt(var + norm.eps)  # eq. (1)
            omega = d_gamma[c // key_size] + norm.weight[c].double()  # eq. (6)
            beta = d_mu[c // key_size] + norm.bias[c].double()
            out[b, c] = omega * x_s + beta  # eq. (2)
    return out


def groups_of(standardization: str, channels: int, num_groups: int) -> int:
    return {"instance": channels, "group": num_groups, "layer": 1}[standardization]


@pytest.mark.parametrize(
    "shape", [(1, 8, 5, 7), (3, 16, 4, 2), (2, 12, 1, 3), (2, 8, 1, 1)], ids=str
)
@pytest.mark.parametrize("correction", [0, 1])
@pytest.mark.parametrize("key_size", [1, 4, None], ids=["K=1", "K=4", "K=C"])
@pytest.mark.parametrize("standardization", STANDARDIZATIONS)
@torch.no_grad()
def test_equals_the_equations_written_as_loops(standardization, key_size, correction, shape):
    channels = shape[1]
    key_size = key_size or channels
    norm = ILMNorm2d(
        channels,
        standardization,
        num_groups=4,
        key_group_size=key_size,
        reduction=2,
        correction=correction,
    )
    randomized(norm)
    scales = torch.rand(shape[0], channels, 1, 1) + 0.5
    x = torch.randn(shape) * scales + torch.randn(shape[0], channels, 1, 1)
    groups = groups_of(standardization, channels, 4)
    expected = ilm_by_loops(x, norm, groups, key_size, correction)
    torch.testing.assert_close(norm.double()(x.double()), expected)
    torch.testing.assert_close(norm.float()(x).double(), expected, rtol=1e-4, atol=1e-4)


@given(
    batch=st.integers(1, 3),
    sizes=st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 2)),
    height=st.integers(1, 4),
    width=st.integers(1, 4),
    correction=st.integers(0, 1),
)
@settings(max_examples=40, deadline=None, derandomize=True)
@torch.no_grad()
def test_key_groups_and_standardization_groups_are_independent(
    batch, sizes, height, width, correction
):
    """K need not divide, nor be divided by, the size of the standardization groups."""
    num_groups, key_size, rest = sizes
    channels = num_groups * key_size * rest
    norm = ILMNorm2d(channels, "group", num_groups, key_size, correction=correction).double()
    randomized(norm)
    x = torch.randn(batch, channels, height, width, dtype=torch.float64)
    expected = ilm_by_loops(x, norm, num_groups, key_size, correction)
    torch.testing.assert_close(norm(x), expected)


@pytest.mark.parametrize("eps", [1e-5, 0.5])
def test_eps_joins_the_variance_of_the_standardization_alone(eps):
    norm = small_ilm(eps=eps).double()
    x = torch.randn(2, 16, 4, 4, dtype=torch.float64)
    torch.testing.assert_close(norm(x), ilm_by_loops(x, norm, 16, 2, 0))


@pytest.mark.parametrize("standardization", STANDARDIZATIONS)
def test_without_decoders_it_is_the_plain_norm(standardization):
    """W2 = W3 = 0 leaves tanh(0) = 0 on the bias and sigmoid(0) = 0.5 on the weight."""
    norm = small_ilm(standardization).double()
    nn.init.zeros_(norm.mean_decoder.weight)
    nn.init.zeros_(norm.var_decoder.weight)
    x = 3 * torch.randn(2, 16, 5, 6, dtype=torch.float64) + 1
    standardized = {
        "instance": F.instance_norm(x),
        "group": F.group_norm(x, 4),
        "layer": F.layer_norm(x, x.shape[1:]),
    }[standardization]
    omega, beta = norm.weight[:, None, None] + 0.5, norm.bias[:, None, None]
    torch.testing.assert_close(norm(x), omega * standardized + beta)


def test_a_fresh_norm_has_the_affine_parameters_of_a_fresh_plain_norm():
    norm = ILMNorm2d(16, key_group_size=1)
    assert (norm.weight == 1).all()
    assert (norm.bias == 0).all()


@pytest.mark.parametrize(("limit", "num_groups"), [("instance", 16), ("layer", 1)])
def test_instance_and_layer_are_limits_of_group(limit, num_groups):
    norm, grouped = small_ilm(limit), small_ilm("group", num_groups=num_groups)
    grouped.load_state_dict(norm.state_dict())
    x = torch.randn(2, 16, 5, 6) + 1
    torch.testing.assert_close(norm(x), grouped(x))
    assert not torch.allclose(norm(x), small_ilm("group", num_groups=4)(x))


@pytest.mark.parametrize("correction", [0, 1])
@pytest.mark.parametrize("standardization", STANDARDIZATIONS)
def test_gradients_of_input_and_weights(standardization, correction):
    norm = ILMNorm2d(8, standardization, 4, key_group_size=2, correction=correction).double()
    names, weights = zip(*randomized(norm).named_parameters(), strict=True)
    x = torch.randn(2, 8, 3, 2, dtype=torch.float64, requires_grad=True)

    def forward(x, *weights):
        return functional_call(norm, dict(zip(names, weights, strict=True)), (x,))

    assert torch.autograd.gradcheck(forward, (x, *weights))
    (forward(x, *weights) * torch.randn(x.shape)).sum().backward()
    assert all(tensor.grad.abs().max() > 1e-4 for tensor in (x, *weights))


TABLE_8 = {  # added weights / all weights of torchvision's ResNet, in percent
    16: {18: 0.015, 34: 0.015, 50: 0.086, 101: 0.086, 152: 0.086},
    # The paper prints 2.462 for ResNet-34; the quotient is 2.46280.
    1: {18: 2.792, 34: 2.463, 50: 20.696, 101: 20.313, 152: 20.178},
}


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("depth", TABLE_8[1])
def test_weights_added_to_resnets_are_those_of_table_8(depth):
    with torch.device("meta"):
        resnet = models.get_model(f"resnet{depth}")
        norms = [module for module in resnet.modules() if isinstance(module, nn.BatchNorm2d)]
        for key_size, row in TABLE_8.items():
            meta = [ILMNorm2d(norm.num_features, key_group_size=key_size) for norm in norms]
            added = sum(map(count, meta)) - sum(map(count, norms))
            assert 100 * added / count(resnet) == pytest.approx(row[depth], abs=5e-4)


@pytest.mark.parametrize("correction", [0, 1])
@pytest.mark.parametrize("batch", [1, 2])
def test_the_mean_of_a_1x1_map_reaches_the_output(batch, correction):
    """Plain instance norm erases a 1x1 map; here the predicted bias carries its mean."""
    norm = small_ilm(key_group_size=1, correction=correction).double()
    x = torch.randn(batch, 16, 1, 1, dtype=torch.float64, requires_grad=True)
    means = x.flatten(1)
    decoded = torch.tanh(norm.mean_decoder(torch.relu(norm.encoder(means))))
    torch.testing.assert_close(norm(x).flatten(1), decoded + norm.bias)
    (gradient,) = torch.autograd.grad(norm(x).sum(), x)
    assert (gradient.flatten(1).abs().amax(dim=1) > 0).all()


@pytest.mark.parametrize("correction", [0, 1])
@pytest.mark.parametrize("standardization", STANDARDIZATIONS)
def test_finite_on_constant_maps_and_1x1_maps(standardization, correction):
    norm = small_ilm(standardization, correction=correction)
    for x in (torch.full((1, 16, 3, 3), 7.0), torch.randn(1, 16, 1, 1), torch.zeros(1, 16, 1, 1)):
        x.requires_grad_()
        out = norm(x)
        out.sum().backward()
        assert out.isfinite().all()
        assert x.grad.isfinite().all()


def layouts_of(x: Tensor) -> dict[str, Tensor]:
    """The same maps in every memory layout that a network may hand on."""
    last = x.to(memory_format=torch.channels_last)
    rows = x.flatten(2).transpose(1, 2).contiguous().transpose(1, 2).unflatten(2, x.shape[2:])
    return {"contiguous": x, "channels_last": last, "rows of pixels": rows}


@pytest.mark.parametrize("name", ["in", "gn", "ln", *ILM_NAMES])
@pytest.mark.parametrize("shape", [(1, 16, 96, 96), (2, 16, 33, 7), (1, 16, 1, 64)], ids=str)
@torch.no_grad()
def test_every_layout_of_nearly_flat_maps_is_as_exact_as_float64(name, shape):
    """E[x^2] - E[x]^2 would have no correct digit of these variances."""
    norm = make_norm(name, 16, OPTIONS)
    means = 100 * torch.randn(1, 16, 1, 1) if "in" in name else torch.tensor(100.0)
    x = means + 0.1 * torch.randn(shape)
    expected = deepcopy(norm).double()(x.double())
    # Each value was rounded once, at its mean's size, before it is divided by its deviation.
    tolerance = 4 * torch.finfo().eps * x.abs().max().item() / 0.1
    for layout in layouts_of(x).values():
        out = norm(layout).double()
        torch.testing.assert_close(out, expected, rtol=1e-5, atol=tolerance)


@pytest.mark.parametrize("name", ["in", "ilm-in", "ilm-gn"])
def test_every_layout_has_the_same_gradients(name):
    norm, x = randomized(make_norm(name, 16, OPTIONS)), torch.randn(2, 16, 5, 6)
    expected, *others = (gradients(norm, norm, layout) for layout in layouts_of(x).values())
    for found in others:
        torch.testing.assert_close(found, expected, check_stride=False)


@pytest.mark.parametrize("name", ["in", *ILM_NAMES])
def test_an_empty_batch_gives_an_empty_batch(name):
    norm = make_norm(name, 16, OPTIONS)
    x = torch.zeros(0, 16, 5, 6, requires_grad=True)
    out = norm(x)
    assert out.shape == x.shape
    out.sum().backward()
    assert x.grad is not None
    assert all(parameter.grad.abs().sum() == 0 for parameter in norm.parameters())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@torch.no_grad()
def test_a_norm_in_half_precision_computes_its_autoencoder_in_float32(dtype):
    """A variance of 10^6 is more than float16 holds, and 1 / M of it still saturates."""
    norm = small_ilm().to(dtype)
    x = (1000 * torch.randn(2, 16, 8, 8)).to(dtype)
    out = norm(x)
    assert out.isfinite().all()
    expected = deepcopy(norm).double()(x.double())
    torch.testing.assert_close(out.double(), expected, rtol=torch.finfo(dtype).eps, atol=1e-4)


def test_one_map_without_a_batch_is_normalized_as_a_batch_of_one():
    norm, x = small_ilm("group"), torch.randn(16, 5, 6)
    torch.testing.assert_close(norm(x), norm(x[None])[0])


def test_the_input_may_be_named():
    x = torch.randn(2, 16, 5, 6)
    for name in ("in", "bn", "ilm-in"):
        norm = make_norm(name, 16)
        torch.testing.assert_close(norm(input=x), norm(x))


@pytest.mark.usefixtures("unchecked")  # the checks look into shapes that vmap hides
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:FutureWarning")
@pytest.mark.parametrize("standardization", STANDARDIZATIONS)
def test_functional_transforms_agree_with_plain_calls(standardization):
    norm = small_ilm(standardization).double()
    x = torch.randn(3, 16, 4, 5, dtype=torch.float64)
    weights = dict(norm.named_parameters())
    torch.testing.assert_close(vmap(norm)(x), norm(x))

    def loss(weights: dict[str, Tensor], one: Tensor) -> Tensor:
        return functional_call(norm, weights, (one[None],)).square().sum()

    each = vmap(grad(loss), in_dims=(None, 0))(weights, x)
    for i, one in enumerate(x):
        expected = torch.autograd.grad(loss(weights, one), [*weights.values()])
        for name, gradient in zip(weights, expected, strict=True):
            torch.testing.assert_close(each[name][i], gradient)

    direction, step = torch.randn_like(x), 1e-6
    _, slope = jvp(norm, (x,), (direction,))
    with torch.no_grad():
        difference = norm(x + step * direction) - norm(x - step * direction)
    torch.testing.assert_close(slope, difference / (2 * step), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("dtype", "mean", "std"),
    [(torch.bfloat16, 300, 8), (torch.float16, 0, 3000)],
    ids=["bf16 would round the mean", "fp16 would overflow the variance"],
)
@pytest.mark.parametrize("standardization", STANDARDIZATIONS)
@torch.no_grad()
def test_statistics_of_half_precision_input_are_float32(standardization, dtype, mean, std):
    norm = small_ilm(standardization)
    x = (mean + std * torch.randn(2, 16, 16, 16)).to(dtype)
    own_mean, own_var = x.mean((2, 3)), x.var((2, 3))
    mean_error = (own_mean.float() - x.float().mean((2, 3))).abs().max()
    assert mean_error > 0.05 * std or own_var.isinf().any()  # the input is hard enough

    out = norm(x)
    assert out.dtype is dtype
    torch.testing.assert_close(out.float(), norm(x.float()), rtol=torch.finfo(dtype).eps, atol=1e-4)


@torch.no_grad()
def test_autocast_leaves_the_statistics_and_the_autoencoder_in_float32():
    norm, conv = small_ilm(), nn.Conv2d(3, 16, 3)
    x = torch.randn(2, 3, 16, 16) + 10
    with torch.autocast("cpu", dtype=torch.bfloat16):
        features = conv(x)
        out, precise = norm(features), norm(features.float())
    assert features.dtype is out.dtype is torch.bfloat16
    expected = norm(features.float())
    torch.testing.assert_close(precise, expected, rtol=0, atol=0)
    torch.testing.assert_close(out.float(), expected, rtol=2**-8, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64], ids=str)
@pytest.mark.parametrize("name", NORM_NAMES)
def test_a_norm_cast_to_a_dtype_maps_that_dtype_to_itself(name, dtype):
    norm = make_norm(name, 16, OPTIONS).to(dtype)
    out = norm(torch.randn(2, 16, 4, 4).to(dtype))
    assert out.dtype is dtype
    assert out.isfinite().all()


@pytest.mark.parametrize("name", NORM_NAMES)
def test_shapes_can_be_traced_on_the_meta_device(name):
    with torch.device("meta"):
        assert make_norm(name, 16, OPTIONS)(torch.empty(2, 16, 4, 4)).shape == (2, 16, 4, 4)


def gradients(forward, norm: ILMNorm2d, x: Tensor) -> list[Tensor]:
    x = x.detach().requires_grad_()
    out = forward(x)
    weighting = torch.linspace(-1, 1, out.numel()).view_as(out)
    return [out, *torch.autograd.grad((weighting * out).sum(), [x, *norm.parameters()])]


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("standardization", STANDARDIZATIONS)
def test_compiled_agrees_with_eager(standardization):
    torch.compiler.reset()
    norm = small_ilm(standardization).double()
    x = torch.randn(2, 16, 5, 6, dtype=torch.float64) + 1
    compiled = torch.compile(norm, backend="aot_eager", fullgraph=True)
    for actual, expected in zip(
        gradients(compiled, norm, x), gradients(norm, norm, x), strict=True
    ):
        torch.testing.assert_close(actual, expected)


def test_exported_with_a_dynamic_batch_agrees_with_eager():
    norm = small_ilm("group").eval()
    program = torch.export.export(
        norm,
        (torch.randn(2, 16, 5, 6),),
        dynamic_shapes={"input": {0: torch.export.Dim("batch", min=1)}},
    )
    for batch in (1, 2, 5):
        x = torch.randn(batch, 16, 5, 6)
        torch.testing.assert_close(program.module()(x), norm(x))


@pytest.mark.parametrize("name", ["in", "gn", "ln", *ILM_NAMES])
def test_a_sample_does_not_depend_on_the_rest_of_the_batch(name):
    norm, x = randomized(make_norm(name, 16, OPTIONS)), torch.randn(3, 16, 5, 6)
    for sample in range(3):
        alone = norm(x[sample : sample + 1])
        torch.testing.assert_close(norm(x)[sample : sample + 1], alone)


def rescaling_seen_in(norm: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """Read omega and beta off the output: its regression on the standardized channel."""
    out, standardized = norm(x), F.instance_norm(x, eps=0)
    return (out * standardized).mean((2, 3)), out.mean((2, 3))


def differ(first: Tensor, second: Tensor) -> bool:
    return bool(((first - second).abs().amax(dim=1) > 1e-2).all())


@torch.no_grad()
def test_the_bias_follows_the_mean_alone_and_the_weight_the_variance_alone():
    norm = small_ilm(key_group_size=1, eps=0).double()
    x = torch.randn(2, 16, 6, 6, dtype=torch.float64)
    omega, beta = rescaling_seen_in(norm, x)
    assert differ(omega[:1], omega[1:])
    assert differ(beta[:1], beta[1:])

    shifted_omega, shifted_beta = rescaling_seen_in(norm, x + torch.randn(16, 1, 1))
    torch.testing.assert_close(shifted_omega, omega)
    assert differ(shifted_beta, beta)

    mean = x.mean((2, 3), keepdim=True)
    widened_omega, widened_beta = rescaling_seen_in(norm, 2 * (x - mean) + mean)
    torch.testing.assert_close(widened_beta, beta)
    assert differ(widened_omega, omega)


@torch.no_grad()
def test_a_plain_norm_rescales_every_sample_alike():
    norm = randomized(make_norm("in", 16)).double()
    x = torch.randn(2, 16, 6, 6, dtype=torch.float64) * torch.tensor([1.0, 9.0]).view(2, 1, 1, 1)
    for rescaling in rescaling_seen_in(norm, x):
        torch.testing.assert_close(rescaling[0], rescaling[1], rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_predictions_are_bounded_however_extreme_the_input():
    norm = small_ilm(eps=0).double()
    x = 100 * torch.randn(4, 16, 6, 6, dtype=torch.float64) + 1000 * torch.randn(4, 16, 1, 1)
    omega, beta = rescaling_seen_in(norm, x)
    predicted_weight, predicted_bias = omega - norm.weight, beta - norm.bias
    tolerance = 1e-9
    assert predicted_weight.min() > -tolerance
    assert predicted_weight.max() < 1 + tolerance
    assert predicted_bias.abs().max() < 1 + tolerance
    assert predicted_bias.min() < 0  # tanh, not sigmoid


def test_activations_are_those_asked_for():
    """The (sigmoid, tanh) swap: same weights, other bounds, as the loops say."""
    norm = small_ilm()
    swapped = small_ilm(mean_activation=torch.sigmoid, var_activation=torch.tanh)
    swapped.load_state_dict(norm.state_dict())
    x = torch.randn(2, 16, 4, 4) + 1
    expected = ilm_by_loops(x, swapped, 16, 2, 0)
    torch.testing.assert_close(swapped.double()(x.double()), expected)
    assert not torch.allclose(swapped.float()(x), norm(x), atol=0.1)


@pytest.mark.parametrize(
    ("channels", "key_size", "reduction", "num_keys", "embedding"),
    [(64, 1, 16, 64, 4), (64, 16, 16, 4, 2), (512, 1, 16, 512, 32), (64, 1, 4, 64, 16)],
)
def test_names_and_shapes_of_the_weights(channels, key_size, reduction, num_keys, embedding):
    norm = ILMNorm2d(channels, key_group_size=key_size, reduction=reduction)
    assert {name: tuple(weight.shape) for name, weight in norm.state_dict().items()} == {
        "weight": (channels,),
        "bias": (channels,),
        "encoder.weight": (embedding, num_keys),
        "mean_decoder.weight": (num_keys, embedding),
        "var_decoder.weight": (num_keys, embedding),
    }


def affine(norm: nn.Module, standardized: Tensor) -> Tensor:
    return norm.weight[:, None, None] * standardized + norm.bias[:, None, None]


EXPECTED = {
    "none": lambda _, x: x,
    "bn": lambda norm, x: affine(norm, F.batch_norm(x, None, None, training=True)),
    "in": lambda norm, x: affine(norm, F.instance_norm(x)),
    "gn": lambda norm, x: affine(norm, F.group_norm(x, 4)),
    "ln": lambda norm, x: affine(norm, F.layer_norm(x, x.shape[1:])),
    "ilm-in": lambda norm, x: ilm_by_loops(x, norm, 16, 2, 0),
    "ilm-gn": lambda norm, x: ilm_by_loops(x, norm, 4, 2, 0),
    "ilm-ln": lambda norm, x: ilm_by_loops(x, norm, 1, 2, 0),
}


@pytest.mark.parametrize("name", NORM_NAMES)
def test_make_norm_builds_what_its_name_says(name):
    norm = randomized(make_norm(name, 16, OPTIONS)).double()
    x = torch.randn(2, 16, 5, 6, dtype=torch.float64) + 1
    torch.testing.assert_close(norm(x), EXPECTED[name](norm, x))


@pytest.mark.parametrize(
    ("name", "reference"),
    [("in", nn.InstanceNorm2d(16, affine=True)), ("ln", nn.GroupNorm(1, 16))],
)
def test_plain_norms_are_limits_of_group_norm(name, reference):
    norm = make_norm(name, 16)
    norm.load_state_dict(randomized(reference).state_dict())
    limit = make_norm("gn", 16, NormOptions(num_groups=16 if name == "in" else 1))
    limit.load_state_dict(reference.state_dict())
    x = torch.randn(2, 16, 5, 6, dtype=torch.float64)
    torch.testing.assert_close(norm.double()(x), reference.double()(x))
    torch.testing.assert_close(norm(x), limit.double()(x))


@pytest.mark.parametrize("name", ["bn", "in", "gn", "ln"])
def test_affine_decides_whether_a_plain_norm_learns(name):
    shapes = {weight_name for weight_name, _ in make_norm(name, 32).named_parameters()}
    assert shapes == {"weight", "bias"}
    assert count(make_norm(name, 32, NormOptions(affine=False))) == 0


@pytest.mark.parametrize("name", ILM_NAMES)
def test_ilm_norms_take_the_options_and_always_learn(name):
    options = NormOptions(num_groups=8, key_group_size=4, reduction=2, affine=False)
    norm = make_norm(name, 64, options)
    assert norm.encoder.weight.shape == (8, 16)
    assert norm.weight.shape == norm.bias.shape == (64,)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("batch", {}, r"norm: expected one of none, bn, .*ilm-ln, found 'batch'"),
        ("ilm-bn", {}, r"norm: expected one of none, .*, found 'ilm-bn'"),
        ("gn", {"num_groups": 5}, r"num_groups: .* 12 channels, found 5"),
        ("gn", {"num_groups": 0}, r"num_groups: .* 12 channels, found 0"),
        ("gn", {"num_groups": 24}, r"num_groups: .* 12 channels, found 24; 12 would fit"),
        ("ilm-gn", {"num_groups": 8}, r"num_groups: .* 12 channels, found 8; 4 would fit"),
        ("ilm-in", {"key_group_size": 16}, r"key_group_size: .* 12 channels, found 16"),
        ("ilm-ln", {"key_group_size": -1}, r"key_group_size: .* 12 channels, found -1"),
        ("ilm-in", {"reduction": 0}, r"reduction: expected at least 1, found 0"),
    ],
)
def test_make_norm_says_which_setting_is_wrong(name, options, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        make_norm(name, 12, NormOptions(**options))


@pytest.mark.usefixtures("unchecked")
def test_unknown_standardization_is_refused():
    with pytest.raises(ValueError, match=r"standardization: .*instance, group, layer.*'batch'"):
        ILMNorm2d(16, "batch")


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"correction": 2}, "^correction: expected 0 or 1, found 2"),
        ({"correction": -1}, "^correction: expected 0 or 1, found -1"),
        ({"eps": -1.0}, "^eps: expected a number of at least 0, found -1.0"),
        ({"eps": math.nan}, "^eps: expected a number of at least 0, found nan"),
    ],
)
def test_arguments_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        ILMNorm2d(16, **options)


@pytest.mark.parametrize("shape", [(2, 16, 4, 4), (16, 4, 4), (2, 64, 4, 4)])
def test_inputs_of_other_channels_are_refused(shape):
    with pytest.raises(ValueError, match=r"^input: expected 32 channels, found (16|64)"):
        ILMNorm2d(32)(torch.rand(shape))


@pytest.mark.parametrize("name", ["none", "bn", "in", "ln"])
def test_group_sizes_do_not_matter_to_norms_without_them(name):
    make_norm(name, 12, NormOptions(num_groups=5, key_group_size=5, reduction=0))


@given(channels=st.integers(1, 6), groups=st.integers(1, 4), side=st.integers(1, 5))
@settings(max_examples=30, deadline=None, derandomize=True)
def test_pooled_moments_are_the_moments_of_the_pooled_values(channels, groups, side):
    x = torch.randn(2, groups * channels, side, side, dtype=torch.float64) + 3
    mean, var = pool_moments(
        x.mean((2, 3)), x.var((2, 3), correction=0), groups, side * side, correction=1
    )
    pooled = x.reshape(2, groups, -1)
    torch.testing.assert_close(mean, pooled.mean(2))
    if math.prod(pooled.shape[2:]) > 1:
        torch.testing.assert_close(var, pooled.var(2))
    else:
        assert (var == 0).all()


@pytest.mark.parametrize("mean", ["tanh", "sigmoid", "relu", "identity"])
@pytest.mark.parametrize("var", ["tanh", "sigmoid", "relu", "identity"])
def test_make_norm_chooses_the_decoders_activations(mean, var):
    functions = {"tanh": torch.tanh, "sigmoid": torch.sigmoid, "relu": torch.relu}
    options = NormOptions(mean_activation=mean, var_activation=var)
    norm = make_norm("ilm-in", 8, options)
    expected = ILMNorm2d(
        8,
        key_group_size=1,
        mean_activation=functions.get(mean, lambda x: x),
        var_activation=functions.get(var, lambda x: x),
    )
    expected.load_state_dict(norm.state_dict())
    x = torch.randn(2, 8, 5, 5) * 3
    assert torch.equal(norm(x), expected(x))


def test_the_auto_encoders_first_weights_can_be_normal():
    norm = make_norm("ilm-in", 512, NormOptions(autoencoder_std=0.02, reduction=1))
    for linear in (norm.encoder, norm.mean_decoder, norm.var_decoder):
        weight = linear.weight.detach()
        assert weight.std().item() == pytest.approx(0.02, rel=0.02)
        assert (weight.abs() > 0.06).double().mean().item() == pytest.approx(0.0027, rel=0.3)


@pytest.mark.parametrize("std", [0.0, -0.02, math.inf, math.nan])
def test_the_auto_encoders_spread_is_positive(std):
    with pytest.raises(ValueError, match="autoencoder_std: expected above 0"):
        make_norm("ilm-in", 8, NormOptions(autoencoder_std=std))


@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu", "identity"])
def test_a_neutral_start_rescales_by_one_where_the_decoders_say_nothing(activation):
    options = NormOptions(neutral_start=True, var_activation=activation)
    norm = make_norm("ilm-in", 8, options)
    nn.init.zeros_(norm.mean_decoder.weight)
    nn.init.zeros_(norm.var_decoder.weight)
    x = torch.randn(2, 8, 6, 6)
    torch.testing.assert_close(norm(x), F.instance_norm(x))
