"""ILM Norm in networks of torchvision, none of which is downloaded."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel
from torchvision import models, ops
from torchvision.models.convnext import CNBlockConfig, ConvNeXt, LayerNorm2d
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.models.detection.faster_rcnn import FastRCNNConvFCHead
from torchvision.models.optical_flow import raft_large, raft_small
from torchvision.models.segmentation.deeplabv3 import ASPPPooling

from pix2pix_ilm.models.conversion import Conversion, convert_norms
from pix2pix_ilm.models.norms import ILMNorm2d

group_norm = partial(nn.GroupNorm, 16)


def mask_rcnn() -> MaskRCNN:
    backbone = resnet_fpn_backbone(
        backbone_name="resnet18", weights=None, norm_layer=group_norm, trainable_layers=5
    )
    return MaskRCNN(
        backbone,
        num_classes=3,
        min_size=64,
        max_size=64,
        rpn_anchor_generator=AnchorGenerator(((16,),) * 5, ((1.0,),) * 5),
        rpn_post_nms_top_n_train=20,
        rpn_post_nms_top_n_test=20,
        box_head=FastRCNNConvFCHead((256, 7, 7), [32, 32], [1024], norm_layer=group_norm),
    )


def boxed_images() -> tuple[Any, ...]:
    target = {
        "boxes": torch.tensor([[8.0, 8, 40, 40], [20, 4, 60, 30]]),
        "labels": torch.tensor([1, 2]),
        "masks": torch.ones(2, 64, 64, dtype=torch.uint8),
    }
    return [torch.rand(3, 64, 64)], [target]


@dataclass
class Network:
    """A small network, what it takes, and how it is converted."""

    build: Callable[[], nn.Module]
    inputs: Callable[[], tuple[Any, ...]]
    key_group_size: int = 16
    select: str | None = None
    layers: int = 0
    left: set[tuple[str, str]] = field(default_factory=set)

    def convert(self, module: nn.Module, **arguments) -> nn.Module:
        return convert_norms(module, self.key_group_size, select=self.select, **arguments)


def pair_of_images() -> tuple[Tensor, Tensor, int]:
    return torch.rand(1, 3, 128, 128), torch.rand(1, 3, 128, 128), 2


NETWORKS = {
    "ResNet-18": Network(
        partial(models.resnet18, norm_layer=group_norm),
        lambda: (torch.randn(2, 3, 64, 64),),
        layers=20,
    ),
    "RAFT small": Network(raft_small, pair_of_images, key_group_size=8, layers=21),
    "RAFT large": Network(
        raft_large,
        pair_of_images,
        select="feature_encoder.*",
        layers=15,
        left={("BatchNorm2d", "not selected")},
    ),
    "ConvNeXt": Network(
        lambda: ConvNeXt([CNBlockConfig(32, 64, 1), CNBlockConfig(64, None, 1)]),
        lambda: (torch.randn(2, 3, 32, 32),),
        layers=3,
        left={("LayerNorm", "not a type that is converted")},
    ),
    "Mask R-CNN": Network(
        mask_rcnn,
        boxed_images,
        select="roi_heads.box_head.*",
        layers=2,
        left={("GroupNorm", "not selected")},
    ),
}
every_network = pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS.keys())


def tensors_in(output) -> list[Tensor]:
    """Whatever a network returns, flat."""
    if isinstance(output, Tensor):
        return [output]
    if isinstance(output, dict):
        output = output.values()
    return [tensor for part in output for tensor in tensors_in(part)]


def evaluated(module: nn.Module, inputs: tuple[Any, ...]) -> list[Tensor]:
    torch.manual_seed(0)
    detects = isinstance(module, MaskRCNN)
    with torch.no_grad():
        return tensors_in(module.eval()(*(inputs[:1] if detects else inputs)))


def ilm_norms(module: nn.Module) -> list[ILMNorm2d]:
    return [layer for layer in module.modules() if isinstance(layer, ILMNorm2d)]


def randomized(module: nn.Module) -> nn.Module:
    """No affine parameter at the value that it would have anyway."""
    with torch.no_grad():
        for layer in module.modules():
            if isinstance(layer, nn.GroupNorm | nn.InstanceNorm2d | nn.BatchNorm2d | LayerNorm2d):
                for parameter in layer.parameters():
                    parameter.add_(torch.rand_like(parameter))
    return module


def report_of(module: nn.Module, key_group_size: int = 16, **arguments) -> Conversion:
    reports: list[Conversion] = []
    convert_norms(module, key_group_size, report=reports.append, **arguments)
    return reports[0]


def without_autoencoder(module: nn.Module) -> nn.Module:
    """Decode tanh(0) = 0 and sigmoid(0) = 0.5, and take the half off the weight again."""
    for norm in ilm_norms(module):
        nn.init.zeros_(norm.mean_decoder.weight)
        nn.init.zeros_(norm.var_decoder.weight)
        with torch.no_grad():
            norm.weight.sub_(0.5)
    return module


@every_network
def test_converted_networks_train(network):
    reports: list[Conversion] = []
    module = network.convert(network.build(), report=reports.append).train()
    assert len(ilm_norms(module)) == len(reports[0].changed) == network.layers
    assert {(layer.kind, layer.reason) for layer in reports[0].left} == network.left

    sum(tensor.square().mean() for tensor in tensors_in(module(*network.inputs()))).backward()
    gradients = [weight.grad for weight in module.parameters() if weight.grad is not None]
    assert all(gradient.isfinite().all() for gradient in gradients)
    for norm in ilm_norms(module):
        assert norm.weight.grad.abs().max() > 0
        assert norm.bias.grad.abs().max() > 0
    for part in ("encoder", "mean_decoder", "var_decoder"):
        linears = [getattr(norm, part) for norm in ilm_norms(module)]
        assert any(linear.weight.grad.abs().max() > 0 for linear in linears)


@every_network
def test_weights_are_saved_and_restored(network):
    module, other = network.convert(network.build()), network.convert(randomized(network.build()))
    inputs = network.inputs()
    other.load_state_dict(module.state_dict())
    torch.testing.assert_close(evaluated(other, inputs), evaluated(module, inputs))


@every_network
def test_weights_of_the_unconverted_network_fit(network):
    weights = randomized(network.build()).state_dict()
    module = network.convert(network.build())
    missing, unexpected = module.load_state_dict(weights, strict=False)
    assert not unexpected
    assert len(missing) >= 3 * network.layers
    assert all(torch.equal(module.state_dict()[name], value) for name, value in weights.items())


@pytest.fixture
def rounded_convolutions(monkeypatch):
    """Convolve in float32 and round to bfloat16.

    Without instructions for bfloat16 a processor takes minutes to convolve in it.
    """

    def rounded(convolve):
        def computed(x, weight, bias, *settings):
            with torch.autocast("cpu", enabled=False):
                bias = None if bias is None else bias.float()
                return convolve(x.float(), weight.float(), bias, *settings).bfloat16()

        return computed

    for name in ("conv2d", "conv_transpose2d"):
        monkeypatch.setattr(F, name, rounded(getattr(F, name)))


@every_network
@pytest.mark.usefixtures("rounded_convolutions")
def test_bfloat16_autocast_computes_close_to_float32(network):
    module, inputs = network.convert(network.build()), network.inputs()
    seen = []
    for norm in ilm_norms(module):
        norm.register_forward_hook(lambda _, inputs, output: seen.append((inputs[0], output)))
    with torch.autocast("cpu", torch.bfloat16):
        losses = tensors_in(module.train()(*inputs))
    assert all(loss.isfinite().all() for loss in losses)
    assert any(features.dtype is torch.bfloat16 for features, _ in seen)
    assert all(features.dtype is output.dtype for features, output in seen)
    sum(loss.float().mean() for loss in losses).backward()
    assert all(norm.weight.grad.isfinite().all() for norm in ilm_norms(module))


@pytest.mark.parametrize("name", ["ResNet-18", "RAFT small", "RAFT large", "Mask R-CNN"])
def test_without_its_autoencoder_the_network_computes_what_it_did(name):
    network = NETWORKS[name]
    module, inputs = randomized(network.build()), network.inputs()
    converted = without_autoencoder(network.convert(deepcopy(module)))
    expected = evaluated(module, inputs)
    torch.testing.assert_close(evaluated(converted, inputs), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("layer", "standardization", "expected"),
    [
        (nn.InstanceNorm2d(16, affine=True), "instance", F.instance_norm),
        (nn.GroupNorm(16, 16), "instance", F.instance_norm),
        (nn.GroupNorm(4, 16), "group", partial(F.group_norm, num_groups=4)),
        (nn.GroupNorm(1, 16), "layer", partial(F.group_norm, num_groups=1)),
        (LayerNorm2d((16,)), "layer", partial(F.group_norm, num_groups=1)),
        (nn.BatchNorm2d(16), "instance", F.instance_norm),
    ],
    ids=lambda value: repr(value) if isinstance(value, nn.Module) else "",
)
def test_statistics_are_those_of_the_layer(layer, standardization, expected):
    """The paper's LN takes those of an instance, where LayerNorm2d takes each position's own."""
    layer = randomized(deepcopy(layer)).double()
    x = 3 * torch.randn(2, 16, 5, 6, dtype=torch.float64) + 1
    weight, bias = layer.weight.detach().clone(), layer.bias.detach().clone()
    reports: list[Conversion] = []
    norm = convert_norms(layer, batch_norm=True, report=reports.append)
    assert [layer.standardization for layer in reports[0].changed] == [standardization]
    assert ("LayerNorm2d: its statistics" in str(reports[0])) is isinstance(layer, LayerNorm2d)
    output = weight[:, None, None] * expected(x, eps=layer.eps) + bias[:, None, None]
    torch.testing.assert_close(without_autoencoder(norm)(x), output)


TABLE_8 = {  # added weights / all weights, in percent, by key group size and depth
    (16, 18): 0.015,
    (16, 50): 0.086,
    (1, 18): 2.792,
    (1, 50): 20.696,
}


@pytest.mark.parametrize("norm_layer", [nn.BatchNorm2d, partial(nn.GroupNorm, 32)])
@pytest.mark.parametrize(("key_group_size", "depth"), TABLE_8)
def test_weights_added_to_resnets_are_those_of_table_8(key_group_size, depth, norm_layer):
    with torch.device("meta"):
        resnet = models.get_model(f"resnet{depth}", norm_layer=norm_layer)
    before = sum(weight.numel() for weight in resnet.parameters())
    conversion = report_of(resnet, key_group_size, batch_norm=True)
    after = sum(weight.numel() for weight in resnet.parameters())
    assert conversion.weights_before == before
    assert conversion.weights_added == after - before
    assert conversion.percent == pytest.approx(TABLE_8[key_group_size, depth], abs=5e-4)
    assert all(weight.is_meta for weight in resnet.parameters())


def test_a_report_says_how_much_of_what_was_changed():
    with torch.device("meta"):
        resnet = models.resnet18(norm_layer=partial(nn.GroupNorm, 32))
        table = str(report_of(resnet, select="layer[12]*")).splitlines()
    assert table == [
        "ILM Norm in 9 layers: 336 weights added to 11689512 (0.003 %)",
        "  layers  was             standardization  channels  weights added",
        "       4  GroupNorm       group                  64             96",
        "       5  GroupNorm       group                 128            240",
        "      11  GroupNorm       left: not selected",
    ]


def test_weights_that_a_layer_never_had_count_as_added():
    conversion = report_of(nn.Sequential(nn.InstanceNorm2d(16), nn.Conv2d(16, 1, 1)))
    assert conversion.weights_before == 17
    assert conversion.weights_added == 2 * 16 + 3 * 2
    assert report_of(nn.InstanceNorm2d(16)).percent == float("inf")


def plain_network() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 32, 3),
        nn.GroupNorm(4, 32, eps=0.25),
        nn.Sequential(nn.Conv2d(32, 16, 3), nn.InstanceNorm2d(16, eps=0.5)),
    )


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_device_dtype_and_mode_are_those_of_the_layer(device, dtype):
    network = plain_network().to(device, dtype)
    network[2].eval()
    convert_norms(network)
    assert {(weight.device.type, weight.dtype) for weight in network.parameters()} == {
        (device, dtype)
    }
    assert network[1].training
    assert not network[2][1].training
    assert (network[1].eps, network[2][1].eps) == (0.25, 0.5)
    assert network(torch.randn(1, 3, 9, 9).to(device, dtype)).dtype is dtype


def test_affine_parameters_are_the_very_same_and_stay_frozen():
    network = plain_network()
    weight, bias = network[1].weight.requires_grad_(False), network[1].bias
    convert_norms(network)
    assert network[1].weight is weight
    assert network[1].bias is bias
    assert not weight.requires_grad
    assert bias.requires_grad


def test_layers_without_affine_parameters_get_fresh_ones():
    network = nn.Sequential(nn.InstanceNorm2d(16), nn.GroupNorm(4, 16, bias=False))
    convert_norms(network)
    assert (network[0].weight == 1).all()
    assert all((norm.bias == 0).all() for norm in network)


@pytest.mark.parametrize(
    "select",
    ["2.*", lambda name, _: name == "2.1", lambda _, layer: isinstance(layer, nn.InstanceNorm2d)],
    ids=["pattern", "by name", "by layer"],
)
def test_a_selection_is_converted_alone(select):
    network = plain_network()
    conversion = report_of(network, select=select)
    assert [layer.names for layer in conversion.changed] == [("2.1",)]
    assert [layer.names for layer in conversion.left] == [("1",)]
    assert isinstance(network[1], nn.GroupNorm)


def test_shared_layers_are_converted_once_and_stay_shared():
    norm = nn.GroupNorm(4, 16)
    block = nn.Sequential(nn.Conv2d(16, 16, 1), norm)
    network = nn.Sequential(block, norm, block)
    conversion = report_of(network, select="1")
    assert [layer.names for layer in conversion.changed] == [("0.1", "1", "2.1")]
    assert network[0] is network[2]
    assert network[0][1] is network[1]
    assert len(ilm_norms(network)) == 1


def test_the_module_itself_is_returned_and_a_layer_by_its_version():
    network = plain_network()
    assert convert_norms(network) is network
    assert isinstance(convert_norms(nn.GroupNorm(4, 16)), ILMNorm2d)


class OwnNorm(nn.GroupNorm):
    def forward(self, input):
        return input


@pytest.mark.parametrize(
    "layer",
    [OwnNorm(4, 16), nn.LayerNorm(16), nn.BatchNorm1d(16), ops.FrozenBatchNorm2d(16)],
    ids=lambda layer: type(layer).__name__,
)  # fmt: skip
def test_other_norms_are_reported_and_left(layer):
    layer = deepcopy(layer)
    network = nn.Sequential(nn.GroupNorm(4, 16), layer)
    conversion = report_of(network)
    assert network[1] is layer
    assert [(layer.names, layer.kind, layer.reason) for layer in conversion.left] == [
        (("1",), type(layer).__name__, "not a type that is converted")
    ]


def layers_with(*layers: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 16, 1), nn.GroupNorm(4, 16), *layers)


@pytest.mark.parametrize(
    ("network", "arguments", "message"),
    [
        (layers_with(nn.BatchNorm2d(16)), {}, r"2: .* found a BatchNorm2d.*batch_norm=True"),
        (nn.BatchNorm2d(16), {}, r"module: .* found a BatchNorm2d"),
        (layers_with(nn.InstanceNorm2d(16, track_running_stats=True)), {},
         r"2: expected track_running_stats=False.*select="),
        (layers_with(nn.GroupNorm(4, 24), nn.GroupNorm(4, 8)), {},
         r"key_group_size: .*found 16, but 2 has 24 \(and 1 more layers do not fit\); 8 would fit"),
        (layers_with(), {"key_group_size": 0}, r"key_group_size: .*found 0, but 1 has 16; 1 would"),
        (nn.GroupNorm(4, 12), {}, r"key_group_size: .*found 16, but module has 12; 4 would fit"),
        (layers_with(), {"reduction": 0}, r"reduction: expected at least 1, found 0"),
        (layers_with(), {"select": "nowhere.*"}, r"found 1 GroupNorm \(not selected\); see select"),
        (layers_with(nn.LayerNorm(16)), {"select": "2"},
         r"found 1 GroupNorm \(not selected\), 1 LayerNorm \(not a type that is converted\)"),
        (ILMNorm2d(16), {}, r"found 1 ILMNorm2d \(is ILM Norm already\)"),
        (nn.Conv2d(3, 3, 1), {}, r"found no normalization layer"),
        (layers_with(), {"example": torch.ones(1, 3, 1, 1)}, r"found 1 GroupNorm \(receives 1x1 m"),
    ],
)  # fmt: skip
def test_nothing_is_changed_where_a_conversion_is_refused(network, arguments, message):
    layers, weights = [*network.named_modules()], deepcopy(network.state_dict())
    with pytest.raises(ValueError, match=message) as refusal:
        convert_norms(network, **arguments)
    assert "\n" not in str(refusal.value)
    assert [*network.named_modules()] == layers
    assert all(torch.equal(network.state_dict()[name], value) for name, value in weights.items())


class Pooled(nn.Module):
    """Layers that meet maps, 1x1 maps, both, a sequence, and nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.maps, self.pooled, self.both, self.sequence, self.unused = (
            nn.GroupNorm(4, 16) for _ in range(5)
        )
        self.batch, self.aspp = nn.BatchNorm2d(16), ASPPPooling(16, 16)

    def forward(self, x: Tensor, scale: float = 1) -> Tensor:
        x = F.dropout(self.batch(self.maps(x)) * scale, training=True)
        x = self.both(x) + self.aspp(x)
        y = self.both(self.pooled(x.mean((2, 3), keepdim=True)))
        return y.flatten(1) + self.sequence(x.flatten(2)).mean(2)


