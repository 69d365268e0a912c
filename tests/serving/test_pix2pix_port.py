"""Imported generators against the port's U-Net, stated here once more with its nested blocks."""

import json
import pickle
from collections import OrderedDict
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from pix2pix_ilm.checkpoints import discriminator_weights, load_generator
from pix2pix_ilm.errors import UserError
from pix2pix_ilm.models.generator import GeneratorConfig
from pix2pix_ilm.serving.pix2pix_port import import_generator, with_turned_inputs
from pix2pix_ilm.serving.translator import Translator

PORT_NORMS = {
    "batch": nn.BatchNorm2d,
    "instance": nn.InstanceNorm2d,
    "tracking instance": partial(nn.InstanceNorm2d, track_running_stats=True),  # in old versions
    "none": nn.Identity,
}


class SkipBlock(nn.Module):
    """A level of the port's U-Net: down, the levels below, up, beside what came in.

    The activations work in place, so that the skip is what the LeakyReLU made of it.
    """

    def __init__(self, norm: str, outer: int, inner: int, below: nn.Module | None, drop: bool):
        super().__init__()
        bias = "instance" in norm
        down = [nn.LeakyReLU(0.2, inplace=True), nn.Conv2d(outer, inner, 4, 2, 1, bias=bias)]
        joined = inner
        if below is not None:
            down += [PORT_NORMS[norm](inner), below]
            joined = 2 * inner
        up = [nn.ReLU(inplace=True), nn.ConvTranspose2d(joined, outer, 4, 2, 1, bias=bias)]
        dropout = [nn.Dropout(0.5)] if drop else []
        self.model = nn.Sequential(*down, *up, PORT_NORMS[norm](outer), *dropout)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.model(x)], 1)


