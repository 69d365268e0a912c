"""Exported generators in ONNX Runtime against the same generators in PyTorch."""

import json
import sys
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from pix2pix_ilm.checkpoints import load_generator
from pix2pix_ilm.data.images import to_model_range, to_uint8
from pix2pix_ilm.data.palette import FACADES_COLORS, FACADES_PALETTE
from pix2pix_ilm.errors import UserError
from pix2pix_ilm.inference import infer
from pix2pix_ilm.models.generator import GeneratorConfig
from pix2pix_ilm.models.norms import NormOptions
from pix2pix_ilm.serving import onnx_export
from pix2pix_ilm.serving.onnx_export import ColorsToPhotos, compare, drawn_labels, export_onnx
from pix2pix_ilm.serving.translator import Translator

# The tests' checks of shapes would compare, and so fix, the sizes that an export leaves open.
pytestmark = pytest.mark.usefixtures("unchecked")

SHALLOW = GeneratorConfig(ngf=4, depth=2, norm="ilm-in")  # soon exported; halves 4 to 1


def photo_of(path, label_map: torch.Tensor) -> np.ndarray:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {"label_map": label_map.numpy()})[0]


@torch.no_grad()
def assert_same_photos(path, checkpoint, shape, tolerance=1e-4) -> None:
    label_map = torch.rand(shape) * 2 - 1
    photo = load_generator(checkpoint)[0](label_map).numpy()
    np.testing.assert_allclose(photo_of(path, label_map), photo, rtol=0, atol=tolerance)
    assert photo.std() > 0.1


@pytest.mark.parametrize("norm", ["bn", "in", "ilm-in", "ilm-gn"])
def test_any_batch_in_plain_operators_gives_the_generators_photos(norm, make_checkpoint, tmp_path):
    config = GeneratorConfig(
        ngf=4, depth=2, norm=norm, norm_options=NormOptions(num_groups=2), in_channels=1
    )
    checkpoint = make_checkpoint(generator=config, in_channels=1)
    path = tmp_path / "new" / "model.onnx"
    differences = export_onnx(checkpoint, path)
    assert max(differences.random, differences.drawn) < 1e-4
    for batch in (1, 3):
        assert_same_photos(path, checkpoint, (batch, 1, 32, 32))
    assert list(path.parent.iterdir()) == [path]

    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert {node.domain for node in model.graph.node} == {""}
    assert {opset.domain for opset in model.opset_import} == {""}
    assert not model.functions


def test_a_model_says_what_goes_in_and_out_and_what_it_is(make_checkpoint, tmp_path):
    gray = replace(SHALLOW, out_channels=1)
    checkpoint = make_checkpoint(generator=gray, out_channels=1, data="/home/alice/pairs")
    path = tmp_path / "model.onnx"
    export_onnx(checkpoint, path, size=64)
    session = onnxruntime.InferenceSession(path)
    (label_map,), (photo,) = session.get_inputs(), session.get_outputs()
    assert (label_map.name, label_map.type, label_map.shape) == (
        "label_map", "tensor(float)", ["batch", 3, 64, 64]
    )  # fmt: skip
    assert (photo.name, photo.type, photo.shape) == (
        "photo", "tensor(float)", ["batch", 1, 64, 64]
    )  # fmt: skip
    described = session.get_modelmeta().custom_metadata_map["config.json"]
    known = json.loads((checkpoint / "config.json").read_text())
    assert json.loads(described) == known | {"data": "pairs"}
    assert b".py" not in path.read_bytes()  # no paths of the machine that exported it
    assert b"alice" not in path.read_bytes()


def test_a_dynamic_size_takes_every_multiple(make_checkpoint, tmp_path):
    noisy = replace(SHALLOW, noise=0.3, upsample="resize")
    checkpoint, path = make_checkpoint(generator=noisy), tmp_path / "model.onnx"
    assert export_onnx(checkpoint, path, dynamic_size=True).tolerable
    for shape in ((1, 3, 4, 4), (2, 3, 8, 4), (3, 3, 12, 16)):  # innermost 1x1 to 3x4
        assert_same_photos(path, checkpoint, shape)
    assert {node.domain for node in onnx.load(path).graph.node} == {""}


def test_float16_halves_the_convolutions_only(make_checkpoint, tmp_path):
    checkpoint, path = make_checkpoint(generator=SHALLOW), tmp_path / "model.onnx"
    differences = export_onnx(checkpoint, path, float16=True)
    assert 1e-5 < differences.random < differences.tolerance == 0.03
    assert_same_photos(path, checkpoint, (3, 3, 32, 32), tolerance=0.03)
    weights = load_file(checkpoint / "model.safetensors")
    types = {tensor.name: tensor.data_type for tensor in onnx.load(path).graph.initializer}
    half = [name for name, tensor in weights.items() if tensor.ndim == 4]
    assert {types[f"generator.{name}"] for name in half} == {onnx.TensorProto.FLOAT16}
    norms = [kind for name, kind in types.items() if ".norm." in name]
    assert set(norms) == {onnx.TensorProto.FLOAT}


