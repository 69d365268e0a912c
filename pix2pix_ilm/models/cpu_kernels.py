"""Tricks that make the networks fast on a CPU; all else is in norms.py, generator.py and PyTorch.

Each computes what a plain form computes, and a test holds it to that. Three facts are behind them:

- PyTorch's native group norm reads its input several times faster than ``torch.var_mean`` and
  elementwise operations do. A training step takes 1.05 to 1.11 times as long with instance norm
  written out, and 1.02 to 1.06 times with ILM's moments and rescaling written out.
- Deep inside a U-Net, maps of a few pixels meet the largest weights. There, oneDNN spends most of a
  training step rearranging weights into its own layout and their gradients back. As a matrix
  product of windows and weights, the same sums need no other layout. A step takes 1.05 (32 filters)
  to 1.14 times (64 filters) as long without.
- A map doubled by the nearest pixel holds every value four times, and a 3x3 convolution multiplies
  each of them nine times where four sums of weights would do. Forward and backward, a generator of
  ``resize`` takes 1.9 times as long without, and a photo 1.8 times (256x256, 32 filters).

The figures are of one thread of a Zen 3 EPYC; docs/performance.md has the commands.
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

FEW = 64
"""Pixels of a batch's maps, up to which they are multiplied, not convolved (measured)."""
MANY = 200
"""Pixels of a batch's maps, from which a resize convolution is worth a kernel of its own."""


def has_kernels(x: Float[Tensor, "b c h w"]) -> bool:
    """Return True if the native group norm serves these maps, as it does on a CPU.

    While compiling or exporting, the plain form is the better one: the compiler fuses it.
    """
    if x.device.type != "cpu" or torch.compiler.is_compiling():
        return False
    # Several maps that a product left as channels_last would have to be copied first.
    return x.shape[0] == 1 or x.is_contiguous() or not is_small(x)


def channel_moments(
    x: Float[Tensor, "b c h w"],
) -> tuple[Float[Tensor, "b c"], Float[Tensor, "b c"]]:
    """Return mean and biased variance of every channel, in at least float32."""
    return NativeMoments.apply(x)


class NativeMoments(torch.autograd.Function):
    """Moments out of the native group norm, with the derivatives that it has for its output only.

    As d mean / dx = 1 / n and d var / dx = 2 (x - mean) / n for n pixels.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Float[Tensor, "b c h w"]) -> tuple[Tensor, Tensor]:
        batch, channels, height, width = x.shape
        dtype = torch.promote_types(x.dtype, torch.float32)
        # The kernel's moments have the type of its weight.
        weight = None if x.dtype == dtype else x.new_ones(channels, dtype=dtype)
        _, mean, inverse_deviation = torch.native_group_norm(
            as_rows(x), weight, None, batch, channels, height * width, channels, 0.0
        )
        return mean, inverse_deviation.pow(-2)

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:  # noqa: ANN001 (as PyTorch calls it)
        ctx.save_for_backward(*inputs, output[0])
        ctx.save_for_forward(*inputs, output[0])

    @staticmethod
    def backward(ctx, *grad_outputs: Tensor) -> Tensor:  # noqa: ANN001
        mean_grad, var_grad = grad_outputs
        x, mean = ctx.saved_tensors
        pixels = x.shape[2] * x.shape[3]
        slope = var_grad * (2 / pixels)
        offset = mean_grad / pixels - slope * mean
        wide = x.to(slope.dtype)
        return torch.addcmul(offset[:, :, None, None], wide, slope[:, :, None, None]).to(x.dtype)

    @staticmethod
    def jvp(ctx, *grad_inputs: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ANN001
        x, mean = ctx.saved_tensors
        tangent = grad_inputs[0].to(mean.dtype)
        slope = 2 * (x - mean[:, :, None, None])
        return tangent.mean((2, 3)), (slope * tangent).mean((2, 3))


def standardize_and_rescale(
    x: Float[Tensor, "b c h w"],
    num_groups: int,
    omega: Float[Tensor, "b c"],
    beta: Float[Tensor, "b c"],
    *,
    eps: float,
    bessel: float,
) -> Float[Tensor, "b c h w"]:
    """Return equations (1) and (2) out of one kernel, with weights of each instance's own.

    To the kernel, the channels of all instances stand side by side. It divides by the biased
    deviation, so what unbiases it, the factor ``bessel``, goes into eps and omega.
    """
    batch, channels, height, width = x.shape
    dtype = torch.promote_types(x.dtype, torch.float32)
    rescaled = torch.group_norm(
        as_rows(x) if batch == 1 else x.reshape(1, batch * channels, height * width),
        batch * num_groups,
        (omega / math.sqrt(bessel)).flatten().to(dtype),
        beta.flatten().to(dtype),
        eps / bessel,
    )
    return rescaled.view(x.shape)


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
    are: they lose about 1e-7 (mean / deviation)^2 of it, and runs of version 0.1 resume to the bit.
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
        if input.device.type != "cpu" or torch.compiler.is_compiling() or pixels(input) < MANY:
            return super().forward(F.interpolate(input, scale_factor=2, mode="nearest"))
        turned = self.weight.transpose(0, 1).flatten(2).flip(2)
        spread = torch.eye(3, 4) + torch.eye(4)[1:]
        kernel = turned @ torch.kron(spread, spread).to(turned)
        return F.conv_transpose2d(input, kernel.unflatten(2, (4, 4)), self.bias, 2, 1)


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
