"""A generator prepared for translating, when its weights no longer change.

On a CPU, oneDNN rearranges a convolution's weights before it uses them, anew at every call; for one
image that takes as long as the convolution. Here it is done once. The operators are those that
torch.compile's own freezing uses; where they are missing, the network stays as it is.
"""

from copy import deepcopy

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pix2pix_ilm.models.generator import UNetGenerator


class Prepared(nn.Module):
    """A generator that takes and gives float32 images, whatever it computes in.

    Args:
        generator: left as it is; what is prepared is a copy, on the device.
        device: where to compute.
        fast: compute in bfloat16 where that is faster (``fast_dtype``).
    """

    def __init__(self, generator: UNetGenerator, device: torch.device, *, fast: bool) -> None:
        super().__init__()
        self.dtype = (fast_dtype(device) if fast else None) or torch.float32
        self.generator = prepare(generator, device, self.dtype).eval()

    def forward(self, label: Float[Tensor, "b c_in h w"]) -> Float[Tensor, "b c_out h w"]:
        # The layout that oneDNN prefers, and that its outputs have.
        layout = torch.channels_last if label.device.type == "cpu" else torch.contiguous_format
        return self.generator(label.to(self.dtype, memory_format=layout)).float()


def fast_dtype(device: torch.device) -> torch.dtype | None:
    """bfloat16 where the processor multiplies it faster than float32; else None."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else None
    if device.type == "cpu" and torch.backends.mkldnn.is_available():
        cpu = torch.cpu
        return torch.bfloat16 if cpu._is_avx512_bf16_supported() else None
    return None


def prepare(generator: UNetGenerator, device: torch.device, dtype: torch.dtype) -> UNetGenerator:
    """A copy on the device, with rearranged weights on a CPU that can."""
    if device.type == "cpu":
        try:
            packed = pack(generator, dtype)
            side = generator.config.size_multiple
            with torch.inference_mode():  # PyTorch may change these operators: try them
                packed(torch.zeros(1, generator.config.in_channels, side, side, dtype=dtype))
        except (AttributeError, RuntimeError, TypeError):
            pass
        else:
            return packed
    return deepcopy(generator).to(device, dtype)


def pack(generator: UNetGenerator, dtype: torch.dtype) -> UNetGenerator:
    """A copy with ``PackedConv`` in the place of every convolution."""
    convolutions = (nn.Conv2d, nn.ConvTranspose2d)
    replaced = {
        id(module): PackedConv(module, dtype)
        for module in generator.modules()
        if isinstance(module, convolutions)
    }
    return deepcopy(generator, replaced).to(dtype)  # deepcopy takes for copied what it is given


class PackedConv(nn.Module):
    """A convolution, or a transposed one, whose weights lie as oneDNN wants them. Not trainable."""

    def __init__(self, conv: nn.Conv2d | nn.ConvTranspose2d, dtype: torch.dtype) -> None:
        super().__init__()
        operators = torch.ops.mkldnn
        weight = conv.weight.detach().to(dtype).contiguous(memory_format=torch.channels_last)
        self.register_buffer("bias", None if conv.bias is None else conv.bias.detach().clone())
        shape = (conv.padding, conv.stride, conv.dilation, conv.groups)
        if isinstance(conv, nn.ConvTranspose2d):
            shape = (conv.padding, conv.output_padding, *shape[1:])
            self.weight = operators._reorder_convolution_transpose_weight(weight, *shape)
            self.operator = operators._convolution_transpose_pointwise
        else:
            self.weight = operators._reorder_convolution_weight(weight, *shape)
            self.operator = operators._convolution_pointwise
        self.shape = shape

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h2 w2"]:
        return self.operator(x, self.weight, self.bias, *self.shape, "none", [], "")