def test_a_model_that_differs_is_not_written(make_checkpoint, tmp_path, monkeypatch):
    checkpoint, path = make_checkpoint(norm="none"), tmp_path / "model.onnx"
    path.write_bytes(b"an earlier one")

    def exported(label_maps):  # NaN differs from everything, itself included
        return torch.full_like(label_maps, torch.nan)

    monkeypatch.setattr("pix2pix_ilm.serving.onnx_export.exported_network", lambda _: exported)
    with pytest.raises(UserError, match=r"model\.onnx: not written, because its photos differ"):
        export_onnx(checkpoint, path)
    assert path.read_bytes() == b"an earlier one"
    assert sorted(tmp_path.iterdir()) == sorted([checkpoint, path])


def test_folders_made_for_what_cannot_be_written_go_again(make_checkpoint, tmp_path, monkeypatch):
    def full(path, _):
        raise UserError(f"{path}: cannot be written (No space left on device)")

    checkpoint = make_checkpoint(norm="none")
    monkeypatch.setattr("pix2pix_ilm.serving.onnx_export.write_atomically", full)
    with pytest.raises(UserError, match=r"b/model\.onnx: cannot be written"):
        export_onnx(checkpoint, tmp_path / "a" / "b" / "model.onnx")
    assert list(tmp_path.iterdir()) == [checkpoint]


def test_the_largest_difference_of_all_sizes_counts(make_checkpoint):
    generator, _ = load_generator(make_checkpoint())

    def run(label_map):
        return infer(generator, label_map) + 0.25 * (label_map.shape[3] == 64)

    differences = compare(generator, run, [(32, 32), (32, 64), (32, 32)], tolerance=0.2)
    assert differences.random == pytest.approx(0.25, abs=1e-6)
    assert differences.drawn == pytest.approx(0.25, abs=1e-6)
    assert not differences.tolerable
    assert compare(generator, run, [(32, 32)], tolerance=0.0).tolerable


@pytest.mark.parametrize(("height", "width"), [(16, 16), (300, 400)])
def test_drawn_label_maps_have_the_classes_colors_at_any_size(height, width):
    label_maps = drawn_labels(3, height, width)
    assert label_maps.shape == (2, 3, height, width)
    colors = {tuple(color) for color in to_uint8(label_maps).flatten(0, 2).unique(dim=0).tolist()}
    assert len(colors) > 3
    assert colors <= {tuple(color) for color in FACADES_COLORS.values()}
    assert drawn_labels(1, height, width).shape == (2, 1, height, width)


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
def test_missing_packages_are_named_with_what_to_do(
    package, make_checkpoint, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, package, None)
    message = rf"export: {package} is missing; \(uv\) pip install {package}"
    with pytest.raises(UserError, match=message):
        export_onnx(make_checkpoint(), tmp_path / "model.onnx")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 48}, "size: expected a multiple of 32, found 48"),
        ({"size": 0}, "size: expected a multiple of 32, found 0"),
        (
            {"size": 64, "dynamic_size": True},
            "size: expected none where the size is dynamic",
        ),
    ],
)
def test_sizes_that_do_not_fit_are_refused(options, message, make_checkpoint, tmp_path):
    with pytest.raises(UserError, match=f"^{message}"):
        export_onnx(make_checkpoint(), tmp_path / "model.onnx", **options)
    assert not (tmp_path / "model.onnx").exists()


def test_what_is_no_checkpoint_is_refused(tmp_path):
    with pytest.raises(UserError, match="no such checkpoint"):
        export_onnx(tmp_path / "nowhere", tmp_path / "model.onnx")


def test_a_network_beyond_one_files_limit_is_refused(make_checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_export, "PROTOBUF_LIMIT", 100_000)
    with pytest.raises(UserError, match="expected less than 2 GB of weights"):
        export_onnx(make_checkpoint(), tmp_path / "model.onnx")


@pytest.mark.parametrize("options", [{}, {"dynamic_size": True}, {"float16": True}], ids=str)
def test_a_generator_of_classes_takes_colors_and_finds_the_classes(
    make_checkpoint, tmp_path, options
):
    checkpoint = make_checkpoint(generator=SHALLOW, label_classes=FACADES_PALETTE)
    path = tmp_path / "model.onnx"
    assert export_onnx(checkpoint, path, **options).tolerable
    session = onnxruntime.InferenceSession(path)
    assert session.get_inputs()[0].shape[1] == 3
    assert {node.domain for node in onnx.load(path).graph.node} == {""}
    described = json.loads(session.get_modelmeta().custom_metadata_map["config.json"])
    assert described["palette"]["classes"][1] == {"name": "facade", "color": [0, 48, 255]}

    colors = torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8)  # with equal distances too
    middle = (FACADES_PALETTE.colors[0].astype(int) + FACADES_PALETTE.colors[6]) // 2
    colors[0, :8] = torch.from_numpy(middle.astype(np.uint8))
    photos = Translator.load(checkpoint, "cpu")(list(colors.numpy()))
    found = to_uint8(torch.from_numpy(photo_of(path, to_model_range(colors)))).numpy()
    assert abs(found.astype(int) - np.stack(photos)).max() <= (4 if options.get("float16") else 1)


def test_the_classes_in_onnx_are_the_palettes_for_colors_of_every_kind():
    network = ColorsToPhotos(nn.Identity(), FACADES_PALETTE)
    levels = torch.arange(0, 256, 3)
    colors = torch.cartesian_prod(levels, levels, levels).to(torch.uint8).view(1, 86, -1, 3)
    shown = network(to_model_range(colors)).argmax(dim=1)
    assert np.array_equal(shown[..., None].numpy(), FACADES_PALETTE.nearest(colors.numpy()))