def test_an_example_finds_the_layers_that_are_no_place_for_ilm_norm():
    network = Pooled()
    conversion = report_of(network, example=(torch.randn(2, 16, 4, 4), 2.0), batch_norm=True)
    assert {layer.names[0]: layer.reason for layer in conversion.left} == {
        "pooled": "receives 1x1 maps",
        "aspp.2": "receives 1x1 maps",
        "sequence": "receives (2, 16, 16), not (B, C, H, W)",
    }
    changed = {layer.names[0] for layer in conversion.changed}
    assert changed == {"maps", "both", "batch", "unused"}
    network(torch.randn(2, 16, 4, 4))


class Named(nn.Module):
    """Names its layers' inputs, and has one that takes a map without a batch."""

    def __init__(self) -> None:
        super().__init__()
        self.grouped = nn.GroupNorm(4, 16)
        self.instance = nn.InstanceNorm2d(16, affine=True)
        self.small = nn.GroupNorm(4, 16)

    def forward(self, x: Tensor) -> Tensor:
        x = self.grouped(input=x)
        x = torch.stack([self.instance(input=one) for one in x])
        return x + self.small(input=x.mean((2, 3), keepdim=True))


@pytest.mark.parametrize("with_example", [True, False])
def test_layers_called_by_keyword_or_without_a_batch_are_converted(with_example):
    x = torch.randn(2, 16, 5, 6)
    network = convert_norms(Named(), example=x if with_example else None)
    converted = [name for name, layer in network.named_children() if isinstance(layer, ILMNorm2d)]
    assert converted == ["grouped", "instance"] + ["small"] * (not with_example)
    assert network(x).shape == x.shape


