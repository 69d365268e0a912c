"""The U-Net against the published one: weights, shapes, dropout, initialization, output."""

import math
from copy import deepcopy
from dataclasses import FrozenInstanceError

import pytest
import torch
from torch import Tensor, nn

from pix2pix_ilm.errors import SettingError
from pix2pix_ilm.models.cpu_kernels import ResizeConv, UpConv
from pix2pix_ilm.models.discriminator import DiscriminatorConfig, PatchDiscriminator
from pix2pix_ilm.models.generator import GeneratorConfig, UNetGenerator, check_norm
from pix2pix_ilm.models.norms import NORM_NAMES, ILMNorm2d, NormOptions, make_norm

# A wide embedding: of two ReLUs, both may be dead from the start.
OPTIONS = NormOptions(num_groups=2, key_group_size=2, reduction=1)
SIZES = [2**depth for depth in range(5, 11)]


def small_config(**settings) -> GeneratorConfig:
    return GeneratorConfig(**{"ngf": 4, "depth": 4, "norm_options": OPTIONS} | settings)


def depth_of(size: int) -> int:
    return size.bit_length() - 1


@pytest.mark.parametrize(
    ("norm", "options", "weights"),
    [
        ("bn", NormOptions(), 54_413_955),
        ("in", NormOptions(affine=False), 54_409_603),
        ("in", NormOptions(), 54_419_459),
        ("ilm-in", NormOptions(), 54_844_163),
    ],
    ids=["port with bn", "port with in", "affine in", "ilm-in"],
)
def test_number_of_weights_is_that_of_the_reference(norm, options, weights):
    with torch.device("meta"):
        generator = UNetGenerator(GeneratorConfig(norm=norm, norm_options=options))
    assert sum(parameter.numel() for parameter in generator.parameters()) == weights


@pytest.mark.parametrize("size", SIZES)
def test_every_power_of_two_is_halved_to_1x1_and_doubled_back(size):
    config = GeneratorConfig(depth=depth_of(size))
    assert config.size_multiple == size
    with torch.device("meta"):
        generator, label_map = UNetGenerator(config), torch.empty(1, 3, size, size)
        innermost = label_map
        for down in generator.encoder:
            innermost = down(innermost)
        assert innermost.shape[2:] == (1, 1)
        assert generator(label_map).shape == label_map.shape


@pytest.mark.parametrize("size", [size for size in SIZES if size <= 256])
@pytest.mark.parametrize("norm", ["in", "ilm-in"])
@torch.no_grad()
def test_photos_are_finite_and_between_minus_one_and_one(size, norm):
    generator = UNetGenerator(small_config(depth=depth_of(size), norm=norm))
    nn.init.normal_(generator.head.weight)
    photo = generator(torch.rand(1, 3, size, size) * 2 - 1)
    assert photo.shape == (1, 3, size, size)
    assert photo.isfinite().all()
    assert photo.abs().max() <= 1
    assert photo.min() < 0 < photo.max()


def test_depth_is_that_of_256x256_unless_set():
    assert len(UNetGenerator(small_config(depth=None)).encoder) == 8
    assert small_config(depth=None).size_multiple == 256


@pytest.mark.parametrize(("height", "width"), [(8, 24), (40, 16), (8, 8)])
@torch.no_grad()
def test_images_need_not_be_square(height, width):
    generator = UNetGenerator(small_config(depth=3))
    assert generator(torch.zeros(2, 3, height, width)).shape == (2, 3, height, width)


@pytest.mark.parametrize(("in_channels", "out_channels"), [(1, 3), (3, 1)])
@torch.no_grad()
def test_images_may_be_gray(in_channels, out_channels):
    generator = UNetGenerator(small_config(in_channels=in_channels, out_channels=out_channels))
    assert generator(torch.zeros(1, in_channels, 16, 16)).shape == (1, out_channels, 16, 16)


@pytest.mark.parametrize(
    ("placement", "depth", "blocks"),
    [
        ("original", 8, [0, 1, 2]),
        ("original", 5, [0, 1, 2]),
        ("original", 3, [0, 1]),
        ("port", 8, [1, 2, 3]),
        ("port", 7, [1, 2]),
        ("port", 5, []),
    ],
)
def test_decoder_blocks_that_drop(placement, depth, blocks):
    config = small_config(depth=depth, dropout_placement=placement, dropout=0.25)
    generator = UNetGenerator(config)
    dropouts = [
        (block, module.p)
        for block, up in enumerate(generator.decoder)
        for module in up.modules()
        if isinstance(module, nn.Dropout)
    ]
    assert dropouts == [(block, 0.25) for block in blocks]
    assert sum(isinstance(module, nn.Dropout) for module in generator.modules()) == len(blocks)


