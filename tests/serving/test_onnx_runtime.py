"""Photos by ONNX Runtime against those by PyTorch."""

import shutil
import sys

import numpy as np
import onnx
import pytest
import torch
from conftest import leaving_out_checks, write_checkpoint

from pix2pix_ilm.cli import main
from pix2pix_ilm.data.palette import FACADES_PALETTE
from pix2pix_ilm.data.synthetic.dataset import draw_pair
from pix2pix_ilm.errors import SettingError, UserError
from pix2pix_ilm.models.generator import GeneratorConfig
from pix2pix_ilm.serving.onnx_export import export_onnx
from pix2pix_ilm.serving.onnx_runtime import ONNX_MODEL, load_exported
from pix2pix_ilm.serving.translator import Translator
from pix2pix_ilm.web.model_store import ModelStore

# The tests' checks of shapes would compare, and so fix, the sizes that an export leaves open.
pytestmark = pytest.mark.usefixtures("unchecked")
FLAT = np.broadcast_to(np.array([0, 48, 255], np.uint8), (40, 72, 3))
SMALL = GeneratorConfig(ngf=4, depth=3, norm="ilm-in", upsample="resize", noise=0.2, dropout=0.5)


@pytest.fixture(scope="module")
def exported_once(tmp_path_factory):
    folder = tmp_path_factory.mktemp("onnx")
    folder = write_checkpoint(folder, generator=SMALL, label_classes=FACADES_PALETTE)
    with leaving_out_checks():
        export_onnx(folder, folder / ONNX_MODEL, dynamic_size=True)
    return folder


@pytest.fixture
def exported(exported_once, tmp_path):
    """A checkpoint of label classes with its exported network beside it."""
    return shutil.copytree(exported_once, tmp_path / "exported")


def apart(first: np.ndarray, second: np.ndarray) -> int:
    """Largest difference in levels."""
    return abs(first.astype(int) - second.astype(int)).max()


def test_photos_are_those_of_pytorch(exported):
    """Of drawn maps, flat ones, other sizes than multiples, and indices of classes."""
    by_onnx, by_torch = (
        Translator.load(exported, "cpu", backend=name) for name in ("onnx", "torch")
    )
    assert by_onnx.exported is not None
    drawn = draw_pair(3, 45)[0]
    indices = FACADES_PALETTE.nearest(drawn)
    for label_maps in ([FLAT], [drawn, drawn[:, ::-1].copy()], [indices]):
        ours, theirs = (made(label_maps, batch_size=2) for made in (by_onnx, by_torch))
        assert len(ours) == len(theirs)
        assert max(map(apart, ours, theirs)) <= 1
        assert ours[0].std() > 1


def test_it_is_chosen_by_itself_where_it_is_there_and_fits(exported, make_checkpoint):
    assert Translator.load(exported, "cpu").exported is not None
    assert Translator.load(exported, "cpu", fast=True).exported is None
    with pytest.raises(SettingError, match="backend: expected torch or auto with fast"):
        Translator.load(exported, "cpu", fast=True, backend="onnx")
    assert Translator.load(make_checkpoint("plain"), "cpu").exported is None


def test_the_page_uses_an_export_as_soon_as_it_is_there(exported):
    store = ModelStore(exported.parent, device="cpu")
    model = store.scan().models[exported.name]
    file = (exported / ONNX_MODEL).rename(exported / "elsewhere")
    assert store.load(model).exported is None
    file.rename(exported / ONNX_MODEL)
    assert store.load(model).exported is not None


def test_variations_are_drawn_by_pytorch(exported):
    translators = [Translator.load(exported, "cpu", backend=name) for name in ("onnx", "torch")]
    ours, theirs = (translator([FLAT], sample=1)[0] for translator in translators)
    assert np.array_equal(ours, theirs)


def test_an_export_of_other_weights_is_not_used(exported, make_checkpoint):
    torch.manual_seed(1)  # every test starts with the same seed, and the exported one did
    other = make_checkpoint("other", generator=SMALL, label_classes=FACADES_PALETTE)
    (exported / "model.safetensors").write_bytes((other / "model.safetensors").read_bytes())
    assert load_exported(exported, "auto") is None
    with pytest.raises(UserError, match=r"found others; write it with: pix2pix-ilm export onnx"):
        load_exported(exported, "onnx")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file; write it"),
        (b"", "cannot be read"),
        (b"no model", "cannot be read"),
        ({}, "any size, found one of a fixed size"),
        ({"dynamic_size": True, "float16": True}, "in float32, found float16"),
    ],
)
def test_what_does_not_fit_is_named(make_checkpoint, content, message):
    folder = make_checkpoint(generator=GeneratorConfig(ngf=4, depth=2))
    if isinstance(content, dict):
        export_onnx(folder, folder / ONNX_MODEL, **content)
    elif content is not None:
        (folder / ONNX_MODEL).write_bytes(content)
    assert load_exported(folder, "auto") is None
    with pytest.raises(UserError, match=message):
        load_exported(folder, "onnx")


def test_without_onnx_runtime_pytorch_translates(exported, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setattr("pix2pix_ilm.serving.onnx_runtime.find_spec", lambda _: None)
    assert load_exported(exported, "auto") is None
    with pytest.raises(UserError, match="pip install"):
        load_exported(exported, "onnx")


def test_the_command_line_asks_for_it(make_checkpoint, tmp_path, capsys):
    folder = make_checkpoint(generator=GeneratorConfig(ngf=4, depth=2))
    arguments = ["translate", tmp_path, "--checkpoint", folder, "--out", tmp_path / "out"]
    Translator.load(folder)  # it is a good one
    (tmp_path / "1.png").write_bytes(b"")
    with pytest.raises(SystemExit) as ended:
        main([*map(str, arguments), "--backend", "onnx"])
    assert ended.value.code == 2
    assert "model.onnx: no such file" in capsys.readouterr().err


def test_a_resize_layer_is_exported_as_one_transposed_convolution(exported):
    operators = [node.op_type for node in onnx.load(exported / ONNX_MODEL).graph.node]
    assert "Resize" not in operators
    assert operators.count("ConvTranspose") == SMALL.depth
