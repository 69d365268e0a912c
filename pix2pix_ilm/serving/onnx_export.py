"""Export a trained generator as ONNX, for programs without PyTorch.

The exported network takes ``label_map``, float32 (batch, channels, height, width) in [-1, 1], and
gives ``photo`` of the same batch, height and width, float32 in [-1, 1]. It consists of ONNX's
standard operators only. Its metadata holds the checkpoint's ``config.json``, and the SHA-256 of its
weights' file.

A generator of label classes takes the same RGB label maps as one without: the nearest class of
each pixel is found in the exported network. Who has index maps paints them with the colors of the
palette, which the metadata holds.
"""

import json
from collections.abc import Iterable
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn

from pix2pix_ilm.checkpoints import MODEL_CONFIG, load_generator, resolve_checkpoint
from pix2pix_ilm.data.images import as_array, encode_label_maps, to_model_range, to_uint8
from pix2pix_ilm.data.palette import Palette
from pix2pix_ilm.data.synthetic.dataset import draw_pair
from pix2pix_ilm.errors import SettingError, UserError
from pix2pix_ilm.files import making_folder, write_atomically
from pix2pix_ilm.inference import ExportedNetwork, infer
from pix2pix_ilm.models.generator import UNetGenerator
from pix2pix_ilm.serving.onnx_runtime import (
    INPUT,
    OUTPUT,
    PRECISION,
    WEIGHTS_HASH,
    exported_network,
    hash_weights,
    make_session,
)

if TYPE_CHECKING:
    from onnx import ModelProto

TOLERANCE, FLOAT16_TOLERANCE = 0.001, 0.03  # one step of an 8-bit image is 2 / 255, or 0.008
PROTOBUF_LIMIT = 2**31  # bytes of one message, hence of an ONNX file with its weights inside
CHECKED_BATCH = 2


@dataclass(frozen=True, kw_only=True)
class Differences:
    """The largest differences between ONNX Runtime's photos and PyTorch's, of a range of 2."""

    random: float
    """With random label maps."""
    drawn: float
    """With drawn label maps."""
    tolerance: float
    """Largest allowed difference."""

    @property
    def tolerable(self) -> bool:
        """Return True if neither difference exceeds the tolerance."""
        return all(value <= self.tolerance for value in (self.random, self.drawn))  # NaN is not


def export_onnx(
    checkpoint: str | Path,
    out: Path,
    *,
    size: int | None = None,
    dynamic_size: bool = False,
    float16: bool = False,
) -> Differences:
    """Write a checkpoint's generator as an ONNX file of any batch size, if it computes the same.

    Args:
        checkpoint: the trained model, as of ``resolve_checkpoint``.
        out: the ONNX file.
        size: height and width of its images; unset: those of the training.
        dynamic_size: leave height and width open; they must be multiples of what the U-Net halves.
        float16: store and compute the convolutions in float16: half the size. Images and
            normalization stay float32.

    Returns:
        How far the file's outputs in ONNX Runtime are from the generator's.

    Raises:
        UserError: no checkpoint, a size that does not fit, onnx packages that are missing, too
            large a network, or outputs that differ by more than the tolerance: 0.001 in float32,
            0.03 with float16. Nothing is written then.
    """
    require_onnx()
    folder = resolve_checkpoint(checkpoint)
    generator, model_config = load_generator(folder)
    size = checked_size(size, dynamic_size, model_config.image_size, generator.config.size_multiple)
    palette = model_config.palette
    model = to_onnx(generator, size, palette, dynamic_size=dynamic_size, float16=float16)
    told = asdict(replace(model_config, data=model_config.data_name))
    model.metadata_props.add(key=MODEL_CONFIG, value=json.dumps(told, default=str))
    model.metadata_props.add(key=WEIGHTS_HASH, value=hash_weights(folder))
    model.metadata_props.add(key=PRECISION, value="float16" if float16 else "float32")

    content = model.SerializeToString()
    multiple = generator.config.size_multiple
    sizes = [(size, size), (multiple, 2 * multiple)] if dynamic_size else [(size, size)]
    tolerance = FLOAT16_TOLERANCE if float16 else TOLERANCE
    differences = compare(
        generator, exported_network(make_session(content)), sizes, tolerance, palette
    )
    if not differences.tolerable:
        raise UserError(
            f"{out}: not written, because its photos differ from PyTorch's by up to "
            f"{differences.random:.2g} (random label maps) and {differences.drawn:.2g} (drawn "
            f"ones); expected at most {tolerance}"
        )
    with making_folder(out.parent):
        write_atomically(out, lambda file: file.write(content))
    return differences


def require_onnx() -> None:
    """Refuse, with what to do about it, if a package that exporting needs is missing."""
    for package in ("onnx", "onnxscript", "onnxruntime"):
        try:
            import_module(package)
        except ImportError:
            raise UserError(f"export: {package} is missing; (uv) pip install {package}") from None


def checked_size(size: int | None, dynamic: bool, trained: int, multiple: int) -> int:
    """Return the height and width to export for; UserError if the U-Net cannot halve it."""
    if size is None:
        return trained
    if dynamic:
        raise SettingError("size", "none where the size is dynamic", size)
    if size < 1 or size % multiple:
        raise SettingError("size", f"a multiple of {multiple}", size)
    return size