@pytest.mark.parametrize("placement", ["original", "port"])
@torch.no_grad()
def test_dropout_acts_in_training_only(placement):
    generator = UNetGenerator(small_config(depth=6, dropout_placement=placement))
    label_map = torch.randn(1, 3, 64, 64)
    assert not torch.equal(generator(label_map), generator(label_map))
    generator.eval()
    assert torch.equal(generator(label_map), generator(label_map))


@torch.no_grad()
def test_without_dropout_training_mode_is_deterministic():
    generator = UNetGenerator(small_config(dropout=0.0))
    label_map = torch.randn(1, 3, 16, 16)
    assert torch.equal(generator(label_map), generator(label_map))


class SkipBlock(nn.Module):
    """The reference's recursion: down, whatever lies inside, up, joined to the input."""

    def __init__(
        self, config: GeneratorConfig, outer: int, inner: int, inside: nn.Module | None, drop: bool
    ) -> None:
        super().__init__()
        bias = config.norm != "bn"
        layers: list[nn.Module] = [nn.LeakyReLU(0.2), nn.Conv2d(outer, inner, 4, 2, 1, bias=bias)]
        if inside is not None:
            layers += [make_norm(config.norm, inner, config.norm_options), inside]
        joined = inner if inside is None else 2 * inner
        layers += [nn.ReLU(), nn.ConvTranspose2d(joined, outer, 4, 2, 1, bias=bias)]
        layers.append(make_norm(config.norm, outer, config.norm_options))
        if drop:
            layers.append(nn.Dropout(config.dropout))
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.layers(x)], 1)


def reference_unet(config: GeneratorConfig, dropping: list[int]) -> nn.Module:
    """The published pix2pix U-Net: skip blocks nested from the innermost out.

    ``dropping`` numbers the skip blocks with dropout, from the innermost, 0.
    """
    widths = [config.ngf * min(2**level, 8) for level in range(config.num_downs)]
    block = None
    for index in range(config.num_downs - 1):
        inner, outer = widths[-1 - index], widths[-2 - index]
        block = SkipBlock(config, outer, inner, block, index in dropping)
    return nn.Sequential(
        nn.Conv2d(config.in_channels, config.ngf, 4, 2, 1, bias=config.norm != "bn"),
        block,
        nn.ReLU(),
        nn.ConvTranspose2d(2 * config.ngf, config.out_channels, 4, 2, 1),
        nn.Tanh(),
    )


def layers_of(network: nn.Module) -> list[nn.Module]:
    """Convolutions and normalizations in the order in which they are computed."""
    kinds = (nn.Conv2d, nn.ConvTranspose2d, nn.GroupNorm, nn.BatchNorm2d, ILMNorm2d)
    return [module for module in network.modules() if isinstance(module, kinds)]


def randomize(layer: nn.Module) -> None:
    """Weights and running statistics of ordinary size, none at its initial value."""
    for tensor in layer.state_dict().values():
        if tensor.ndim > 1:
            nn.init.kaiming_normal_(tensor)
        elif tensor.ndim == 1:
            nn.init.uniform_(tensor, 0.2, 0.8)


@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize(
    ("placement", "dropping"), [("original", [0, 1, 2]), ("port", [1])], ids=["original", "port"]
)
@pytest.mark.parametrize("norm", ["none", "in", "bn", "ilm-in"])
@torch.no_grad()
def test_computes_what_the_published_unet_computes(norm, placement, dropping, training):
    """Nested skip blocks given the same weights, and the same dropout masks in training.

    In float64, where what differs is more than the order of sums.
    """
    config = small_config(depth=6, norm=norm, dropout_placement=placement)
    generator = UNetGenerator(config).train(training)
    reference = reference_unet(config, dropping).train(training)
    for layer, copy in zip(layers_of(generator), layers_of(reference), strict=True):
        randomize(layer)
        copy.load_state_dict(layer.state_dict())

    label_map = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    torch.manual_seed(1)
    photo = generator.double()(label_map)
    torch.manual_seed(1)
    torch.testing.assert_close(photo, reference.double()(label_map))
    assert photo.std() > 0.1


