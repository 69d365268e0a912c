"""Mean and variance of channels, and of groups of channels."""

import torch
from jaxtyping import Float
from torch import Tensor


def channel_moments(
    x: Float[Tensor, "b c h w"],
) -> tuple[Float[Tensor, "b c"], Float[Tensor, "b c"]]:
    """Return mean and biased variance of every channel, in at least float32."""
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    if x.numel() == 0:  # of which var_mean warns
        return wide.sum((2, 3)), wide.sum((2, 3))
    var, mean = torch.var_mean(wide, dim=(2, 3), correction=0)
    return mean, var


def pool_moments(
    mean: Float[Tensor, "b c"],
    var: Float[Tensor, "b c"],
    num_groups: int,
    pixels: int,
    correction: int = 0,
) -> tuple[Float[Tensor, "b g"], Float[Tensor, "b g"]]:
    """Return the moments of groups of consecutive channels from those of the channels.

    By the law of total variance, a group's variance is the mean of its channels' variances plus
    the variance of its channels' means. A single value has variance 0 under either correction.

    Args:
        mean: of each channel's pixels.
        var: their biased variance.
        num_groups: number of groups.
        pixels: pixels of each channel.
        correction: 0 to return the groups' biased variance, 1 for the unbiased one.
    """
    channels = mean.shape[1] // num_groups
    if channels > 1:
        means = mean.unflatten(1, (num_groups, channels))
        mean = means.mean(dim=2)
        between = (means - mean[:, :, None]).square().mean(dim=2)
        var = var.unflatten(1, (num_groups, channels)).mean(dim=2) + between
    return mean, var * bessel_factor(channels * pixels, correction) if correction else var


def pool_moments_backward(
    mean_grad: Float[Tensor, "b g"],
    var_grad: Float[Tensor, "b g"],
    mean: Float[Tensor, "b c"],
    pixels: int,
    correction: int = 0,
) -> tuple[Float[Tensor, "b c"], Float[Tensor, "b c"]]:
    """Return the derivatives of ``pool_moments`` by the channels' moments.

    Args:
        mean_grad: derivative by the groups' means.
        var_grad: derivative by their variances.
        mean: of each channel's pixels.
        pixels: pixels of each channel.
        correction: as ``pool_moments`` was given it.
    """
    num_groups = mean_grad.shape[1]
    channels = mean.shape[1] // num_groups
    if correction:
        var_grad = var_grad * bessel_factor(channels * pixels, correction)
    if channels == 1:
        return mean_grad, var_grad
    means = mean.reshape(-1, num_groups, channels)
    from_center = means - means.mean(dim=2, keepdim=True)
    each = (mean_grad[:, :, None] + 2 * var_grad[:, :, None] * from_center) / channels
    return each.reshape(mean.shape), repeat_to(mean.shape[1], var_grad / channels)


def bessel_factor(count: int, correction: int) -> float:
    """Return Bessel's correction factor n / (n - correction), or n for a single value."""
    return count / max(count - correction, 1)


def repeat_to(num_channels: int, values: Float[Tensor, "b g"]) -> Float[Tensor, "b c"]:
    """Give each of the group's channels the group's value (the arrow of eq. 6)."""
    batch, groups = values.shape
    if groups == num_channels:
        return values
    each = values[:, :, None].expand(batch, groups, num_channels // groups)
    return each.reshape(batch, num_channels)


def sum_groups(values: Float[Tensor, "b c"], num_groups: int) -> Float[Tensor, "b g"]:
    """Return the sums over groups of consecutive channels."""
    if num_groups == values.shape[1]:
        return values
    return values.reshape(-1, num_groups, values.shape[1] // num_groups).sum(dim=2)
