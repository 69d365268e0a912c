"""The PatchGAN against the published one: weights, patches, logits, initialization."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pix2pix_ilm.errors import SettingError
from pix2pix_ilm.models.discriminator import DiscriminatorConfig, PatchDiscriminator
from pix2pix_ilm.models.norms import NORM_NAMES, ILMNorm2d, NormOptions

# A wide embedding: of two ReLUs, both may be dead from the start.
OPTIONS = NormOptions(num_groups=2, key_group_size=2, reduction=1)


def small_config(**settings) -> DiscriminatorConfig:
    return DiscriminatorConfig(**{"ndf": 4, "norm_options": OPTIONS} | settings)


def convolutions_of(network: nn.Module) -> list[nn.Conv2d]:
    return [module for module in network.modules() if isinstance(module, nn.Conv2d)]


@pytest.mark.parametrize(
    ("norm", "options", "weights"),
    [
        ("bn", NormOptions(), 2_768_705),
        ("in", NormOptions(affine=False), 2_767_809),
        ("in", NormOptions(), 2_769_601),
        ("ilm-in", NormOptions(), 2_834_113),
    ],
    ids=["port with bn", "port with in", "affine in", "ilm-in"],
)
def test_number_of_weights_is_that_of_the_reference(norm, options, weights):
    with torch.device("meta"):
        discriminator = PatchDiscriminator(DiscriminatorConfig(norm=norm, norm_options=options))
    assert sum(parameter.numel() for parameter in discriminator.parameters()) == weights


@pytest.mark.parametrize(
    ("n_layers", "height", "width", "logits"),
    [
        (3, 256, 256, (30, 30)),
        (3, 128, 512, (14, 62)),
        (0, 17, 5, (17, 5)),
        (1, 64, 64, (30, 30)),
        (5, 256, 256, (6, 6)),
    ],
)
@torch.no_grad()
def test_one_logit_per_patch(n_layers, height, width, logits):
    discriminator = PatchDiscriminator(small_config(n_layers=n_layers))
    images = torch.zeros(2, 3, height, width)
    assert discriminator(images, images).shape == (2, 1, *logits)


@pytest.mark.parametrize("n_layers", range(7))
@torch.no_grad()
def test_smallest_image_is_the_smallest_with_a_logit(n_layers):
    config = small_config(n_layers=n_layers, norm="none")
    discriminator = PatchDiscriminator(config)
    image = torch.zeros(1, 3, config.smallest_image, config.smallest_image)
    assert discriminator(image, image).shape == (1, 1, 1, 1)
    if n_layers:
        smaller = image[:, :, 1:, 1:]
        with pytest.raises(RuntimeError, match="Kernel size"):
            discriminator(smaller, smaller)


@pytest.mark.parametrize(
    ("n_layers", "patch", "stride"), [(0, 1, 1), (1, 16, 2), (2, 34, 4), (3, 70, 8), (4, 142, 16)]
)
def test_patch_seen_by_a_logit(n_layers, patch, stride):
    """The support of a logit's gradient is a square of both images, and moves by the stride."""
    config = small_config(ndf=2, n_layers=n_layers, norm="none")
    discriminator = PatchDiscriminator(config).double()
    for conv in convolutions_of(discriminator):
        nn.init.uniform_(conv.weight, 0.5, 1)  # nothing cancels
    size = 2 * patch + 3 * stride
    label_map = torch.zeros(1, 3, size, size, dtype=torch.float64, requires_grad=True)
    photo = torch.zeros_like(label_map, requires_grad=True)
    logits = discriminator(label_map, photo)
    row = logits.shape[2] // 2

    starts = []
    for column in (row, row + 1):
        gradients = torch.autograd.grad(
            logits[0, 0, row, column], (label_map, photo), retain_graph=True
        )
        for gradient in gradients:
            support = gradient[0].ne(0).all(dim=0).nonzero()
            assert gradient[0].ne(0).any(dim=0).sum() == patch * patch
            assert (support.amax(0) - support.amin(0) + 1).tolist() == [patch, patch]
        starts.append(support[:, 1].min().item())
    assert starts[1] - starts[0] == stride


def reference_logits(pair: Tensor, discriminator: PatchDiscriminator, norms: list) -> Tensor:
    """The published 70x70 PatchGAN: three halvings, two more convolutions, three norms."""
    first, *middle, last = convolutions_of(discriminator)
    x = F.leaky_relu(F.conv2d(pair, first.weight, first.bias, stride=2, padding=1), 0.2)
    for conv, norm, stride in zip(middle, norms, (2, 2, 1), strict=True):
        x = F.conv2d(x, conv.weight, conv.bias, stride=stride, padding=1)
        x = F.leaky_relu(norm(x), 0.2)
    return F.conv2d(x, last.weight, last.bias, stride=1, padding=1)