@pytest.mark.parametrize("norm", ["in", "ilm-in"])
def test_outermost_and_innermost_encoder_blocks_are_not_normalized(norm):
    """Nothing may normalize the 1x1 map, and no norm follows the image's own convolution."""
    generator = UNetGenerator(small_config(depth=5, norm=norm))
    normalized = [not isinstance(down.norm, nn.Identity) for down in generator.encoder]
    assert normalized == [False, True, True, True, False]
    assert not any(isinstance(up.norm, nn.Identity) for up in generator.decoder)


@pytest.mark.parametrize("norm", ["bn", "ilm-in"])
def test_convolutions_start_as_n_0_002_without_bias(norm):
    generator = UNetGenerator(small_config(ngf=16, norm=norm))
    convolutions = [
        module
        for module in generator.modules()
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d)
    ]
    assert len(convolutions) == 8
    for conv in convolutions:
        assert conv.weight.std().item() == pytest.approx(0.02, rel=0.1)
        assert conv.weight.mean().item() == pytest.approx(
            0, abs=4 * 0.02 / conv.weight.numel() ** 0.5
        )
        assert conv.bias is None or (conv.bias == 0).all()
    kurtosis = (convolutions[3].weight / 0.02).pow(4).mean().item()
    assert kurtosis == pytest.approx(3, rel=0.1)  # normal, not uniform


@pytest.mark.parametrize("norm", NORM_NAMES)
def test_only_batch_norm_takes_the_bias_of_its_convolutions(norm):
    generator = UNetGenerator(small_config(norm=norm))
    blocks = [*generator.encoder, *generator.decoder]
    assert all((block.conv.bias is None) == (norm == "bn") for block in blocks)
    assert generator.head.bias is not None


@pytest.mark.parametrize(("conv_bias", "has"), [("no", False), ("yes", True)])
@pytest.mark.parametrize("norm", ["bn", "ilm-in"])
def test_biases_can_be_given_or_left_out(norm, conv_bias, has):
    generator = UNetGenerator(GeneratorConfig(ngf=2, depth=5, norm=norm, conv_bias=conv_bias))
    blocks = [*generator.encoder, *generator.decoder]
    assert all((block.conv.bias is not None) == has for block in blocks)
    assert generator.head.bias is not None
    config = DiscriminatorConfig(ndf=2, norm=norm, conv_bias=conv_bias)
    layers = [one for one in PatchDiscriminator(config).layers if isinstance(one, nn.Conv2d)]
    first, *inner, last = [one.bias is not None for one in layers]
    assert inner == [has] * 3
    assert first
    assert last


@pytest.mark.parametrize("norm", NORM_NAMES)
def test_every_weight_learns_under_every_norm(norm):
    generator = UNetGenerator(small_config(norm=norm, ngf=16))
    label_map = torch.randn(2, 3, 32, 32, requires_grad=True)
    (generator(label_map) * torch.randn(2, 3, 32, 32)).sum().backward()
    assert label_map.grad.abs().max() > 0
    for name, parameter in generator.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 0, name


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"in_channels": 0}, r"generator\.in_channels: .*found 0"),
        ({"in_channels": 257}, r"generator\.in_channels: .*256 classes, found 257"),
        ({"out_channels": 4}, r"generator\.out_channels: .*found 4"),
        ({"ngf": 0}, r"generator\.ngf: expected 1 to 512, found 0"),
        ({"ngf": 10**6}, r"generator\.ngf: expected 1 to 512, found 1000000"),
        ({"ngf": 10**18}, r"generator\.ngf: expected 1 to 512, found 1000000000000000000"),
        ({"dropout": math.nan}, r"generator\.dropout: .*found nan"),
        ({"depth": 1}, r"generator\.depth: .*found 1"),
        ({"depth": 11}, r"generator\.depth: .*found 11"),
        ({"dropout": 1.0}, r"generator\.dropout: .*found 1\.0"),
        ({"dropout": -0.1}, r"generator\.dropout: .*found -0\.1"),
        (
            {"norm": "gn", "ngf": 8},
            r"generator\.norm_options\.num_groups: .* 8 channels, found 32",
        ),
        (
            {"norm": "ilm-in", "norm_options": NormOptions(key_group_size=128)},
            r"generator\.norm_options\.key_group_size: .* 64 channels, found 128",
        ),
        (
            {"norm": "ilm-gn", "norm_options": NormOptions(num_groups=48)},
            r"generator\.norm_options\.num_groups: .* 64 channels, found 48",
        ),
        (
            {"norm": "ilm-ln", "norm_options": NormOptions(reduction=0)},
            r"generator\.norm_options\.reduction: .*found 0",
        ),
        ({"norm": "batch"}, r"generator\.norm: .*found 'batch'"),
    ],
)
def test_config_errors_name_the_flag(settings, message):
    with pytest.raises(SettingError, match=f"^{message}"):
        GeneratorConfig(**settings)