class OutermostBlock(nn.Module):
    def __init__(self, norm: str, channels: tuple[int, int], ngf: int, below: nn.Module):
        super().__init__()
        self.model = nn.Sequential(
            nn.Conv2d(channels[0], ngf, 4, 2, 1, bias="instance" in norm),
            below,
            nn.ReLU(inplace=True),
            nn.ConvTranspose2d(2 * ngf, channels[1], 4, 2, 1),
            nn.Tanh(),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


class PortUNet(nn.Module):
    """``unet_128`` (depth 7) and ``unet_256`` (depth 8) of the port, with random weights."""

    def __init__(
        self,
        norm: str,
        channels: tuple[int, int] = (3, 3),
        depth: int = 5,
        ngf: int = 8,
        drop=False,
    ):
        super().__init__()
        block = SkipBlock(norm, ngf * 8, ngf * 8, None, drop=False)
        for _ in range(depth - 5):
            block = SkipBlock(norm, ngf * 8, ngf * 8, block, drop)
        for outer in (ngf * 4, ngf * 2, ngf):
            block = SkipBlock(norm, outer, 2 * outer, block, drop=False)
        self.model = OutermostBlock(norm, channels, ngf, block)
        self.apply(randomize)

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


def randomize(layer: nn.Module) -> None:
    """Weights and running statistics of ordinary size, none at its initial value."""
    for tensor in [*layer.parameters(recurse=False), *layer.buffers(recurse=False)]:
        if tensor.ndim > 1:
            nn.init.kaiming_normal_(tensor)
        elif tensor.ndim == 1:
            nn.init.uniform_(tensor, 0.2, 0.8)


def saved(weights: dict[str, Tensor], folder: Path, name: str = "latest_net_G.pth") -> Path:
    torch.save(weights, folder / name)
    return folder / name


def imported(port: nn.Module, folder: Path, **options):
    """The generator that a saved network becomes, and what its folder says.

    Both are left in float64, where what differs is more than the order of sums.
    """
    import_generator(saved(port.state_dict(), folder), folder / "model", **options)
    generator, model_config = load_generator(folder / "model")
    port.double()
    return generator.double(), model_config


def draw_label(*shape: int) -> Tensor:
    return torch.rand(shape, dtype=torch.float64) * 2 - 1


@torch.no_grad()
def assert_same_photos(generator: nn.Module, port: nn.Module, label_map: Tensor) -> None:
    photo = generator(label_map)
    torch.testing.assert_close(photo, port(label_map))
    assert photo.std() > 0.1


@pytest.mark.parametrize("channels", [(3, 3), (1, 3), (3, 1)], ids=str)
@pytest.mark.parametrize("depth", [7, 8], ids=["unet_128", "unet_256"])
@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
def test_an_imported_generator_makes_the_ports_photos(norm, depth, channels, tmp_path):
    port = PortUNet(norm, channels, depth)
    generator, model_config = imported(port, tmp_path)
    size = 2**depth
    assert_same_photos(generator, port.eval(), draw_label(2, channels[0], size, size))
    assert (model_config.image_size, model_config.direction) == (size, "BtoA")
    assert model_config.data == "imported from latest_net_G.pth"


def test_running_statistics_of_instance_norm_are_ignored_as_the_port_does(tmp_path):
    old, port = PortUNet("tracking instance"), PortUNet("instance")
    port.load_state_dict(old.state_dict(), strict=False)
    generator, _ = imported(old, tmp_path)
    assert_same_photos(generator, port.double().eval(), draw_label(2, 3, 32, 32))


@pytest.mark.parametrize("size", [(64, 64), (32, 96)], ids=str)
def test_batch_statistics_make_the_photos_of_the_port_without_eval(size, tmp_path):
    port = PortUNet("batch")
    generator, _ = imported(port, tmp_path, batch_statistics=True)
    label_map = draw_label(1, 3, *size)
    assert_same_photos(generator, port.train(), label_map)
    with torch.no_grad():
        assert (generator(label_map) - port.eval()(label_map)).abs().max() > 0.1


@torch.no_grad()
def test_with_batch_statistics_images_in_a_batch_stay_apart(tmp_path):
    generator, _ = imported(PortUNet("batch"), tmp_path, batch_statistics=True)
    label_maps = draw_label(2, 3, 32, 32)
    torch.testing.assert_close(generator(label_maps)[:1], generator(label_maps[:1]))


def test_dropout_acts_where_the_port_has_it(tmp_path):
    port = PortUNet("instance", depth=8, drop=True).train()
    generator, _ = imported(port, tmp_path)
    generator.train()
    label_map = draw_label(1, 3, 256, 256)
    torch.manual_seed(1)
    with torch.no_grad():
        expected = port(label_map)
        torch.manual_seed(1)
        torch.testing.assert_close(generator(label_map), expected)
        assert (generator(label_map) - expected).abs().max() > 0.01


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod.module."])
@pytest.mark.parametrize("norm", ["batch", "tracking instance"])
def test_wrappers_of_the_network_do_not_matter(prefix, norm, tmp_path):
    port = PortUNet(norm)
    plain = {name: tensor.half() for name, tensor in port.state_dict().items()}
    wrapped = OrderedDict((prefix + name, tensor) for name, tensor in plain.items())
    for number, weights in enumerate((plain, wrapped)):
        import_generator(saved(weights, tmp_path), tmp_path / str(number))
    first, second = (tmp_path / name / "model.safetensors" for name in "01")
    assert first.read_bytes() == second.read_bytes()


def test_files_of_old_and_of_safe_formats_are_read_alike(tmp_path):
    weights = PortUNet("batch").state_dict()
    old = {name: t for name, t in weights.items() if not name.endswith("num_batches_tracked")}
    torch.save(old, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    save_file(weights, tmp_path / "safe.SAFETENSORS")
    label_map = torch.rand(1, 3, 32, 32)
    photos = []
    for source in (tmp_path / "old.pth", tmp_path / "safe.SAFETENSORS"):
        import_generator(source, tmp_path / source.stem)
        with torch.no_grad():
            photos.append(load_generator(tmp_path / source.stem)[0](label_map))
    assert torch.equal(*photos)


def test_an_import_is_a_checkpoint_like_any_other(tmp_path):
    source = saved(PortUNet("instance", (1, 3)).state_dict(), tmp_path)
    (tmp_path / "model").mkdir()  # an empty folder is as good as none
    model_config = import_generator(source, tmp_path / "model", direction="AtoB")
    translator = Translator.load(tmp_path / "model", "cpu")
    assert translator.config == model_config
    assert model_config.direction == "AtoB"
    label_map = torch.randint(0, 256, (40, 50, 1), dtype=torch.uint8).numpy()
    assert translator([label_map])[0].shape == (40, 50, 3)
    files = {path.name for path in (tmp_path / "model").iterdir()}
    assert files == {"config.json", "model.safetensors"}
    generator = json.loads((tmp_path / "model" / "config.json").read_text())["generator"]
    assert (generator["ngf"], generator["depth"]) == (8, 5)
    assert (generator["norm"], generator["norm_options"]["affine"]) == ("in", False)


class ConvModule(nn.Module):
    """mmcv's activation, convolution and norm, in this order."""

    def __init__(self, act: nn.Module | None, conv: nn.Module, bn: nn.Module | None):
        super().__init__()
        self.conv = conv
        if bn is not None:
            self.bn = bn
        self.activate = act or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return getattr(self, "bn", nn.Identity())(self.conv(self.activate(x)))


class MmagicBlock(nn.Module):
    """A level of mmagic's U-Net with BatchNorm; the outermost one has no skip."""

    def __init__(self, outer: int, inner: int, below: nn.Module | None, channels: int = 0):
        super().__init__()
        outermost, joined = channels > 0, inner if below is None else 2 * inner
        down = nn.Conv2d(channels or outer, inner, 4, 2, 1, bias=False)
        up = nn.ConvTranspose2d(joined, outer, 4, 2, 1, bias=outermost)
        self.skips = not outermost
        inside = below is not None and not outermost
        layers = [
            ConvModule(
                None if outermost else nn.LeakyReLU(0.2, inplace=True),
                down,
                nn.BatchNorm2d(inner) if inside else None,
            ),
            *([] if below is None else [below]),
            ConvModule(nn.ReLU(), up, None if outermost else nn.BatchNorm2d(outer)),
        ]
        self.model = nn.Sequential(*layers, *([nn.Tanh()] if outermost else []))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.model(x)], 1) if self.skips else self.model(x)


