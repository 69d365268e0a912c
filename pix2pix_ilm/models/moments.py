"""Means and variances of channels and of their groups, and the standardisation made with them.

On a CPU, PyTorch's native group norm reads its input several times faster than ``torch.var_mean``
and than elementwise operations do, so it serves for both there; while compiling or exporting, and
on other devices, the same arithmetic is written out. The kernel is always given maps as rows,
(B, C, H * W): its other version, for channels_last maps, takes the variance as E[x^2] - E[x]^2,
and loses it where the mean is large beside the deviation, as on flat maps.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

TINY = 1e-20
"""Added to variances: far below all that matter, and constant maps still have finite gradients."""


def channel_moments(
    x: Float[Tensor, "b c h w"],
) -> tuple[Float[Tensor, "b c"], Float[Tensor, "b c"]]:
    """Mean and biased variance of every channel, in at least float32."""
    dtype = precise_dtype(x)
    if uses_native_kernels(x):
        batch, channels, height, width = x.shape
        # The kernel's moments have the type of its weight.
        weight = None if x.dtype == dtype else x.new_ones(channels, dtype=dtype)
        _, mean, inverse_deviation = torch.native_group_norm(
            x.flatten(2), weight, None, batch, channels, height * width, channels, TINY
        )
        return mean, inverse_deviation.pow(-2)
    var, mean = torch.var_mean(x.to(dtype), dim=(2, 3), correction=0)
    return mean, var


def pool_moments(
    mean: Float[Tensor, "b c"],
    var: Float[Tensor, "b c"],
    num_groups: int,
    pixels: int,
    correction: int = 0,
) -> tuple[Float[Tensor, "b g"], Float[Tensor, "b g"]]:
    """Moments of groups of consecutive channels from those of the channels (eq. 3).

    By the law of total variance, a group's variance is the mean of its channels' variances plus
    the variance of its channels' means. A single value has variance 0 under either correction.
    """
    channels = mean.shape[1] // num_groups
    if channels > 1:
        means = mean.unflatten(1, (num_groups, channels))
        mean = means.mean(dim=2)
        between = (means - mean[:, :, None]).square().mean(dim=2)
        var = var.unflatten(1, (num_groups, channels)).mean(dim=2) + between
    return mean, var * unbiasing(channels * pixels, correction) if correction else var


def standardize_and_rescale(
    x: Float[Tensor, "b c h w"],
    moments: tuple[Float[Tensor, "b c"], Float[Tensor, "b c"]],
    num_groups: int,
    omega: Float[Tensor, "b c"],
    beta: Float[Tensor, "b c"],
    *,
    eps: float,
    correction: int,
) -> Float[Tensor, "b c h w"]:
    """Equations (1) and (2) in one pass: omega * (x - mean) / sqrt(var + eps) + beta.

    ``moments`` are those of x's channels, biased; mean and variance are the groups'.
    """
    batch, channels, height, width = x.shape
    if uses_native_kernels(x) and batch:
        # Each instance has its own weights: to the kernel, their channels stand side by side.
        # It divides by the biased deviation, so what unbiases it goes into eps and omega.
        factor = unbiasing(channels // num_groups * height * width, correction)
        weight = (omega / math.sqrt(factor) if correction else omega).flatten()
        dtype = precise_dtype(x)
        rescaled = torch.group_norm(
            x.reshape(1, batch * channels, height * width),
            batch * num_groups,
            weight.to(dtype),
            beta.flatten().to(dtype),
            eps / factor,
        )
        return rescaled.view(x.shape)
    mean, var = pool_moments(*moments, num_groups, height * width, correction)
    scale = omega * repeat_to(channels, (var + eps).rsqrt())
    shift = beta - repeat_to(channels, mean) * scale
    rescaled = torch.addcmul(shift[:, :, None, None], x.to(scale.dtype), scale[:, :, None, None])
    return rescaled.to(x.dtype)


def uses_native_kernels(x: Tensor) -> bool:
    """Whether PyTorch's native group norm is what to compute with."""
    return x.device.type == "cpu" and not torch.compiler.is_compiling()


def precise_dtype(x: Tensor) -> torch.dtype:
    """The tensor's type, or float32 where that holds more."""
    return torch.promote_types(x.dtype, torch.float32)


def unbiasing(count: int, correction: int) -> float:
    """What makes the biased variance of so many values one that divides by count - correction."""
    return count / max(count - correction, 1)


def repeat_to(num_channels: int, values: Float[Tensor, "b g"]) -> Float[Tensor, "b c"]:
    """Give each of the group's channels the group's value (the arrow of eq. 6)."""
    batch, groups = values.shape
    if groups == num_channels:
        return values
    return values[:, :, None].expand(batch, groups, num_channels // groups).flatten(1)