def test_config_is_frozen():
    config = GeneratorConfig()
    with pytest.raises(FrozenInstanceError):
        config.ngf = 32


@torch.no_grad()
@pytest.mark.parametrize("depth", [2, 4])
def test_a_flat_map_becomes_flat_with_resizing_and_woven_without(depth):
    """Beyond the reach of the borders, no layer may tell one pixel of a flat map from another."""
    reach = 2 ** (depth + 3)
    for upsample in ("deconv", "resize"):
        config = small_config(depth=depth, upsample=upsample, norm="none", dropout=0.0)
        generator = UNetGenerator(config).double()
        for parameter in generator.parameters():
            parameter.normal_(std=0.1)
        photo = generator(torch.ones(1, 3, 3 * reach, 3 * reach, dtype=torch.float64))
        inside = photo[..., reach:-reach, reach:-reach].flatten(2)
        assert (inside.std(dim=2).max() < 1e-12) == (upsample == "resize")
        kind = {"deconv": UpConv, "resize": ResizeConv}[upsample]
        assert {type(up.conv) for up in generator.decoder} == {type(generator.head)} == {kind}


@torch.no_grad()
def test_a_pattern_tells_the_pixels_of_a_flat_map_apart_and_is_always_the_same():
    config = small_config(depth=2, upsample="resize", norm="in", noise=0.2)
    generator = UNetGenerator(config).eval()
    wide = torch.ones(2, 3, 8, 300)
    photos = generator(wide)
    assert photos[..., 100:200].std() > 1e-3
    torch.testing.assert_close(photos[:1], photos[1:])
    again = UNetGenerator(config).eval()
    again.load_state_dict(generator.state_dict())
    torch.testing.assert_close(again(wide), photos)
    seen = generator._with_pattern(torch.zeros(1, 3, 300, 300))
    assert seen.std() == pytest.approx(0.2, rel=0.02)
    torch.testing.assert_close(seen[..., 256:, :], seen[..., :44, :])
    torch.testing.assert_close(seen[..., 256:], seen[..., :44])
    with pytest.raises(SettingError, match=r"generator\.noise: .*found -1"):
        small_config(noise=-1)


@torch.no_grad()
def test_the_patterns_strength_can_be_changed_later():
    made = UNetGenerator(small_config(depth=2, noise=0.2)).eval()
    weaker = deepcopy(made)
    weaker.set_noise(0.05)
    assert weaker.config == small_config(depth=2, noise=0.05)
    torch.testing.assert_close(weaker.pattern, made.pattern / 4)

    none = deepcopy(made)
    none.set_noise(0)
    plain = UNetGenerator(small_config(depth=2)).eval()
    plain.load_state_dict(none.state_dict())
    wide = torch.ones(1, 3, 8, 16)
    torch.testing.assert_close(none(wide), plain(wide), rtol=0, atol=0)

    with pytest.raises(SettingError, match=r"noise: expected none, .* no random pattern, found 1$"):
        plain.set_noise(1)
    with pytest.raises(SettingError, match=r"^noise: .*found -1"):
        made.set_noise(-1)
    assert made.config.noise == 0.2
    torch.testing.assert_close(made.pattern, 4 * weaker.pattern)


def test_check_norm_names_the_setting_and_the_layer():
    options = NormOptions(key_group_size=8)
    check_norm("generator", "ilm-in", options, [64, 16, 8])
    with pytest.raises(SettingError, match=r"12 channels, found 8; 4 would fit$") as refused:
        check_norm("generator", "ilm-in", options, [64, 12])
    assert refused.value.path == "generator.norm_options.key_group_size"
    assert refused.value.found == 8
