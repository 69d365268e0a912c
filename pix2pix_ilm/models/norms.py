"""Instance-level normalization and its meta version, ILM Norm.

Source: Jia, Chen, Chen, "Instance-Level Meta Normalization", CVPR 2019 (the equation numbers
below are that paper's).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from pix2pix_ilm.errors import ArgumentError
from pix2pix_ilm.models import cpu_kernels
from pix2pix_ilm.models.cpu_kernels import GroupNorm
from pix2pix_ilm.models.moments import channel_moments, pool_moments, repeat_to

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
    """Instance-Level Meta Normalization (ILM Norm) over instance, group or layer standardization.

    An auto-encoder reads the mean and variance of every key group of consecutive channels, and
    predicts from them, per instance, what is added to the learned rescaling parameters::

        x_hat = (x - mean) / sqrt(var + eps)                       (1)
        y = omega * x_hat + beta                                   (2)
        mu, gamma = mean, var of each key group of K channels      (3)
        e_mu = ReLU(W1 mu),        e_gamma = ReLU(W1 gamma)        (4)
        D_mu = tanh(W2 e_mu),      D_gamma = sigmoid(W3 e_gamma)   (5)
        beta = up(D_mu) + B_beta,  omega = up(D_gamma) + B_omega   (6)

    ``up`` gives each of a key group's channels the group's value. Maps any (B, C, H, W), or one
    (C, H, W), to the same shape and dtype; statistics and the auto-encoder are at least float32. A
    1x1 map has no variance under instance standardization, yet its mean reaches the output through
    the predicted bias.

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
            released code (in both the standardization and the key features).
        mean_activation: bounds D_mu; the paper's is tanh (its Table 7 compares others).
        var_activation: bounds D_gamma; the paper's is sigmoid.

    Raises:
        ValueError: if a group size does not divide C, an argument is out of range, or an input has
            another number of channels.
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
        if correction not in (0, 1):
            raise ArgumentError("correction", "0 or 1", correction)
        if not 0 <= eps < math.inf:
            raise ArgumentError("eps", "a number of at least 0", eps)
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
            return self.normalize(input[None])[0]
        return self.normalize(input)

    def normalize(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Return the normalized maps, by a kernel of their own where there is one."""
        if x.shape[1] != self.num_channels:
            raise ArgumentError("input", f"{self.num_channels} channels", x.shape[1])
        # Tensors without storage have no autocast of their own to switch off.
        device = "cpu" if x.is_meta else x.device.type
        if torch.is_autocast_enabled(device):
            with torch.autocast(device, enabled=False):
                return self.normalize(x)
        activations = self.mean_activation, self.var_activation
        if cpu_kernels.has_ilm_norm(x, activations):
            return cpu_kernels.ILMNorm.apply(x, *self.weights, self)
        return self.plain(x, *self.weights)

    @property
    def weights(self) -> tuple[Tensor, ...]:
        """Return B_omega, B_beta, W1, W2, W3."""
        linears = (self.encoder, self.mean_decoder, self.var_decoder)
        return self.weight, self.bias, *(linear.weight for linear in linears)

    def plain(self, x: Float[Tensor, "b c h w"], *weights: Tensor) -> Float[Tensor, "b c h w"]:
        """Return the normalized maps by PyTorch's operations alone, given the layer's weights."""
        pixels = x.shape[2] * x.shape[3]
        mean, var = channel_moments(x)
        rescaling = self.rescaling(mean, var, *weights, pixels=pixels)
        mean, var = pool_moments(mean, var, self.num_groups, pixels, self.correction)
        scale = rescaling.omega * repeat_to(self.num_channels, (var + self.eps).rsqrt())  # eq. (1)
        shift = rescaling.beta - repeat_to(self.num_channels, mean) * scale  # eq. (2)
        normalized = torch.addcmul(
            shift[..., None, None], x.to(scale.dtype), scale[..., None, None]
        )
        return normalized.to(x.dtype)

    def rescaling(
        self,
        mean: Float[Tensor, "b c"],
        var: Float[Tensor, "b c"],
        b_omega: Float[Tensor, " c"],
        b_beta: Float[Tensor, " c"],
        w1: Float[Tensor, "m n"],
        w2: Float[Tensor, "n m"],
        w3: Float[Tensor, "n m"],
        *,
        pixels: int,
    ) -> "Rescaling":
        """Return each instance's omega and beta from the biased moments of its channels' pixels."""
        num_keys = self.num_channels // self.key_group_size
        mu, gamma = pool_moments(mean, var, num_keys, pixels, self.correction)  # eq. (3)
        # A variance may exceed float16's largest number, 65504.
        dtype = torch.promote_types(mu.dtype, w1.dtype)
        keys = torch.stack((mu, gamma)).to(dtype)
        embedded = torch.relu(F.linear(keys, w1.to(dtype)))  # eq. (4)
        d_mu = self.mean_activation(F.linear(embedded[0], w2.to(dtype)))  # eq. (5)
        d_gamma = self.var_activation(F.linear(embedded[1], w3.to(dtype)))
        omega = repeat_to(self.num_channels, d_gamma) + b_omega  # eq. (6)
        beta = repeat_to(self.num_channels, d_mu) + b_beta
        return Rescaling(omega, beta, keys, embedded, d_mu, d_gamma)

    def extra_repr(self) -> str:
        return (
            f"{self.num_channels}, standardization={self.standardization!r}, "
            f"num_groups={self.num_groups}, key_group_size={self.key_group_size}, eps={self.eps}"
        )


class Rescaling(NamedTuple):
    """Rescaling that an ILM layer's auto-encoder predicts, and the steps that lead to it."""

    omega: Float[Tensor, "b c"]
    beta: Float[Tensor, "b c"]
    keys: Float[Tensor, "2 b n"]
    """mu and gamma, eq. (3)."""
    embedded: Float[Tensor, "2 b m"]
    """e_mu and e_gamma, eq. (4)."""
    d_mu: Float[Tensor, "b n"]
    """Predicted bias of the key groups, eq. (5)."""
    d_gamma: Float[Tensor, "b n"]
    """Predicted weight of the key groups, eq. (5)."""


@dataclass(frozen=True, kw_only=True)
class NormOptions:
    """Options of a normalization layer, beside its name and its channels."""

    num_groups: int = 32
    """Groups of gn and ilm-gn; must divide the channels of every normalized layer."""
    key_group_size: int = 1
    """Channels per key group of the ILM norms (K); 1 is the ILM paper's choice for pix2pix."""
    reduction: int = 16
    """Key groups per entry of the ILM norms' embedding (M = max(N / reduction, 2))."""
    mean_activation: ActivationName = "tanh"
    """Bound of the ILM norms' part of the bias; the paper's Table 7 compares others."""
    var_activation: ActivationName = "sigmoid"
    """Bound of the ILM norms' part of the weight; likewise."""
    affine: bool = True
    """Let bn, in, gn and ln learn a weight and a bias, as the ILM norms always do."""
    neutral_start: bool = False
    """Let the ILM norms' omega start at 1, as Instance Norm's does, not at 1.5."""
    autoencoder_std: float | None = None
    """Standard deviation of the ILM norms' first W1 to W3, if normal; unset: PyTorch's uniform."""


def make_norm(name: NormName, num_channels: int, options: NormOptions | None = None) -> nn.Module:
    """Build a normalization layer by its short name.

    Instance and layer normalization are the limits of group normalization (as many groups as
    channels, and one), so all three are ``GroupNorm``, whose native kernel is the fastest.

    Args:
        name: none, bn, in, gn, ln, or ilm-in, ilm-gn, ilm-ln for their ILM versions.
        num_channels: channels of the maps to normalize.
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
        norm = ILMNorm2d(
            num_channels,
            standardization,
            options.num_groups,
            options.key_group_size,
            options.reduction,
            mean_activation=ACTIVATIONS[options.mean_activation],
            var_activation=ACTIVATIONS[options.var_activation],
        )
        set_start(norm, options)
        return norm
    groups = group_count(standardization, num_channels, options.num_groups)
    return GroupNorm(groups, num_channels, affine=options.affine)


def set_start(norm: ILMNorm2d, options: NormOptions) -> None:
    """Draw or set a new layer's first weights."""
    if options.autoencoder_std is not None:
        if not 0 < options.autoencoder_std < math.inf:
            raise ArgumentError("autoencoder_std", "above 0", options.autoencoder_std)
        for linear in (norm.encoder, norm.mean_decoder, norm.var_decoder):
            nn.init.normal_(linear.weight, 0.0, options.autoencoder_std)
    if options.neutral_start:  # a decoder starts with values around 0
        predicted = norm.var_activation(torch.zeros((), device="cpu"))  # also where all is meta
        nn.init.constant_(norm.weight, 1 - predicted.item())


def group_count(standardization: Standardization, num_channels: int, num_groups: int) -> int:
    """Count the groups of channels that share statistics; ValueError where they are uneven."""
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
