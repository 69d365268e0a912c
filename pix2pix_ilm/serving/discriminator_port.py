"""Import discriminators of pytorch-CycleGAN-and-pix2pix, whose layers are numbered as ours are."""

from pathlib import Path

import torch
from torch import Tensor

from pix2pix_ilm.checkpoints import check_weights
from pix2pix_ilm.errors import UserError
from pix2pix_ilm.models.discriminator import DiscriminatorConfig, PatchDiscriminator
from pix2pix_ilm.models.norms import NormOptions
from pix2pix_ilm.serving.pix2pix_port import STATISTICS, conv_channels
from pix2pix_ilm.serving.tensor_files import read_tensors, unwrapped


def read_discriminator(source: Path) -> dict[str, Tensor]:
    """Return the weights of a PatchGAN, or of a pixel discriminator, under our names.

    Args:
        source: ``*_net_D.pth``, or the same tensors as ``.safetensors``.

    Raises:
        UserError: it is none; names the first tensor that does not fit.
    """
    try:
        tensors = unwrapped(read_tensors(source))
        part = next(iter(tensors)).partition(".")[0]
        weights = {name.replace(f"{part}.", "layers.", 1): t for name, t in tensors.items()}
        if part not in ("model", "net") or "layers.0.weight" not in weights:
            raise UserError(
                f"{next(iter(tensors))}: not of a discriminator of pytorch-CycleGAN-and-pix2pix; "
                "expected its *_net_D.pth with model.0.weight"
            )
        return fitted(weights, pixels=part == "net")
    except UserError as error:
        raise UserError(f"{source}: {error}") from None


def fitted(weights: dict[str, Tensor], *, pixels: bool) -> dict[str, Tensor]:
    """Return weights that are those of a discriminator, whose kind their shapes tell."""
    ndf, in_channels = conv_channels(weights, "layers.0")
    has_batch_norm = "layers.3.weight" in weights
    convolutions = sum(tensor.ndim == 4 for tensor in weights.values())
    config = DiscriminatorConfig(
        ndf=ndf,
        n_layers=0 if pixels else convolutions - 2,
        norm="bn" if has_batch_norm else "in",
        norm_options=NormOptions(affine=has_batch_norm),
    )
    with torch.device("meta"):
        like = PatchDiscriminator(config, in_channels).state_dict()
    named = {name: t for name, t in weights.items() if name in like or not is_unused(name)}
    for name in {**named, **like}:
        if name not in like or name not in named or named[name].shape != like[name].shape:
            raise UserError(f"{name}: not as in a discriminator of this depth and norm")
    return check_weights(named, like)


def is_unused(name: str) -> bool:
    """Return True for InstanceNorm's statistics, as old files have them."""
    return name.rpartition(".")[2] in STATISTICS