class MmagicUNet(nn.Module):
    def __init__(self, ngf: int = 8):
        super().__init__()
        block = MmagicBlock(8 * ngf, 8 * ngf, None)
        for width in (8, 4, 2, 1):
            block = MmagicBlock(width * ngf, min(2 * width, 8) * ngf, block)
        self.model = MmagicBlock(3, ngf, block, channels=3)
        self.apply(randomize)

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


@pytest.mark.parametrize("prefix", ["", "generator.", "generators.photo."])
def test_an_imported_generator_of_mmagic_makes_its_photos(prefix, tmp_path):
    theirs = MmagicUNet()
    weights = {prefix + name: tensor for name, tensor in theirs.state_dict().items()}
    if prefix:
        weights |= {"discriminators.photo.conv.weight": torch.zeros(1)}
    content = {"meta": {"epoch": 3}, "state_dict": weights} if prefix else weights
    import_generator(saved(content, tmp_path), tmp_path / "model")
    generator, model_config = load_generator(tmp_path / "model")
    assert (model_config.image_size, model_config.generator.norm) == (64, "bn")
    assert_same_photos(generator.double(), theirs.double().eval(), draw_label(2, 3, 64, 64))


def test_channels_in_the_other_order_are_turned(tmp_path):
    theirs = MmagicUNet()
    import_generator(saved(theirs.state_dict(), tmp_path), tmp_path / "model", bgr=True)
    generator, _ = load_generator(tmp_path / "model")
    label_map = draw_label(2, 3, 64, 64)
    with torch.no_grad():
        expected = theirs.double().eval()(label_map.flip(1)).flip(1)
        torch.testing.assert_close(generator.double()(label_map), expected)


@pytest.mark.parametrize(("channels", "order"), [(3, [2, 1, 0, 5, 4, 3]), (1, [0, 3, 2, 1])])
def test_the_discriminator_beside_it_is_turned_too(tmp_path, channels, order):
    generator = GeneratorConfig(ngf=4, depth=5, in_channels=channels)
    weight = torch.arange(channels + 3).expand(4, -1)[..., None, None].float()
    turned = with_turned_inputs({"layers.0.weight": weight, "other": weight}, generator)
    assert turned["layers.0.weight"][0].flatten().tolist() == order
    assert turned["other"] is weight
    with pytest.raises(UserError, match=f"expected {channels + 3} channels of label map and"):
        with_turned_inputs({"layers.0.weight": torch.ones(4, 2, 4, 4)}, generator)
    judge = {"layers.0.weight": torch.rand(4, 6, 4, 4)}
    file = saved(MmagicUNet().state_dict(), tmp_path)
    import_generator(file, tmp_path / "model", bgr=True, discriminator=judge)
    kept = discriminator_weights(tmp_path / "model")["layers.0.weight"]
    assert torch.equal(kept, judge["layers.0.weight"][:, [2, 1, 0, 5, 4, 3]])


