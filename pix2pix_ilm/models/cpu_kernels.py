"""Tricks that make the networks fast on a CPU; all else is in norms.py, generator.py and PyTorch.

Each computes what a plain form computes, and a test holds it to that. Three facts are behind them:

- PyTorch's native group norm reads its input several times faster than ``torch.var_mean`` and
  elementwise operations do. And ILM's auto-encoder is two dozen operations of a few numbers, which
  cost less to differentiate by hand than to record for autograd. A training step takes 1.05 to 1.11
  times as long with instance norm written out, and 1.03 to 1.05 times with ILM Norm written out.
- Deep inside a U-Net, maps of a few pixels meet the largest weights. There, oneDNN spends most of a
  training step rearranging weights into its own layout and their gradients back. As a matrix
  product of windows and weights, the same sums need no other layout. A step takes 1.05 (32 filters)
  to 1.14 times (64 filters) as long without.
- A map doubled by the nearest pixel holds every value four times, and a 3x3 convolution multiplies
  each of them nine times where four sums of weights would do. Forward and backward, a generator of
  ``resize`` takes 1.9 times as long without, and a photo 1.8 times (256x256, 32 filters).

The figures are of one thread of a Zen 3 EPYC; docs/performance.md has more.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd import forward_ad

from pix2pix_ilm.models.moments import (
    bessel_factor,
    pool_moments_backward,
    sum_groups,
)

FEW = 64
"""Pixels of a batch's maps, up to which they are multiplied, not convolved (measured)."""
MANY = 200
"""Pixels of a batch's maps, from which a resize convolution is worth a kernel of its own."""


def has_ilm_norm(x: Float[Tensor, "b c h w"], activations: tuple[object, object]) -> bool:
    """Return True if ``ILMNorm`` serves these maps and activations, as it does on a CPU.

    While compiling or exporting, the plain form is the better one: the compiler fuses it. It also
    serves function transforms and forward differentiation, which look into operations.
    """
    if torch.compiler.is_compiling() or x.device.type != "cpu" or x.numel() == 0:
        return False
    if torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0:
        return False
    known = list(DERIVATIVES)  # an activation need not have a hash
    return all(activation in known for activation in activations)


