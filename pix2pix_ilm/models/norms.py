"""Instance-level normalisation and its meta version, ILM Norm.

Source: Jia, Chen, Chen, "Instance-Level Meta Normalization", CVPR 2019 (the equation numbers
below are that paper's).
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from pix2pix_ilm.errors import ArgumentError, SettingError
from pix2pix_ilm.models.moments import (
    channel_moments,
    pool_moments,
    repeat_to,
    standardize_and_rescale,
    uses_native_kernels,
)

Standardization = Literal["instance", "group", "layer"]
NormName = Literal["none", "bn", "in", "gn", "ln", "ilm-in", "ilm-gn", "ilm-ln"]
Activation = Callable[[Tensor], Tensor]
ActivationName = Literal["tanh", "sigmoid", "relu", "identity"]

NORM_NAMES: tuple[str, ...] = get_args(NormName)
ACTIVATIONS: dict[str, Activation] = {
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "relu": torch.relu,
    "identity": nn.Identity(),
}
STANDARDIZATION_OF: dict[str, Standardization] = {"in": "instance", "gn": "group", "ln": "layer"}


class ILMNorm2d(nn.Module):
    """Instance-Level Meta Normalization over instance, group or layer standardisation.

    An auto-encoder reads the mean and variance of every key group of consecutive channels, and
    predicts from them, per instance, what is added to the learned rescaling parameters.
    Maps any (B, C, H, W), or one (C, H, W), to the same shape and dtype; statistics and the
    auto-encoder are at least float32. A 1x1 map has no variance under instance standardisation, yet
    its mean reaches the output through the predicted bias.

    Args:
        num_channels: C.
        standardization: what shares a mean and variance: each channel ("instance"), each of
            ``num_groups`` groups of channels ("group"), or all channels ("layer").
        num_groups: number of groups for "group"; must divide C.
        key_group_size: K, channels per key group; must divide C. The paper uses 16 for
            classification and 1 for pix2pix.
        reduction: the embedding has M = max(N // reduction, 2) entries for N = C / K key groups.
            The paper does not state M; 16 reproduces every cell of its Table 8.
        eps: added to the variance in eq. (1).
        correction: 0 for the paper's biased variance, 1 for the unbiased one of the authors'
            released code (in both the standardisation and the key features).
        mean_activation: bounds D_mu; the paper's is tanh (its Table 7 compares others).
        var_activation: bounds D_gamma; the paper's is sigmoid.

    Raises:
        ValueError: if a group size does not divide C, or an argument is out of range.
    """

    def __init__(
        self,
        num_channels: int,
        standardization: Standardization = "instance",
        num_groups: int = 32,
        key_group_size: int = 16,
        reduction: int = 16,
        eps: float = 1e-5,
        correction: int = 0,
        mean_activation: Activation = torch.tanh,
        var_activation: Activation = torch.sigmoid,
    ) -> None:
        super().__init__()
        if standardization not in STANDARDIZATION_OF.values():
            allowed = f"one of {', '.join(STANDARDIZATION_OF.values())}"
            raise ArgumentError("standardization", allowed, standardization)
        if reduction < 1:
            raise ArgumentError("reduction", "at least 1", reduction)
        check_divides("key_group_size", key_group_size, num_channels)
        self.num_channels = num_channels
        self.standardization = standardization
        self.num_groups = group_count(standardization, num_channels, num_groups)
        self.key_group_size = key_group_size
        self.eps = eps
        self.correction = correction
        self.mean_activation = mean_activation
        self.var_activation = var_activation

        num_keys = num_channels // key_group_size  # N
        embedding = max(num_keys // reduction, 2)  # M
        self.weight = nn.Parameter(torch.ones(num_channels))  # B_omega
        self.bias = nn.Parameter(torch.zeros(num_channels))  # B_beta
        self.encoder = nn.Linear(num_keys, embedding, bias=False)  # W1, shared by mean and variance
        self.mean_decoder = nn.Linear(embedding, num_keys, bias=False)  # W2
        self.var_decoder = nn.Linear(embedding, num_keys, bias=False)  # W3

    def forward(self, input: Float[Tensor, "*b c h w"]) -> Float[Tensor, "*b c h w"]:
        if input.dim() == 3:
            return self(input[None])[0]
        # Tensors without storage have no autocast of their own to switch off.
        with torch.autocast("cpu" if input.is_meta else input.device.type, enabled=False):
            moments = channel_moments(input)
            num_keys = self.num_channels // self.key_group_size
            pixels = input.shape[2] * input.shape[3]
            keys = pool_moments(*moments, num_keys, pixels, self.correction)
            omega, beta = self.rescaling(*keys)
            return standardize_and_rescale(
                input,
                moments,
                self.num_groups,
                omega,
                beta,
                eps=self.eps,
                correction=self.correction,
            )

    def rescaling(
        self, key_mean: Float[Tensor, "b n"], key_var: Float[Tensor, "b n"]
    ) -> tuple[Float[Tensor, "b c"], Float[Tensor, "b c"]]:
        """The rescaling parameters (omega, beta) of each instance from its key features."""
        # A variance may exceed float16's largest number, 65504.
        dtype = torch.promote_types(key_mean.dtype, self.encoder.weight.dtype)
        encoder, mean_decoder, var_decoder = (
            linear.weight.to(dtype)
            for linear in (self.encoder, self.mean_decoder, self.var_decoder)
        )
        keys = torch.stack((key_mean, key_var)).to(dtype)
        mean_embedding, var_embedding = torch.relu(F.linear(keys, encoder))  # eq. (4)
        mean_decoded = self.mean_activation(F.linear(mean_embedding, mean_decoder))  # eq. (5)
        var_decoded = self.var_activation(F.linear(var_embedding, var_decoder))
        omega = repeat_to(self.num_channels, var_decoded) + self.weight  # eq. (6)
        beta = repeat_to(self.num_channels, mean_decoded) + self.bias
        return omega, beta

    def extra_repr(self) -> str:
        return (
            f"{self.num_channels}, standardization={self.standardization!r}, "
            f"num_groups={self.num_groups}, key_group_size={self.key_group_size}, eps={self.eps}"
        )


class GroupNorm(nn.GroupNorm):
    """``nn.GroupNorm`` that is as exact, on a CPU, for channels_last maps as for any others."""

    def forward(self, input: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        if uses_native_kernels(input):
            return super().forward(input.flatten(2)).view(input.shape)
        return super().forward(input)


@dataclass(frozen=True, kw_only=True)
class NormOptions:
    """What a normalisation layer needs beside its name and its channels."""

    num_groups: int = 32
    """Groups of gn and ilm-gn; must divide the channels of every normalised layer."""
    key_group_size: int = 1
    """Channels per key group of the ILM norms (K); 1 is the ILM paper's choice for pix2pix."""
    reduction: int = 16
    """Key groups per entry of the ILM norms' embedding (M = max(N / reduction, 2))."""
    mean_activation: ActivationName = "tanh"
    """What bounds the ILM norms' part of the bias; the paper's Table 7 compares others."""
    var_activation: ActivationName = "sigmoid"
    """What bounds the ILM norms' part of the weight; likewise."""
    affine: bool = True
    """Whether bn, in, gn and ln learn a weight and a bias; the ILM norms always do."""


def make_norm(name: NormName, num_channels: int, options: NormOptions | None = None) -> nn.Module:
    """Build a normalisation layer by its short name.

    Instance and layer normalisation are the limits of group normalisation (as many groups as
    channels, and one), so all three are ``GroupNorm``, whose native kernel is the fastest.

    Args:
        name: none, bn, in, gn, ln, or ilm-in, ilm-gn, ilm-ln for their ILM versions.
        num_channels: channels of the maps to normalise.
        options: group sizes and the like; the defaults of ``NormOptions`` without it.

    Raises:
        ValueError: unknown name, or a group size that does not divide the channels.
    """
    options = options or NormOptions()
    if name == "none":
        return nn.Identity()
    if name == "bn":
        return nn.BatchNorm2d(num_channels, affine=options.affine)
    standardization = STANDARDIZATION_OF.get(name.removeprefix("ilm-"))
    if standardization is None:
        raise ArgumentError("norm", f"one of {', '.join(NORM_NAMES)}", name)
    if name.startswith("ilm-"):
        return ILMNorm2d(
            num_channels,
            standardization,
            options.num_groups,
            options.key_group_size,
            options.reduction,
            mean_activation=ACTIVATIONS[options.mean_activation],
            var_activation=ACTIVATIONS[options.var_activation],
        )
    groups = group_count(standardization, num_channels, options.num_groups)
    return GroupNorm(groups, num_channels, affine=options.affine)


def group_count(standardization: Standardization, num_channels: int, num_groups: int) -> int:
    """How many groups of channels share statistics; ValueError where they do not come out even."""
    if standardization == "group":
        check_divides("num_groups", num_groups, num_channels)
        return num_groups
    return num_channels if standardization == "instance" else 1


def check_divides(name: str, size: int, num_channels: int) -> None:
    """Reject a group count or size that does not divide the channels, under the name it has."""
    if size < 1 or num_channels % size:
        nearest = math.gcd(max(size, 1), num_channels)
        expected = f"a divisor of the layer's {num_channels} channels"
        raise ArgumentError(name, expected, size, f"{nearest} would fit")


def check_norm(network: str, name: NormName, options: NormOptions, widths: Iterable[int]) -> None:
    """Build each layer once without memory, so that a bad setting is refused under its own path.

    Raises:
        SettingError: e.g. of ``generator.norm_options.key_group_size``.
    """
    for width in sorted(set(widths)):
        try:
            with torch.device("meta"):
                make_norm(name, width, options)
        except ArgumentError as error:
            group = network if error.path == "norm" else f"{network}.norm_options"
            path = f"{group}.{error.path}"
            raise SettingError(path, error.expected, error.found, error.advice) from None