@pytest.mark.parametrize("norm", ["none", "in", "bn", "ilm-in"])
@torch.no_grad()
def test_computes_what_the_published_patchgan_computes(norm):
    discriminator = PatchDiscriminator(small_config(norm=norm)).double()
    for parameter in discriminator.parameters():
        nn.init.normal_(parameter, std=0.3)
    kinds = (nn.GroupNorm, nn.BatchNorm2d, ILMNorm2d)
    norms = [module for module in discriminator.modules() if isinstance(module, kinds)]
    norms = norms or [nn.Identity()] * 3
    label_map, photo = torch.randn(2, 2, 3, 64, 96, dtype=torch.float64)
    logits = discriminator(label_map, photo)
    expected = reference_logits(torch.cat([label_map, photo], 1), discriminator, norms)
    torch.testing.assert_close(logits, expected)
    assert logits.std() > 1e-2


@torch.no_grad()
def test_the_pixel_discriminator_is_a_perceptron_of_each_pixel():
    discriminator = PatchDiscriminator(small_config(n_layers=0, norm="none")).double()
    for parameter in discriminator.parameters():
        nn.init.normal_(parameter)
    convolutions = convolutions_of(discriminator)
    assert [conv.out_channels for conv in convolutions] == [4, 8, 1]
    label_map, photo = torch.randn(2, 2, 3, 5, 7, dtype=torch.float64)
    x = torch.cat([label_map, photo], 1).movedim(1, -1)
    for conv in convolutions:
        x = F.linear(x, conv.weight.flatten(1), conv.bias)
        x = F.leaky_relu(x, 0.2) if conv is not convolutions[-1] else x
    torch.testing.assert_close(discriminator(label_map, photo), x.movedim(-1, 1))


@torch.no_grad()
def test_a_gray_label_map_joins_a_color_photo():
    discriminator = PatchDiscriminator(small_config(), in_channels=4)
    logits = discriminator(torch.zeros(1, 1, 64, 64), torch.zeros(1, 3, 64, 64))
    assert logits.shape == (1, 1, 6, 6)


@pytest.mark.parametrize("n_layers", range(7))
def test_widths_double_up_to_eight_times_the_first(n_layers):
    discriminator = PatchDiscriminator(small_config(n_layers=n_layers))
    expected = [4, 8, 16, 32, 32, 32, 32][: max(n_layers, 1) + 1]
    assert [conv.out_channels for conv in convolutions_of(discriminator)] == [*expected, 1]


@pytest.mark.parametrize("norm", ["bn", "ilm-in"])
def test_convolutions_start_as_n_0_002_without_bias(norm):
    discriminator = PatchDiscriminator(small_config(ndf=16, norm=norm))
    for conv in convolutions_of(discriminator):
        assert conv.weight.std().item() == pytest.approx(0.02, rel=0.1)
        assert conv.bias is None or (conv.bias == 0).all()


@pytest.mark.parametrize("norm", NORM_NAMES)
def test_only_batch_norm_takes_the_bias_of_its_convolutions(norm):
    first, *middle, last = convolutions_of(PatchDiscriminator(small_config(norm=norm)))
    assert first.bias is not None
    assert last.bias is not None
    assert all((conv.bias is None) == (norm == "bn") for conv in middle)


@pytest.mark.parametrize("n_layers", [0, 3])
@pytest.mark.parametrize("norm", NORM_NAMES)
def test_every_weight_learns_under_every_norm(norm, n_layers):
    discriminator = PatchDiscriminator(small_config(ndf=8, norm=norm, n_layers=n_layers))
    label_map, photo = torch.randn(2, 2, 3, 32, 32).requires_grad_().unbind()
    logits = discriminator(label_map, photo)
    (logits * torch.randn(logits.shape)).sum().backward()
    for name, parameter in discriminator.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 0, name


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"ndf": 0}, r"discriminator\.ndf: expected 1 to 512, found 0"),
        ({"ndf": 10**18}, r"discriminator\.ndf: expected 1 to 512, found 1000000000000000000"),
        ({"n_layers": -1}, r"discriminator\.n_layers: .*found -1"),
        ({"n_layers": 7}, r"discriminator\.n_layers: .*found 7"),
        (
            {"norm": "gn", "ndf": 8},
            r"discriminator\.norm_options\.num_groups: .* 16 channels, found 32",
        ),
        (
            {"norm": "ilm-in", "norm_options": NormOptions(key_group_size=256)},
            r"discriminator\.norm_options\.key_group_size: .* 128 channels, found 256",
        ),
        (
            {"norm": "ilm-ln", "norm_options": NormOptions(reduction=0)},
            r"discriminator\.norm_options\.reduction: .*found 0",
        ),
        ({"norm": "batch"}, r"discriminator\.norm: .*found 'batch'"),
    ],
)
def test_config_errors_name_the_flag(settings, message):
    with pytest.raises(SettingError, match=f"^{message}"):
        DiscriminatorConfig(**settings)


def test_sizes_are_checked_only_where_something_is_normalized():
    """The first convolution has no norm, so its width need not be divisible."""
    DiscriminatorConfig(ndf=16, norm="gn", norm_options=NormOptions(num_groups=32))