def test_a_tensor_of_mmagic_that_does_not_fit_is_named(tmp_path):
    weights = MmagicUNet().state_dict()
    weights["model.model.7.conv.weight"] = torch.zeros(1)
    assert_refused(saved(weights, tmp_path), "model.model.7.conv.weight: not in a U-Net")


INNERMOST = "model.model.1.model.3.model.3.model.3.model"


def with_changed(name: str, tensor: Tensor | None):
    """An edit of a file's tensors: one of another shape, one more, or (None) one less."""

    def edit(weights: dict[str, Tensor]) -> None:
        weights.pop(name, None)
        if tensor is not None:
            weights[name] = tensor

    return edit


@pytest.mark.parametrize(
    ("norm", "edit", "message"),
    [
        ("batch", with_changed(f"{INNERMOST}.1.weight", None), f"{INNERMOST}.1.weight: missing"),
        ("batch", with_changed(f"{INNERMOST}.4.running_var", None),
         f"{INNERMOST}.4.running_var: missing"),
        ("instance", with_changed(f"{INNERMOST}.1.bias", None), f"{INNERMOST}.1.bias: missing"),
        ("none", with_changed("model.model.0.weight", None), "model.model.0.weight: missing"),
        ("none", with_changed("model.model.3.bias", None), "model.model.3.bias: missing"),
        ("none", with_changed("model.model.0.weight", torch.zeros(8)),
         "model.model.0.weight: expected 4 dimensions, found (8,)"),
        ("none", with_changed("model.model.3.weight", torch.zeros(8, 3, 4, 4)),
         "model.model.3.weight: expected shape (16, 3, 4, 4), found (8, 3, 4, 4)"),
        ("none", with_changed("model.model.3.weight", torch.zeros(16, 2, 4, 4)),
         "generator.out_channels: expected 1 (gray) or 3 (color), found 2"),
        ("none", with_changed(f"{INNERMOST}.4.running_mean", torch.zeros(64)),
         f"{INNERMOST}.4.running_mean: not in a U-Net generator of this depth and norm"),
        ("instance", with_changed("model.model.5.weight", torch.zeros(1)),
         "model.model.5.weight: not in a U-Net generator of this depth and norm"),
        ("none", with_changed(f"model.model.1.model.{'3.model.' * 9}1.bias", torch.zeros(1)),
         "generator.depth: expected 2 to 10, found 11"),
    ],
)  # fmt: skip
def test_the_first_tensor_that_does_not_fit_is_named(norm, edit, message, tmp_path):
    weights = PortUNet(norm).state_dict()
    edit(weights)
    assert_refused(saved(weights, tmp_path), message)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("model.10.conv_block.1.weight", "of a ResNet generator, which is not supported"),
        ("model.0.weight", "not of a U-Net generator of pytorch-CycleGAN-and-pix2pix"),
        ("net.0.weight", "not of a U-Net generator of pytorch-CycleGAN-and-pix2pix"),
    ],
    ids=["ResNet generator", "discriminator", "pixel discriminator"],
)
def test_files_of_other_networks_are_refused(name, message, tmp_path):
    source = saved({name: torch.zeros(8, 6, 4, 4)}, tmp_path)
    assert_refused(source, f"{name}: {message}")


def test_batch_statistics_need_batch_norm(tmp_path):
    source = saved(PortUNet("instance").state_dict(), tmp_path)
    assert_refused(source, "has no BatchNorm, of which batch stat", batch_statistics=True)


class Trap:
    """What runs when it is unpickled."""

    def __reduce__(self):
        return Path.touch, (Path("trapped"),)


def test_nothing_in_a_file_is_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, save in (("new.pth", torch.save), ("pickle.pth", dump)):
        save({"model.model.0.weight": Trap()}, tmp_path / name)
        assert_refused(tmp_path / name, "cannot be read (damaged, or more than plain")
    assert not Path("trapped").exists()


