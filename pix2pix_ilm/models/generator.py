"""The U-Net generator of pix2pix.

Source: Isola, Zhu, Zhou, Efros, "Image-to-Image Translation with Conditional Adversarial
Networks", CVPR 2017; layer order and initialization as in phillipi/pix2pix ``models.lua``.
"""

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pix2pix_ilm.data.palette import MOST_CLASSES
from pix2pix_ilm.errors import ArgumentError, SettingError
from pix2pix_ilm.models.cpu_kernels import DownConv, ResizeConv, UpConv
from pix2pix_ilm.models.norms import NormName, NormOptions, make_norm

DropoutPlacement = Literal["original", "port"]
ConvBias = Literal["auto", "yes", "no"]
Upsampling = Literal["deconv", "resize"]
PATTERN = 256  # pixels after which the pattern of ``noise`` repeats
WIDEST = 512  # channels of a first layer; eight times as many follow, in 3.5 G weights


@dataclass(frozen=True, kw_only=True)
class GeneratorConfig:
    """Hyper-parameters of the U-Net generator."""

    in_channels: int = 3
    """Channels of the label map (3 for color, 1 for gray); label classes set it to their number."""
    out_channels: int = 3
    """Channels of the photo (3 for color, 1 for gray)."""
    ngf: int = 64
    """Width of the first layer; the others have 2, 4 and at most 8 times as many channels."""
    depth: int | None = None
    """Number of halvings; unset: as many as take the training size to 1x1."""
    norm: NormName = "in"
    """Normalization of the generator."""
    norm_options: NormOptions = field(default_factory=NormOptions)
    """Group sizes and the like."""
    dropout: float = 0.5
    """Dropout probability of the three innermost decoder blocks."""
    dropout_placement: DropoutPlacement = "original"
    """original: the three decoder blocks after the bottleneck; port: as in
    pytorch-CycleGAN-and-pix2pix, one block further out, and fewer in shallow networks."""
    conv_bias: ConvBias = "auto"
    """Give convolutions, but the last, a bias; auto: as the original, not with bn."""
    noise: float = 0.0
    """Deviation of a fixed random pattern that is added to label maps in [-1, 1]: without it, only
    the weave of transposed convolutions tells one pixel of a flat area from the next."""
    upsample: Upsampling = "deconv"
    """Doubling of the map: deconv, a transposed convolution, as the original; resize, by the
    nearest pixel and a 3x3 convolution, which leaves no pattern on flat areas."""

    def __post_init__(self) -> None:
        if not 1 <= self.in_channels <= MOST_CLASSES:
            expected = f"1 (gray), 3 (color) or up to {MOST_CLASSES} classes"
            raise SettingError("generator.in_channels", expected, self.in_channels)
        if self.out_channels not in (1, 3):
            raise SettingError("generator.out_channels", "1 (gray) or 3 (color)", self.out_channels)
        if not 1 <= self.ngf <= WIDEST:
            raise SettingError("generator.ngf", f"1 to {WIDEST}", self.ngf)
        if not 2 <= self.num_downs <= 10:
            raise SettingError("generator.depth", "2 to 10", self.depth)
        if not 0 <= self.noise < math.inf:
            raise SettingError("generator.noise", "a number of at least 0", self.noise)
        if not 0 <= self.dropout < 1:
            raise SettingError("generator.dropout", "0 to below 1", self.dropout)
        check_norm("generator", self.norm, self.norm_options, self.widths[:-1])

    @property
    def num_downs(self) -> int:
        """Count the halvings of the image; 8 (256x256 to 1x1) where depth is unset."""
        return 8 if self.depth is None else self.depth

    @property
    def widths(self) -> list[int]:
        """Return the channels after each encoder block."""
        return [self.ngf * min(2**level, 8) for level in range(self.num_downs)]

    @property
    def architecture(self) -> dict[str, object]:
        """Return the settings that weights must fit, by their paths: not dropout, nor the start."""
        settings = asdict(self)
        options = settings.pop("norm_options")
        del options["neutral_start"], options["autoencoder_std"]
        settings = {name: of for name, of in settings.items() if not name.startswith("dropout")}
        return settings | {f"norm_options.{name}": of for name, of in options.items()}

    @property
    def size_multiple(self) -> int:
        """Return the number that height and width of an input must be multiples of."""
        return 2**self.num_downs

    @property
    def has_bias(self) -> bool:
        """Return True if all convolutions but the last have a bias."""
        return self.norm != "bn" if self.conv_bias == "auto" else self.conv_bias == "yes"

    def drops(self, block: int) -> bool:
        """Return True if decoder block 0, 1, ... (the innermost is 0) ends in dropout."""
        if self.dropout_placement == "original":
            return block < min(3, self.num_downs - 1)
        return 1 <= block <= self.num_downs - 5