def test_a_detector_without_proposals_finds_nothing():
    network = convert_norms(mask_rcnn()).eval()
    network.rpn.score_thresh = 2.0
    (found,) = network([torch.rand(3, 64, 64)])
    assert len(found["boxes"]) == 0


def test_an_example_leaves_no_trace():
    network = Pooled()
    network.aspp.eval()
    weights, modes = deepcopy(network.state_dict()), [m.training for m in network.modules()]
    example, state = torch.randn(1, 16, 4, 4), torch.get_rng_state()
    with pytest.raises(ValueError, match=r"1 BatchNorm2d \(receives 1x1 maps\)"):
        convert_norms(network, select="aspp.*", batch_norm=True, example=example)
    assert torch.equal(torch.get_rng_state(), state)
    assert [m.training for m in network.modules()] == modes
    assert not any(m._forward_pre_hooks for m in network.modules())
    torch.testing.assert_close(network.state_dict(), weights, rtol=0, atol=0)


def released(norm: ILMNorm2d, x: Tensor, num_groups: int) -> Tensor:
    """The arithmetic of the authors' release (ilm_in, ilm_gn, ilm_ln): var() is unbiased in it."""
    keys = x.flatten(2).unflatten(1, (-1, norm.key_group_size)).flatten(2)
    embedded_mean = (keys.mean(2) @ norm.encoder.weight.T).relu()
    embedded_var = (keys.var(2) @ norm.encoder.weight.T).relu()
    bias = (embedded_mean @ norm.mean_decoder.weight.T).tanh()
    weight = (embedded_var @ norm.var_decoder.weight.T).sigmoid()
    weight, bias = (
        predicted.repeat_interleave(norm.key_group_size, 1) + learned
        for predicted, learned in ((weight, norm.weight), (bias, norm.bias))
    )
    groups = x.flatten(2).unflatten(1, (num_groups, -1)).flatten(2)
    mean, var = groups.mean(2, keepdim=True), groups.var(2, keepdim=True)
    standardized = ((groups - mean) / (var + norm.eps).sqrt()).view_as(x)
    return weight[:, :, None, None] * standardized + bias[:, :, None, None]