def to_onnx(
    generator: UNetGenerator,
    size: int,
    palette: Palette | None,
    *,
    dynamic_size: bool,
    float16: bool,
) -> "ModelProto":
    """Return the generator as an ONNX model, of RGB label maps if it has a palette.

    Raises:
        UserError: its weights do not fit into one file.
    """
    network: nn.Module = Float16Generator(generator) if float16 else generator
    stored = sum(weight.numel() * weight.element_size() for weight in network.parameters())
    if stored >= PROTOBUF_LIMIT:
        raise UserError(
            f"export: expected less than 2 GB of weights, found {stored / 1e9:.1f} GB; "
            "store them in float16, or use a smaller network"
        )
    channels = generator.config.in_channels
    if palette is not None:
        network, channels = ColorsToPhotos(network, palette), 3
    multiple = generator.config.size_multiple
    dimensions = {0: torch.export.Dim("batch")}
    if dynamic_size:
        dimensions[2] = multiple * torch.export.Dim("rows")
        dimensions[3] = multiple * torch.export.Dim("columns")
        size = 2 * multiple  # an innermost map of 1x1 would be taken for a constant
    example = torch.zeros(CHECKED_BATCH, channels, size, size)
    program = torch.onnx.export(
        network,
        (example,),
        dynamo=True,
        input_names=[INPUT],
        output_names=[OUTPUT],
        dynamic_shapes=(dimensions,),
        verbose=False,
    )
    assert program is not None  # it is None only where a file is written
    return without_traces(program.model_proto)


def without_traces(model: "ModelProto") -> "ModelProto":
    """Remove the exporter's notes of which line of which file made which operator."""
    for part in (*model.graph.node, *model.graph.value_info, model.graph):
        part.ClearField("metadata_props")
    return model


class Float16Generator(nn.Module):
    """A generator with convolutions in float16; images and normalization stay float32.

    The variance of a map may exceed float16's largest number, 65504.
    """

    def __init__(self, generator: UNetGenerator) -> None:
        super().__init__()
        self.generator = deepcopy(generator)
        for module in self.generator.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                module.half()
        for block in (*self.generator.encoder, *self.generator.decoder):
            block.register_module("norm", InFloat32(block.get_submodule("norm")))
        self.eval()

    def forward(self, label_map: Float[Tensor, "b c_in h w"]) -> Float[Tensor, "b c_out h w"]:
        return self.generator(label_map.half()).float()


class ColorsToPhotos(nn.Module):
    """A generator of label classes that takes RGB label maps, as ``Palette.nearest`` reads them."""

    def __init__(self, generator: nn.Module, palette: Palette) -> None:
        super().__init__()
        self.generator = generator
        self.register_buffer("colors", torch.from_numpy(palette.colors).float())
        self.register_buffer("indices", torch.arange(len(palette)))
        self.eval()

    def forward(self, label_map: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c_out h w"]:
        pixels = ((label_map + 1) * 127.5).round().permute(0, 2, 3, 1)
        colors = self.get_buffer("colors")
        distances = (colors * colors).sum(dim=1) - 2 * (pixels @ colors.t())
        classes = distances.argmin(dim=3, keepdim=True)
        one_hot = (classes == self.get_buffer("indices")).permute(0, 3, 1, 2)
        return self.generator(one_hot.float() * 2 - 1)


class InFloat32(nn.Module):
    """A layer that computes in float32, whatever it is given."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        return self.layer(x.float()).to(x.dtype)


def compare(
    generator: UNetGenerator,
    exported: ExportedNetwork,
    sizes: Iterable[tuple[int, int]],
    tolerance: float,
    palette: Palette | None = None,
) -> Differences:
    """Measure the largest differences between the generator's photos and another program's."""
    channels = generator.config.in_channels if palette is None else 3
    random, drawn = [], []
    for height, width in sizes:
        for found, label_maps in (
            (random, random_labels(channels, height, width)),
            (drawn, drawn_labels(channels, height, width)),
        ):
            encoded = label_maps
            if palette is not None:
                encoded = encode_label_maps(to_uint8(label_maps), palette)
            found.append((exported(label_maps) - infer(generator, encoded)).abs().max())
    # torch's maximum of differences is NaN where one is, Python's may hide it.
    return Differences(
        random=torch.stack(random).max().item(),
        drawn=torch.stack(drawn).max().item(),
        tolerance=tolerance,
    )


def random_labels(channels: int, height: int, width: int) -> Float[Tensor, "b c h w"]:
    """Return noise, uniform in [-1, 1]; the same on every call."""
    shape = (CHECKED_BATCH, channels, height, width)
    return torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 2 - 1


def drawn_labels(channels: int, height: int, width: int) -> Float[Tensor, "b c h w"]:
    """Return label maps of drawn facades, stretched to a size."""
    drawn = [Image.fromarray(draw_pair(seed)[0]) for seed in range(CHECKED_BATCH)]
    label_maps = torch.stack([torch.from_numpy(as_array(image, channels)) for image in drawn])
    return F.interpolate(to_model_range(label_maps), (height, width), mode="nearest")