def dump(content: object, path: Path) -> None:
    path.write_bytes(pickle.dumps(content, protocol=2))  # of those that PyTorch itself writes


@pytest.mark.parametrize("share", [0, 0.5, 0.99])
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_truncated_files_are_refused(share, zipped, tmp_path):
    source = tmp_path / "latest_net_G.pth"
    weights = PortUNet("batch").state_dict()
    torch.save(weights, source, _use_new_zipfile_serialization=zipped)
    source.write_bytes(source.read_bytes()[: int(share * source.stat().st_size)])
    assert_refused(source, "cannot be read (")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "expected tensors by name, found none"),
        (torch.ones(2), "expected tensors by name, found Tensor"),
        ({"epoch": 3}, "epoch: expected a tensor, found int"),
        ({3: torch.ones(2)}, "3: expected a tensor with a name"),
    ],
)
def test_files_without_named_tensors_are_refused(content, message, tmp_path):
    torch.save(content, tmp_path / "latest_net_G.pth")
    assert_refused(tmp_path / "latest_net_G.pth", message)


@pytest.mark.filterwarnings("ignore:`torch.jit.*deprecated")
def test_modules_and_torchscript_are_refused_without_others_warnings(tmp_path):
    torch.save(nn.Conv2d(3, 3, 1), tmp_path / "module.pth")
    torch.jit.save(torch.jit.script(nn.Conv2d(3, 3, 1)), tmp_path / "script.pth")
    for name in ("module.pth", "script.pth"):
        assert_refused(tmp_path / name, "cannot be read (damaged, or more than plain weights, such")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda weight: weight * torch.nan, "expected finite numbers"),
        (lambda weight: weight.double() * 1e300, "expected finite numbers"),
        (lambda weight: weight.int(), "expected torch.float32, found torch.int32"),
        (lambda weight: weight.to_sparse(), "expected a dense tensor, found torch.sparse_coo"),
    ],
)
def test_weights_that_cannot_be_used_are_refused_by_name(tmp_path, change, message):
    name, weights = "model.model.1.model.1.weight", PortUNet("batch").state_dict()
    weights[name] = change(weights[name])
    assert_refused(saved(weights, tmp_path), f"{name}: {message}")


def test_an_empty_safetensors_file_is_refused(tmp_path):
    save_file({}, tmp_path / "empty.safetensors")
    assert_refused(tmp_path / "empty.safetensors", "expected tensors by name, found none")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere.pth", "no such file"),
        ("folder.pth", "expected a file of weights, found a folder"),
        ("photo.pth", "cannot be read ("),
        ("photo.safetensors", "cannot be read ("),
    ],
)
def test_what_is_no_file_of_weights_is_refused(name, message, tmp_path):
    (tmp_path / "folder.pth").mkdir()
    for photo in ("photo.pth", "photo.safetensors"):
        (tmp_path / photo).write_bytes(b"\x89PNG\r\n\x1a\n" * 100)
    assert_refused(tmp_path / name, message)


def assert_refused(source: Path, message: str, **options) -> None:
    """One line that begins with the file and what is wrong with it; nothing is left behind."""
    before = sorted(source.parent.iterdir())
    with pytest.raises(UserError) as refusal:
        import_generator(source, source.parent / "model", **options)
    assert str(refusal.value).startswith(f"{source}: {message}")
    assert "\n" not in str(refusal.value)
    assert sorted(source.parent.iterdir()) == before


def test_a_folder_with_something_in_it_is_left_alone(tmp_path):
    source = saved(PortUNet("batch").state_dict(), tmp_path)
    for out in (tmp_path, source):
        with pytest.raises(UserError, match="is not empty; choose a new folder"):
            import_generator(source, out)
    assert list(tmp_path.iterdir()) == [source]


def test_a_failing_disk_leaves_nothing_behind(tmp_path, monkeypatch):
    source = saved(PortUNet("batch").state_dict(), tmp_path)

    def fail(*_):
        raise UserError("disk full")

    monkeypatch.setattr("pix2pix_ilm.checkpoints.write_json", fail)
    with pytest.raises(UserError, match="disk full"):
        import_generator(source, tmp_path / "model")
    assert list(tmp_path.iterdir()) == [source]