class UNetGenerator(nn.Module):
    """Encoder and decoder of 4x4 convolutions of stride 2, joined by skips at every size.

    Maps label maps (B, in_channels, H, W) in [-1, 1] to photos (B, out_channels, H, W) in
    (-1, 1); H and W must be multiples of ``config.size_multiple``. Weights start as N(0, 0.02),
    biases as 0. The innermost encoder block has no normalization: it would erase a 1x1 map.
    """

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        *outer, innermost = config.widths

        self.encoder = nn.ModuleList()
        channels = config.in_channels
        for level, width in enumerate(config.widths):
            normalized = 0 < level < config.num_downs - 1
            self.encoder.append(
                DownBlock(
                    nn.LeakyReLU(0.2) if level else nn.Identity(),
                    DownConv(channels, width, bias=config.has_bias),
                    self._norm(width) if normalized else nn.Identity(),
                )
            )
            channels = width

        self.decoder = nn.ModuleList()
        channels = innermost
        for block, width in enumerate(reversed(outer)):
            self.decoder.append(
                UpBlock(
                    self._up(channels, width, bias=config.has_bias),
                    self._norm(width),
                    nn.Dropout(config.dropout) if config.drops(block) else nn.Identity(),
                )
            )
            channels = 2 * width  # the skip of the same size joins
        self.head = self._up(channels, config.out_channels)
        if config.noise:
            drawn = torch.randn(PATTERN, PATTERN, generator=torch.Generator().manual_seed(0))
            # Saved with the weights: other versions of PyTorch may draw another one.
            self.register_buffer("pattern", config.noise * drawn)
        self.apply(init_weights)

    def _up(self, channels: int, width: int, *, bias: bool = True) -> nn.Module:
        kind = ResizeConv if self.config.upsample == "resize" else UpConv
        return kind(channels, width, bias=bias)

    def _with_pattern(self, label_map: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        if not self.config.noise:
            return label_map
        pattern = self.get_buffer("pattern")
        for dim, side in enumerate(label_map.shape[2:]):
            at = torch.arange(side, device=pattern.device) % PATTERN
            pattern = pattern.index_select(dim, at)
        return label_map + pattern.to(label_map.dtype)

    def set_noise(self, noise: float) -> None:
        """Change the strength of the random pattern, which makes texture; 0 removes it.

        Raises:
            SettingError: a negative strength, or a generator that was made without a pattern.
        """
        if not self.config.noise:
            raise SettingError("noise", "none, as the generator has no random pattern", noise)
        if not 0 <= noise < math.inf:
            raise SettingError("noise", "a number of at least 0", noise)
        config = replace(self.config, noise=noise)
        pattern = self.get_buffer("pattern") * (noise / self.config.noise)
        del self.pattern
        if noise:
            self.register_buffer("pattern", pattern)
        self.config = config

    def _norm(self, width: int) -> nn.Module:
        return make_norm(self.config.norm, width, self.config.norm_options)

    def forward(self, label_map: Float[Tensor, "b c_in h w"]) -> Float[Tensor, "b c_out h w"]:
        skips, x = [], self._with_pattern(label_map)
        for down in self.encoder:
            x = down(x)
            skips.append(x)

        x = skips.pop()
        for up in self.decoder:
            x = torch.cat([skips.pop(), up(x)], dim=1)
        return torch.tanh(self.head(torch.relu(x)))


class DownBlock(nn.Module):
    """Activation, strided convolution, normalization: halves the image."""

    def __init__(self, activation: nn.Module, conv: nn.Module, norm: nn.Module) -> None:
        super().__init__()
        self.activation = activation
        self.conv = conv
        self.norm = norm

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h2 w2"]:
        return self.norm(self.conv(self.activation(x)))


class UpBlock(nn.Module):
    """ReLU, convolution that doubles the image, normalization, dropout."""

    def __init__(self, conv: nn.Module, norm: nn.Module, dropout: nn.Module) -> None:
        super().__init__()
        self.conv = conv
        self.norm = norm
        self.dropout = dropout

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h2 w2"]:
        return self.dropout(self.norm(self.conv(torch.relu(x))))


def init_weights(module: nn.Module, generator: torch.Generator | None = None) -> None:
    """Initialize a convolution as pix2pix does: weights N(0, 0.02), biases 0."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02, generator=generator)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def check_norm(network: str, name: NormName, options: NormOptions, widths: Iterable[int]) -> None:
    """Build each layer once without memory, so that a SettingError has the bad setting's path."""
    for width in sorted(set(widths)):
        try:
            with torch.device("meta"):
                make_norm(name, width, options)
        except ArgumentError as error:
            group = network if error.path == "norm" else f"{network}.norm_options"
            path = f"{group}.{error.path}"
            raise SettingError(path, error.expected, error.found, error.advice) from None
