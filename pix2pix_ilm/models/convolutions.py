"""The 4x4 convolutions of stride 2 that pix2pix halves and doubles maps with.

Deep inside a U-Net, maps of a few pixels meet the largest weights. There, oneDNN spends most of a
training step on a CPU rearranging weights into its own layout and their gradients back. As a matrix
product of windows and weights, the same sums need no other layout.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

FEW = 64
"""Windows of all maps of a batch, up to which the matrix product is faster (measured)."""


class HalvingConv(nn.Conv2d):
    """A 4x4 convolution of stride 2 and padding 1: maps (B, C, H, W) to (B, C2, H/2, W/2)."""

    def __init__(self, in_channels: int, out_channels: int, *, bias: bool = True) -> None:
        super().__init__(in_channels, out_channels, 4, 2, 1, bias=bias)

    def forward(self, input: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h2 w2"]:
        batch, _, height, width = input.shape
        halved = (height // 2, width // 2)
        if not few_windows(input, batch * halved[0] * halved[1]):
            return super().forward(input)
        windows = F.unfold(input, 4, padding=1, stride=2).transpose(1, 2)
        convolved = F.linear(windows, self.weight.flatten(1), self.bias)
        return convolved.transpose(1, 2).unflatten(2, halved)


class DoublingConv(nn.ConvTranspose2d):
    """A transposed 4x4 convolution of stride 2: maps (B, C, H, W) to (B, C2, 2H, 2W)."""

    def __init__(self, in_channels: int, out_channels: int, *, bias: bool = True) -> None:
        super().__init__(in_channels, out_channels, 4, 2, 1, bias=bias)

    def forward(
        self, input: Float[Tensor, "b c h w"], output_size: list[int] | None = None
    ) -> Float[Tensor, "b c2 h2 w2"]:
        batch, _, height, width = input.shape
        if output_size or not few_windows(input, batch * height * width):
            return super().forward(input, output_size)
        windows = F.linear(input.flatten(2).transpose(1, 2), self.weight.flatten(1).t())
        doubled = F.fold(windows.transpose(1, 2), (2 * height, 2 * width), 4, padding=1, stride=2)
        return doubled if self.bias is None else doubled + self.bias[:, None, None].to(doubled)


def few_windows(x: Tensor, windows: int) -> bool:
    """Whether so many windows are better multiplied than convolved; the gain is the gradients'."""
    training = torch.is_grad_enabled() and not torch.compiler.is_compiling()
    return training and x.device.type == "cpu" and windows <= FEW
