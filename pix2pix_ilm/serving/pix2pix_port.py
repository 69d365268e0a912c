"""Import generators that pytorch-CycleGAN-and-pix2pix (the port of pix2pix to PyTorch) trained.

Source: junyanz/pytorch-CycleGAN-and-pix2pix, ``models/networks.py``. Its U-Net is made of skip
blocks nested into one another, so that a tensor's name tells its level and its place in the block:
``model.model.1.model.3.model.5.weight`` is the transposed convolution of the third level. mmagic's
(open-mmlab/mmagic, ``models/editors/pix2pix``) is the same network under other names.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from pix2pix_ilm.checkpoints import (
    ModelConfig,
    check_weights,
    save_discriminator,
    save_generator,
)
from pix2pix_ilm.data import Direction
from pix2pix_ilm.errors import UserError
from pix2pix_ilm.files import filling_folder
from pix2pix_ilm.models.generator import GeneratorConfig, UNetGenerator
from pix2pix_ilm.models.norms import NormName, NormOptions
from pix2pix_ilm.serving.tensor_files import flip_colors, read_tensors, unwrapped

OUTERMOST, SECOND = "model.model", "model.model.1.model"
FIRST_CONV, LAST_CONV = f"{OUTERMOST}.0", f"{OUTERMOST}.3"
MMAGIC = re.compile(r"((?:generators?\.(?:\w+\.)?)?)model\.model\.0\.conv\.")
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


def import_generator(
    source: Path,
    out: Path,
    *,
    direction: Direction = "BtoA",
    batch_statistics: bool = False,
    bgr: bool = False,
    discriminator: Mapping[str, Tensor] | None = None,
) -> ModelConfig:
    """Make a checkpoint of a generator's weights; it computes what the port computes with them.

    Norm, widths, depth and channels follow from the names and shapes of the tensors. The port's
    dropout has no weights: its usual one is assumed, which acts in training mode only.

    Args:
        source: ``*_net_G.pth``, or the same tensors as ``.safetensors``; a U-Net with batch,
            instance or no normalization. Or a checkpoint of mmagic's pix2pix.
        out: a new or empty folder for the checkpoint; complete, or not there at all.
        direction: which half of a side-by-side image the generator was trained to translate;
            the file does not say.
        batch_statistics: normalize with the statistics of each image instead of BatchNorm's running
            ones, as the port does unless it is run with ``--eval``: BatchNorm over a batch of one
            image is instance normalization with the same weights. Unlike there, images in one
            batch do not influence one another.
        bgr: turn the channels of label maps and photos around, for networks that were trained on
            images with blue first; the files do not say.
        discriminator: weights to keep beside it, for a training that starts from the checkpoint.

    Returns:
        What the checkpoint's ``config.json`` says.

    Raises:
        UserError: the file is none of the port's U-Nets (the message names the first tensor that
            does not fit), cannot be read without running code in it, or ``out`` is not empty.
    """
    try:
        tensors = from_mmagic(unwrapped(read_tensors(source)))
        config = infer_config(tensors)
        check_tensors(tensors, config)
        if bgr:
            tensors = with_turned_channels(tensors, config)
            discriminator = discriminator and with_turned_inputs(discriminator, config)
        if batch_statistics:
            config = with_image_statistics(config)
        weights = weights_for(config, tensors)
        model_config = ModelConfig(
            generator=config,
            image_size=config.size_multiple,  # the port's U-Nets halve an image down to 1x1
            direction=direction,
            data=f"imported from {source.name}",
            step=None,  # the file does not say how many
        )
    except UserError as error:
        raise UserError(f"{source}: {error}") from None

    with filling_folder(out) as folder:
        save_generator(folder, weights, model_config)
        if discriminator is not None:
            save_discriminator(folder, discriminator)
    return model_config


def from_mmagic(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the generator of mmagic's pix2pix under the port's names; other files as they are."""
    match = next(filter(None, map(MMAGIC.match, tensors)), None)
    if match is None:
        return tensors
    prefix = match[1]
    own = {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
    depth = max(name.count("model.") for name in own) - 1
    names: dict[str, str] = {}
    theirs = "model.model"
    for level in range(depth):
        innermost = level == depth - 1
        block = SECOND + ".3.model" * (level - 1) if level else OUTERMOST
        down, up = (1, 5) if level else (0, 3)
        up = 3 if innermost else up
        for place, port in ((0, down), (1 if innermost else 2, up)):
            names[f"{theirs}.{place}.conv"] = f"{block}.{port}"
            for norm in ("bn", "in"):
                names[f"{theirs}.{place}.{norm}"] = f"{block}.{port + 1}"
        theirs += ".1.model"
    split = {name: name.rpartition(".") for name in own}
    return {
        f"{names.get(layer, layer)}.{kind}": own[name] for name, (layer, _, kind) in split.items()
    }


def with_turned_channels(tensors: dict[str, Tensor], config: GeneratorConfig) -> dict[str, Tensor]:
    """Return the weights of the same generator for images with red in the place of blue."""
    turned = dict(tensors)
    for name, dim, channels in (
        (f"{FIRST_CONV}.weight", 1, config.in_channels),
        (f"{LAST_CONV}.weight", 1, config.out_channels),
        (f"{LAST_CONV}.bias", 0, config.out_channels),
    ):
        turned[name] = flip_colors(tensors[name], dim, [channels])
    return turned


def with_turned_inputs(
    discriminator: Mapping[str, Tensor], config: GeneratorConfig
) -> dict[str, Tensor]:
    """Return the weights of the discriminator beside such a generator.

    Raises:
        UserError: it judges images of other channels than the generator's.
    """
    name, channels = "layers.0.weight", [config.in_channels, config.out_channels]
    weight = discriminator[name]
    if weight.shape[1] != sum(channels):
        expected = f"{sum(channels)} channels of label map and photo"
        raise UserError(f"the discriminator's {name}: expected {expected}, found {weight.shape[1]}")
    return {**discriminator, name: flip_colors(weight, 1, channels)}


def infer_config(tensors: dict[str, Tensor]) -> GeneratorConfig:
    """Infer the generator from the tensors' names and the shapes of the outer convolutions.

    Raises:
        UserError: they are not of a U-Net, or of one that the application does not have.
    """
    if not any(name.startswith(f"{SECOND}.") for name in tensors):
        raise UserError(f"{next(iter(tensors))}: {what_else(tensors)}")
    ngf, in_channels = conv_channels(tensors, FIRST_CONV)
    _, out_channels = conv_channels(tensors, LAST_CONV)
    return GeneratorConfig(
        in_channels=in_channels,
        out_channels=out_channels,
        ngf=ngf,
        depth=max(name.count("model.") for name in tensors if name.startswith(SECOND)) - 1,
        norm=infer_norm(tensors),
        norm_options=NormOptions(affine=f"{SECOND}.2.weight" in tensors),
        dropout_placement="port",
    )


def what_else(tensors: dict[str, Tensor]) -> str:
    """Tell what a file that holds no U-Net seems to hold."""
    if any("conv_block" in name for name in tensors):
        return "of a ResNet generator, which is not supported; expected unet_256 or unet_128"
    return (
        "not of a U-Net generator of pytorch-CycleGAN-and-pix2pix; expected its *_net_G.pth "
        f"with {FIRST_CONV}.weight"
    )


def conv_channels(tensors: dict[str, Tensor], layer: str) -> tuple[int, int]:
    """Return the first two dimensions of a convolution's weight."""
    weight = tensors.get(f"{layer}.weight")
    if weight is None:
        raise UserError(f"{layer}.weight: missing")
    if weight.ndim != 4:
        raise UserError(f"{layer}.weight: expected 4 dimensions, found {tuple(weight.shape)}")
    return weight.shape[0], weight.shape[1]


def infer_norm(tensors: dict[str, Tensor]) -> NormName:
    """Infer the norm: only BatchNorm has weights, and only before instance norm are biases."""
    if f"{SECOND}.2.weight" in tensors:
        return "bn"
    return "in" if f"{FIRST_CONV}.bias" in tensors else "none"


def port_layers(depth: int) -> Iterator[tuple[str, str]]:
    """Yield our name and the port's of every layer, from the outermost skip block inward."""
    yield "encoder.0.conv", FIRST_CONV
    yield "head", LAST_CONV
    block = SECOND
    for level in range(1, depth):
        innermost = level == depth - 1  # it has no submodule, and no norm of its 1x1 map
        yield f"encoder.{level}.conv", f"{block}.1"
        if not innermost:
            yield f"encoder.{level}.norm", f"{block}.2"
        yield f"decoder.{depth - 1 - level}.conv", f"{block}.{3 if innermost else 5}"
        yield f"decoder.{depth - 1 - level}.norm", f"{block}.{4 if innermost else 6}"
        block += ".3.model"


def port_names(config: GeneratorConfig) -> dict[str, tuple[str, Tensor]]:
    """Map the port's name of each generator's tensor to our name, and one like it on meta."""
    layers = dict(port_layers(config.num_downs))
    with torch.device("meta"):
        state = UNetGenerator(config).state_dict()
    named = {}
    for ours, tensor in state.items():
        layer, kind = ours.rsplit(".", 1)
        named[f"{layers[layer]}.{kind}"] = ours, tensor
    return named


def check_tensors(tensors: dict[str, Tensor], config: GeneratorConfig) -> None:
    """Compare all names and shapes with what the port writes of this generator.

    Raises:
        UserError: naming the first tensor of the file that does not fit, or that it lacks.
    """
    expected = {name: like.shape for name, (_, like) in port_names(config).items()}
    for name, tensor in tensors.items():
        if name in expected and tensor.shape != expected[name]:
            raise UserError(
                f"{name}: expected shape {tuple(expected[name])}, found {tuple(tensor.shape)}"
            )
        if name not in expected and not is_ignored(name, config):
            raise UserError(f"{name}: not in a U-Net generator of this depth and norm")
    for name in expected:
        if name not in tensors and not may_lack(name, config):
            raise UserError(f"{name}: missing")


def is_ignored(name: str, config: GeneratorConfig) -> bool:
    """Return True if the port ignores a tensor: InstanceNorm's statistics in old files."""
    layer, _, kind = name.rpartition(".")
    norms = {port for ours, port in port_layers(config.num_downs) if ours.endswith("norm")}
    return config.norm == "in" and kind in STATISTICS and layer in norms


def may_lack(name: str, config: GeneratorConfig) -> bool:
    """Return True if the port does without a tensor that ours has."""
    if name.endswith("num_batches_tracked"):  # unused, and younger than the oldest files
        return True
    return config.norm == "none" and name.endswith(".bias") and not name.startswith(LAST_CONV)


def with_image_statistics(config: GeneratorConfig) -> GeneratorConfig:
    """Return the same generator with BatchNorm's weights on the statistics of each image."""
    if config.norm != "bn":
        raise UserError("has no BatchNorm, of which batch statistics could be taken")
    return replace(config, norm="in")


def weights_for(config: GeneratorConfig, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return our generator's weights; biases that the port does without are 0."""
    named = port_names(config)
    checked = check_weights(
        {name: tensor for name, tensor in tensors.items() if name in named},
        {port: like for port, (_, like) in named.items()},
    )
    return {
        ours: checked.get(port, torch.zeros((), dtype=like.dtype)).expand(like.shape).clone()
        for port, (ours, like) in named.items()
    }