class ILMNorm(torch.autograd.Function):
    """ILM Norm as a single node of the graph, for maps (B, C, H, W) on a CPU.

    The native group norm gives the channels' moments, then equations (1) and (2) and their
    derivatives; what is between are small products. To the kernel, the channels of all instances
    stand side by side, so that each has its own omega and beta. It divides by the biased deviation;
    what unbiases it, a factor, goes into eps and omega.

    Where derivatives are themselves to be differentiated, the layer's plain form gives them.
    """

    @staticmethod
    def forward(ctx, x, b_omega, b_beta, w1, w2, w3, layer) -> Tensor:  # noqa: ANN001
        batch, channels, height, width = x.shape
        pixels = height * width
        rows = x.reshape(1, batch * channels, pixels)
        mean, var = row_moments(rows)
        mean, var = mean.view(batch, channels), var.view(batch, channels)
        omega, beta, *encoded = layer.rescaling(
            mean, var, b_omega, b_beta, w1, w2, w3, pixels=pixels
        )
        bessel = bessel_factor(channels // layer.num_groups * pixels, layer.correction)
        omega, beta = omega.flatten().to(mean.dtype), beta.flatten().to(mean.dtype)
        if bessel != 1:
            omega = omega / math.sqrt(bessel)
        sizes = 1, batch * channels, pixels, batch * layer.num_groups
        y, *moments = torch.native_group_norm(rows, omega, beta, *sizes, layer.eps / bessel)
        ctx.layer, ctx.sizes, ctx.bessel = layer, sizes, bessel
        ctx.save_for_backward(x, b_omega, b_beta, w1, w2, w3, *moments, omega, mean, *encoded)
        return torch.ops.aten._unsafe_view(y, x.shape)  # a view could not be written into

    @staticmethod
    def backward(ctx, *grad_outputs) -> tuple[Tensor | None, ...]:  # noqa: ANN001, ANN002
        (dy,) = grad_outputs
        layer, (_, instances, pixels, _) = ctx.layer, ctx.sizes
        saved = ctx.saved_tensors  # to be read once: activation checkpointing gives them once
        x, *weights = saved[:6]
        if torch.is_grad_enabled():
            derivatives = torch.func.vjp(layer.plain, x, *weights)[1]
            return *derivatives(dy), None
        *moments, omega, mean, keys, embedded, d_mu, d_gamma = saved[6:]
        _, _, w1, w2, w3 = (weight.to(keys.dtype) for weight in weights)

        # Through equations (2) and (1), to the maps and their rescaling.
        rows = x.reshape(1, instances, pixels)
        x_grad, omega_grad, beta_grad = torch.ops.aten.native_group_norm_backward(
            dy.reshape(rows.shape), rows, *moments, omega, *ctx.sizes, [True, True, True]
        )
        omega_grad, beta_grad = omega_grad.view(mean.shape), beta_grad.view(mean.shape)
        if ctx.bessel != 1:
            omega_grad = omega_grad / math.sqrt(ctx.bessel)

        # Through equations (6) to (3), the auto-encoder, to the channels' moments.
        num_keys = d_mu.shape[1]
        to_mu, to_gamma = sum_groups(beta_grad, num_keys), sum_groups(omega_grad, num_keys)
        z_mu = DERIVATIVES[layer.mean_activation](to_mu.to(d_mu), d_mu)
        z_gamma = DERIVATIVES[layer.var_activation](to_gamma.to(d_mu), d_gamma)
        h = relu_backward(torch.stack((z_mu @ w2, z_gamma @ w3)), embedded)
        h = h.reshape(-1, h.shape[2])  # (flatten has no rule for batches of gradients)
        mu_grad, gamma_grad = (h @ w1).view(keys.shape)
        mean_grad, var_grad = pool_moments_backward(
            mu_grad, gamma_grad, mean, pixels, layer.correction
        )

        # To the maps: d mean / dx = 1 / n and d var / dx = 2 (x - mean) / n for n pixels.
        slope = var_grad * (2 / pixels)
        offset = torch.addcmul(mean_grad / pixels, slope, mean, value=-1)
        wide = rows.to(offset.dtype)
        x_grad = torch.addcmul(x_grad.to(wide), wide, slope.view(1, instances, 1))
        x_grad += offset.view(1, instances, 1)
        return (
            x_grad.to(x.dtype).view(x.shape),
            omega_grad.sum(0),
            beta_grad.sum(0),
            h.t() @ keys.reshape(-1, num_keys),
            z_mu.t() @ embedded[0],
            z_gamma.t() @ embedded[1],
            None,
        )


def relu_backward(grad: Tensor, y: Tensor) -> Tensor:
    """Return the derivative by a ReLU's input, given its output."""
    return torch.ops.aten.threshold_backward(grad, y, 0)


DERIVATIVES: dict[object, Callable[[Tensor, Tensor], Tensor]] = {
    torch.tanh: torch.ops.aten.tanh_backward,
    torch.sigmoid: torch.ops.aten.sigmoid_backward,
    torch.relu: relu_backward,
}
"""Activation -> derivative by its input, from that by its output, and its output."""


def row_moments(
    rows: Float[Tensor, "1 c p"],
) -> tuple[Float[Tensor, "1 c"], Float[Tensor, "1 c"]]:
    """Return mean and biased variance of every row of pixels, in at least float32."""
    _, channels, pixels = rows.shape
    dtype = torch.promote_types(rows.dtype, torch.float32)
    # The kernel's moments have the type of its weight.
    weight = None if rows.dtype == dtype else rows.new_ones(channels, dtype=dtype)
    _, mean, inverse_deviation = torch.native_group_norm(
        rows, weight, None, 1, channels, pixels, channels, 0.0
    )
    return mean, inverse_deviation.pow(-2)


class GroupNorm(nn.GroupNorm):
    """``nn.GroupNorm`` that is as exact, on a CPU, for channels_last maps as for any others."""

    def forward(self, input: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        if input.device.type != "cpu" or torch.compiler.is_compiling():
            return super().forward(input)
        return super().forward(as_rows(input)).view(input.shape)


def as_rows(x: Float[Tensor, "b c h w"]) -> Tensor:
    """Return maps as the native group norm takes the variance well: as rows, (b, c, h * w).

    Its other version, for channels_last maps, takes E[x^2] - E[x]^2, and loses the variance of
    large flat maps. The few pixels that a product leaves as channels_last in training stay as they
    are: they lose about 1e-7 (mean / deviation)^2 of it, and runs of version 0.1 with IN resume to
    the bit.
    """
    return x if is_small(x) else x.flatten(2)


class DownConv(nn.Conv2d):
    """A 4x4 convolution of stride 2 and padding 1: maps (B, C, H, W) to (B, C2, H/2, W/2)."""

    def __init__(self, in_channels: int, out_channels: int, *, bias: bool = True) -> None:
        super().__init__(in_channels, out_channels, 4, 2, 1, bias=bias)

    def forward(self, input: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h2 w2"]:
        batch, _, height, width = input.shape
        halved = (height // 2, width // 2)
        if not prefers_matmul(input, batch * halved[0] * halved[1]):
            return super().forward(input)
        windows = F.unfold(input, 4, padding=1, stride=2).transpose(1, 2)
        convolved = F.linear(windows, self.weight.flatten(1), self.bias)
        return convolved.transpose(1, 2).unflatten(2, halved)


class UpConv(nn.ConvTranspose2d):
    """A transposed 4x4 convolution of stride 2: maps (B, C, H, W) to (B, C2, 2H, 2W)."""

    def __init__(self, in_channels: int, out_channels: int, *, bias: bool = True) -> None:
        super().__init__(in_channels, out_channels, 4, 2, 1, bias=bias)

    def forward(
        self, input: Float[Tensor, "b c h w"], output_size: list[int] | None = None
    ) -> Float[Tensor, "b c2 h2 w2"]:
        batch, _, height, width = input.shape
        if output_size or not prefers_matmul(input, batch * height * width):
            return super().forward(input, output_size)
        windows = F.linear(input.flatten(2).transpose(1, 2), self.weight.flatten(1).t())
        doubled = F.fold(windows.transpose(1, 2), (2 * height, 2 * width), 4, padding=1, stride=2)
        return doubled if self.bias is None else doubled + self.bias[:, None, None].to(doubled)


class ResizeConv(nn.Conv2d):
    """Double a map by the nearest pixel, then convolve it: (B, C, H, W) to (B, C2, 2H, 2W).

    A transposed convolution whose kernel is this one's 3x3 spread by 2x2 gives the same sums with
    less than half as many products; making that kernel pays where maps are large beside it.

    Source: Odena, Dumoulin, Olah, "Deconvolution and Checkerboard Artifacts", Distill 2016.
    """

    def __init__(self, in_channels: int, out_channels: int, *, bias: bool = True) -> None:
        super().__init__(in_channels, out_channels, 3, padding=1, bias=bias)

    def forward(self, input: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h2 w2"]:
        if not (torch.compiler.is_exporting() or composes(input)):
            return super().forward(F.interpolate(input, scale_factor=2, mode="nearest"))
        # In float32 at least: ONNX Runtime cannot multiply float16 on a CPU.
        dtype = torch.promote_types(self.weight.dtype, torch.float32)
        turned = self.weight.to(dtype).transpose(0, 1).flatten(2).flip(2)
        spread = torch.eye(3, 4) + torch.eye(4)[1:]
        kernel = (turned @ torch.kron(spread, spread).to(turned)).to(self.weight.dtype)
        return F.conv_transpose2d(input, kernel.unflatten(2, (4, 4)), self.bias, 2, 1)


def composes(x: Float[Tensor, "b c h w"]) -> bool:
    """Return True if a kernel of its own pays for these maps; an exported network always has it."""
    return x.device.type == "cpu" and not torch.compiler.is_compiling() and pixels(x) >= MANY


def is_small(x: Float[Tensor, "b c h w"]) -> bool:
    """Return True for maps of so few pixels that the layer before may have multiplied them."""
    return prefers_matmul(x, pixels(x))


def pixels(x: Tensor) -> int:
    """Count the pixels of a batch's maps."""
    return x.shape[0] * x.shape[2] * x.shape[3]


def prefers_matmul(x: Tensor, windows: int) -> bool:
    """Return True if so many windows are better multiplied; the gain is in the gradients."""
    training = torch.is_grad_enabled() and not torch.compiler.is_compiling()
    return training and x.device.type == "cpu" and windows <= FEW