RELEASED_LAYERS = {"ilm_in": nn.InstanceNorm2d(32), "ilm_gn": nn.GroupNorm(4, 32),
                   "ilm_ln": LayerNorm2d((32,), eps=1e-5)}  # fmt: skip


@pytest.mark.parametrize("key_group_size", [1, 16])
@pytest.mark.parametrize("name", RELEASED_LAYERS)
def test_correction_1_computes_what_the_released_code_does(name, key_group_size):
    layer = deepcopy(RELEASED_LAYERS[name]).double()
    x = 2 * torch.randn(3, 32, 2, 3, dtype=torch.float64) + torch.randn(3, 32, 1, 1).double()
    num_groups = {"ilm_in": 32, "ilm_gn": 4, "ilm_ln": 1}[name]
    norm = convert_norms(deepcopy(layer), key_group_size, correction=1).double()
    for parameter in norm.parameters():
        nn.init.normal_(parameter)
    torch.testing.assert_close(norm(x), released(norm, x, num_groups))
    papers = convert_norms(deepcopy(layer), key_group_size).double()
    papers.load_state_dict(norm.state_dict())
    assert not torch.allclose(papers(x), norm(x), atol=1e-2)


def test_the_auto_encoder_is_the_one_asked_for():
    norm = convert_norms(
        nn.GroupNorm(4, 32), 1, reduction=4, mean_activation=torch.sin, var_activation=torch.cos
    )
    assert norm.encoder.weight.shape == (8, 32)
    assert (norm.mean_activation, norm.var_activation) == (torch.sin, torch.cos)


def gradients(module: nn.Module, x: Tensor) -> list[Tensor]:
    module.zero_grad()
    module(x).square().sum().backward()
    return [weight.grad.clone() for weight in module.parameters()]


@pytest.mark.usefixtures("unchecked")
def test_compiled_networks_agree_with_eager():
    torch.compiler.reset()
    module = convert_norms(plain_network()).double()
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    expected = gradients(module, x)
    compiled = torch.compile(module, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), module(x))
    torch.testing.assert_close(gradients(compiled, x), expected)


@pytest.fixture
def process_group():
    """This process alone, as a group."""
    store = distributed.HashStore()
    distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


@pytest.mark.usefixtures("process_group")
def test_data_parallel_networks_take_the_gradients_of_all_weights():
    module, x = convert_norms(plain_network()), torch.randn(2, 3, 8, 8)
    expected = gradients(module, x)
    parallel = DistributedDataParallel(module)
    for _ in range(2):  # the second step would miss a weight that the first one did not reach
        torch.testing.assert_close(gradients(parallel, x), expected)
