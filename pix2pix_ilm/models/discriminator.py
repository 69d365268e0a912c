"""The conditional PatchGAN discriminator of pix2pix.

Source: Isola et al., CVPR 2017; phillipi/pix2pix ``models.lua`` (``defineD_n_layers`` and
``defineD_pixelGAN``).
"""

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pix2pix_ilm.errors import SettingError
from pix2pix_ilm.models.generator import WIDEST, ConvBias, check_norm, init_weights
from pix2pix_ilm.models.norms import NormName, NormOptions, make_norm


@dataclass(frozen=True, kw_only=True)
class DiscriminatorConfig:
    """Hyper-parameters of the discriminator."""

    ndf: int = 64
    """Width of the first layer; the others have 2, 4 and at most 8 times as many channels."""
    n_layers: int = 3
    """Convolutions of stride 2; 3 is the 70x70 PatchGAN, 0 the 1x1 pixel discriminator."""
    norm: NormName = "in"
    """Normalization of the discriminator."""
    norm_options: NormOptions = field(default_factory=NormOptions)
    """Group sizes and the like."""
    conv_bias: ConvBias = "auto"
    """Give inner convolutions a bias; auto: as the original, not with bn."""

    def __post_init__(self) -> None:
        if not 1 <= self.ndf <= WIDEST:
            raise SettingError("discriminator.ndf", f"1 to {WIDEST}", self.ndf)
        if not 0 <= self.n_layers <= 6:
            raise SettingError("discriminator.n_layers", "0 to 6", self.n_layers)
        check_norm("discriminator", self.norm, self.norm_options, self.widths[1:])

    @property
    def widths(self) -> list[int]:
        """Return the channels after each hidden convolution."""
        return [self.ndf * min(2**level, 8) for level in range(max(self.n_layers, 1) + 1)]

    @property
    def has_bias(self) -> bool:
        """Return True if inner convolutions have a bias."""
        return self.norm != "bn" if self.conv_bias == "auto" else self.conv_bias == "yes"

    @property
    def smallest_image(self) -> int:
        """Return the side of the smallest square image that still gets a logit, in pixels."""
        return 3 * 2**self.n_layers if self.n_layers else 1


class PatchDiscriminator(nn.Module):
    """Judges every patch of a (label map, photo) pair.

    Maps label maps (B, C1, H, W) and photos (B, C2, H, W), both in [-1, 1], to one real-or-fake
    logit per patch, (B, 1, H', W'): 30x30 logits of 70x70 patches at 256x256 and three layers.
    Weights start as N(0, 0.02), biases as 0.

    Args:
        config: widths, depth and normalization.
        in_channels: C1 + C2.
    """

    def __init__(self, config: DiscriminatorConfig, in_channels: int = 6) -> None:
        super().__init__()
        self.config = config
        kernel, padding = (4, 1) if config.n_layers else (1, 0)

        layers: list[nn.Module] = []
        channels = in_channels
        for level, width in enumerate(config.widths):
            stride = 2 if level < config.n_layers else 1
            has_bias = level == 0 or config.has_bias
            layers.append(nn.Conv2d(channels, width, kernel, stride, padding, bias=has_bias))
            if level:
                layers.append(make_norm(config.norm, width, config.norm_options))
            layers.append(nn.LeakyReLU(0.2))
            channels = width
        layers.append(nn.Conv2d(channels, 1, kernel, 1, padding))
        self.layers = nn.Sequential(*layers)
        self.apply(init_weights)

    def forward(
        self,
        label_map: Float[Tensor, "b c1 h w"],
        photo: Float[Tensor, "b c2 h w"],
        hidden: list[Tensor] | None = None,
    ) -> Float[Tensor, "b 1 h2 w2"]:
        """Judge pairs; ``hidden`` receives the activations of each hidden layer, if it is given."""
        x = torch.cat([label_map, photo], dim=1)
        for layer in self.layers:
            x = layer(x)
            if hidden is not None and isinstance(layer, nn.LeakyReLU):
                hidden.append(x)
        return x
