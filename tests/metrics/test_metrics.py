"""The metrics against hand-computed values, scikit-image, lpips itself and float64 restatements."""

import hashlib
import math
import pickle
import socket
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import metrics as skimage_metrics
from torch import Tensor
from torchvision import models

from pix2pix_ilm.data.images import to_model_range
from pix2pix_ilm.errors import UserError
from pix2pix_ilm.metrics import l1, lpips, perceptual, psnr, rmse, rmse_rgb, ssim, ssim_paper
from pix2pix_ilm.metrics.perceptual import ALEXNET_FEATURES, lpips_network, trunk_weights

ERRORS = (rmse, rmse_rgb, l1)
SIMILARITIES = (ssim, ssim_paper)
METRICS = (*ERRORS, psnr, *SIMILARITIES, lpips)
BEST = {rmse: 0, rmse_rgb: 0, l1: 0, lpips: 0, psnr: math.inf, ssim: 1, ssim_paper: 1}
every_metric = pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.__name__)


def draw(batch: int = 2, height: int = 40, width: int = 33, seed: int = 0) -> Tensor:
    """Smooth random images: SSIM and LPIPS say more about them than about noise."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(batch, 3, 5, 4, generator=generator)
    smooth = F.interpolate(coarse, (height, width), mode="bicubic")
    fine = torch.randn(smooth.shape, generator=generator)
    pixels = 255 * smooth + 12 * fine
    return pixels.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def flat(*colors: int, size: int = 32) -> Tensor:
    """One gray image of a single color for each given value."""
    return torch.tensor(colors, dtype=torch.uint8)[:, None, None, None].expand(-1, size, size, 3)


def disturbed(images: Tensor, sigma: float) -> Tensor:
    noise = sigma * torch.randn(images.shape, generator=torch.Generator().manual_seed(9))
    return (images + noise).round().clamp(0, 255).to(torch.uint8)


@every_metric
def test_equal_images_score_best(metric):
    images = draw()
    assert metric(images, images.clone()).tolist() == pytest.approx([BEST[metric]] * 2, abs=1e-6)


@every_metric
def test_more_noise_scores_worse(metric):
    images = draw()
    best, good, bad = (metric(images, disturbed(images, sigma)) for sigma in (0, 5, 25))
    ordered = (best, good, bad) if BEST[metric] == 0 else (bad, good, best)
    assert (ordered[0] < ordered[1]).all()
    assert (ordered[1] < ordered[2]).all()


@every_metric
def test_symmetric(metric):
    images, targets = draw(seed=1), draw(seed=2)
    torch.testing.assert_close(metric(images, targets), metric(targets, images))


@every_metric
def test_one_float32_an_image_and_inputs_untouched(metric):
    images, targets = draw(3, seed=1), draw(3, seed=2)
    before = images.clone(), targets.clone()
    scores = metric(images, targets)
    assert scores.shape == (3,)
    assert scores.dtype == torch.float32
    assert not scores.requires_grad
    assert torch.equal(images, before[0])
    assert torch.equal(targets, before[1])


@every_metric
def test_a_batch_scores_like_its_images_one_by_one(metric):
    images, targets = draw(3, seed=1), draw(3, seed=2)
    alone = [metric(images[i : i + 1], targets[i : i + 1]) for i in range(3)]
    torch.testing.assert_close(metric(images, targets), torch.cat(alone))
    assert len(set(metric(images, targets).tolist())) == 3


@every_metric
def test_memory_layout_does_not_matter(metric):
    images, targets = draw(seed=1), draw(seed=2)
    channels_first = images.permute(0, 3, 1, 2).contiguous().permute(0, 2, 3, 1)
    torch.testing.assert_close(metric(channels_first, targets), metric(images, targets))


@every_metric
@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_scores_of_images_on_a_gpu_stay_there(metric):
    images, targets = draw(seed=1), draw(seed=2)
    scores = metric(images.cuda(), targets.cuda())
    assert scores.is_cuda
    torch.testing.assert_close(scores.cpu(), metric(images, targets), rtol=1e-2, atol=1e-3)


@every_metric
@given(seed=st.integers(0, 10_000), size=st.integers(31, 45), noise=st.booleans())
@settings(max_examples=10, deadline=None, derandomize=True)
def test_bounds(metric, seed, size, noise):
    images, targets = draw(1, 31, size, seed), draw(1, 31, size, seed + 1)
    if noise:
        images = disturbed(images, 200)
    low, high = {
        **dict.fromkeys(ERRORS, (0, 255)),
        rmse_rgb: (0, 255 * math.sqrt(3)),
        psnr: (0, math.inf),
        lpips: (0, 2),
        **dict.fromkeys(SIMILARITIES, (-1, 1)),
    }[metric]
    assert low < metric(images, targets).item() < high


def test_errors_of_a_constant_difference():
    images, targets = flat(0, 10, 200), flat(255, 13, 100)
    assert rmse(images, targets).tolist() == [255, 3, 100]
    assert l1(images, targets).tolist() == [255, 3, 100]
    expected = [0, 20 * math.log10(255 / 3), 20 * math.log10(2.55)]
    assert psnr(images, targets).tolist() == pytest.approx(expected, rel=1e-6)


def test_errors_of_a_single_different_value():
    """One of 11 * 12 * 3 values differs by 200, far beyond what uint8 or int16 can square."""
    images, targets = draw(1, 11, 12), draw(1, 11, 12)
    images[0, 4, 5, 1], targets[0, 4, 5, 1] = 20, 220
    assert l1(images, targets).item() == pytest.approx(200 / 396)
    assert rmse(images, targets).item() == pytest.approx(math.sqrt(200**2 / 396))
    assert rmse_rgb(images, targets).item() == pytest.approx(math.sqrt(200**2 / 132))


def test_errors_equal_float64():
    images, targets = draw(3, seed=1), draw(3, seed=2)
    apart = images.double() - targets.double()
    mse = apart.square().mean(dim=(1, 2, 3))
    expected = {
        rmse: mse.sqrt(),
        rmse_rgb: apart.square().sum(dim=3).mean(dim=(1, 2)).sqrt(),
        l1: apart.abs().mean(dim=(1, 2, 3)),
        psnr: 10 * torch.log10(255**2 / mse),
    }
    for metric, values in expected.items():
        torch.testing.assert_close(metric(images, targets), values.float())


def test_psnr_equals_scikit_image():
    images, targets = draw(1, seed=1), draw(1, seed=2)
    expected = skimage_metrics.peak_signal_noise_ratio(targets[0].numpy(), images[0].numpy())
    assert psnr(images, targets).item() == pytest.approx(expected, rel=1e-6)


def test_rmse_rgb_is_the_length_of_rmse_in_three_channels():
    images, targets = draw(seed=1), draw(seed=2)
    torch.testing.assert_close(rmse_rgb(images, targets), 3**0.5 * rmse(images, targets))


def ssim_by_convolution(x: Tensor, y: Tensor, line: Tensor, value_range: float, correction: int):
    """Wang et al.'s SSIM in float64: moments under a separable window, where it fits entirely."""
    line = line.double() / line.sum()
    window = torch.outer(line, line)[None, None]
    taps = line.numel() ** 2

    def local_mean(z: Tensor) -> Tensor:
        return F.conv2d(z[:, None], window)[:, 0]

    x, y = (z.permute(2, 0, 1).double() for z in (x, y))
    mean_x, mean_y = local_mean(x), local_mean(y)
    scale = taps / (taps - correction)
    var_x = scale * (local_mean(x * x) - mean_x**2)
    var_y = scale * (local_mean(y * y) - mean_y**2)
    covariance = scale * (local_mean(x * y) - mean_x * mean_y)
    c1, c2 = (0.01 * value_range) ** 2, (0.03 * value_range) ** 2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    structure = (2 * covariance + c2) / (var_x + var_y + c2)
    return (luminance * structure).mean().item()


@pytest.mark.parametrize("size", [(11, 11), (40, 33)], ids=str)
def test_ssim_equals_scikit_image_and_its_definition(size):
    images, targets = draw(3, *size, seed=1), draw(3, *size, seed=2)
    targets[1] = disturbed(images[1], 20)
    targets[2] = disturbed(flat(128, size=40)[0, : size[0], : size[1]], 3)
    gaussian = torch.exp(-(torch.arange(-5.0, 6) ** 2) / (2 * 1.5**2))
    for x, y, score in zip(images, targets, ssim(images, targets).tolist(), strict=True):
        by_scikit_image = skimage_metrics.structural_similarity(
            x.numpy(),
            y.numpy(),
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            data_range=255,
            channel_axis=-1,
        )
        assert score == pytest.approx(by_scikit_image, rel=1e-6)
        assert score == pytest.approx(ssim_by_convolution(x, y, gaussian, 255, 0), abs=1e-6)


def test_ssim_paper_equals_scikit_image_of_float_images_with_range_2():
    images, targets = draw(2, seed=1), draw(2, seed=2)
    scores = ssim_paper(images, targets).tolist()
    for x, y, score in zip(images.double() / 255, targets.double() / 255, scores, strict=True):
        by_scikit_image = skimage_metrics.structural_similarity(
            x.numpy(), y.numpy(), data_range=2, channel_axis=-1
        )
        assert score == pytest.approx(by_scikit_image, rel=1e-6)
        assert score == pytest.approx(ssim_by_convolution(x, y, torch.ones(7), 2, 1), abs=1e-6)


@pytest.mark.parametrize(("metric", "value_range"), [(ssim, 255), (ssim_paper, 510)])
def test_ssim_of_flat_images_compares_their_luminance(metric, value_range):
    c1 = (0.01 * value_range) ** 2
    expected = [(2 * a * b + c1) / (a**2 + b**2 + c1) for a, b in [(0, 255), (100, 120), (0, 3)]]
    scores = metric(flat(0, 100, 0), flat(255, 120, 3))
    assert scores.tolist() == pytest.approx(expected, rel=1e-5)


def test_the_convention_of_the_paper_flatters():
    images = draw()
    assert (ssim_paper(images, disturbed(images, 20)) > ssim(images, disturbed(images, 20))).all()


@pytest.mark.usefixtures("unchecked")
@every_metric
@pytest.mark.parametrize(
    ("images", "found"),
    [
        (torch.zeros(2, 40, 40, 3), r"torch\.float32"),
        (torch.zeros(40, 40, 3, dtype=torch.uint8), r"\(40, 40, 3\)"),
        (torch.zeros(2, 3, 40, 40, dtype=torch.uint8), r"\(2, 3, 40, 40\)"),
        (torch.zeros(2, 40, 40, 1, dtype=torch.uint8), r"\(2, 40, 40, 1\)"),
        (torch.zeros(0, 40, 40, 3, dtype=torch.uint8), r"\(0, 40, 40, 3\)"),
        (torch.zeros(2, 10, 40, 3, dtype=torch.uint8), r"\(2, 10, 40, 3\)"),
        (torch.zeros(2, 40, 10, 3, dtype=torch.uint8), r"\(2, 40, 10, 3\)"),
    ],
    ids=["float", "no batch", "channels first", "gray", "empty", "low", "narrow"],
)
def test_refused_images(metric, images, found):
    expected = rf"expected torch\.uint8 of shape \(B, H, W, 3\) .*, found .*{found}"
    with pytest.raises(ValueError, match=f"images: {expected}"):
        metric(images, images)
    with pytest.raises(ValueError, match=f"targets: {expected}"):
        metric(flat(1, 2, size=40), images)


@pytest.mark.usefixtures("unchecked")
@every_metric
def test_refused_pairs(metric):
    with pytest.raises(ValueError, match=r"targets: .* \(2, 32, 32, 3\) .* \(3, 32, 32, 3\)"):
        metric(flat(1, 2), flat(1, 2, 3))
    with pytest.raises(ValueError, match=r"targets: .* on cpu, found .* on meta"):
        metric(flat(1, 2), flat(1, 2).to("meta"))


def test_smallest_images():
    for metric in METRICS:
        size = 31 if metric is lpips else 11
        assert metric(draw(1, size, size), draw(1, size, size, seed=1)).isfinite().all()
    with pytest.raises(ValueError, match="at least 31x31"):
        lpips(draw(1, 30, 31), draw(1, 30, 31))


def test_importing_the_metrics_stays_light():
    program = (
        "import pix2pix_ilm.metrics, sys;"
        "print(*{'lpips', 'scipy', 'skimage', 'torchvision'} & set(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert ran.stdout.split() == []


@pytest.fixture
def no_networks():
    lpips_network.cache_clear()
    yield
    lpips_network.cache_clear()


@pytest.fixture
def hub(tmp_path, monkeypatch) -> Path:
    """An empty folder in place of torch hub's checkpoints."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def offline(monkeypatch):
    """No address resolves, as on a machine without a network."""

    def unresolved(*_args, **_options):
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", unresolved)


TORCHVISION = {
    "alex": (models.alexnet, models.AlexNet_Weights.IMAGENET1K_V1),
    "vgg": (models.vgg16, models.VGG16_Weights.IMAGENET1K_V1),
    "squeeze": (models.squeezenet1_1, models.SqueezeNet1_1_Weights.IMAGENET1K_V1),
}


def save_in_hub(hub: Path, net: str) -> None:
    """What torchvision would download: our weights for alex, drawn ones for the others.

    The classifiers, which LPIPS does not use, are zeros that take no space.
    """
    build, weights = TORCHVISION[net]
    with torch.device("meta"):
        shapes = {name: value.shape for name, value in build().state_dict().items()}
    features = trunk_weights("alex") if net == "alex" else {}
    state = {
        name: features[name]
        if name in features
        else torch.randn(shape) / math.sqrt(math.prod(shape[1:]))
        if name.startswith("features.")
        else torch.zeros(1).expand(shape)
        for name, shape in shapes.items()
    }
    torch.save(state, hub / weights.url.rsplit("/", 1)[1])


@pytest.mark.usefixtures("no_networks", "offline")
@pytest.mark.parametrize("net", ["alex", "squeeze", "vgg"])
def test_lpips_equals_the_lpips_package_loading_by_its_own_path(net, hub):
    from lpips import LPIPS

    save_in_hub(hub, net)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reference = LPIPS(net=net, version="0.1", verbose=False)
    images, targets = draw(seed=1), draw(seed=2)
    with torch.no_grad():
        expected = reference(to_model_range(images), to_model_range(targets)).flatten()
    scores = lpips(images, targets, net)
    torch.testing.assert_close(scores, expected)
    assert (scores > 1e-3).all()


def test_lpips_with_alexnet_is_what_it_was():
    """Pins the shipped weights: numbers of lpips 0.1.4, loaded by its own path as above."""
    scores = lpips(draw(seed=1), draw(seed=2))
    assert scores.tolist() == pytest.approx([0.16156, 0.13758], abs=2e-4)


@pytest.mark.usefixtures("no_networks", "offline", "hub")
def test_lpips_with_alexnet_needs_no_network(monkeypatch):
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", pytest.fail)
    assert lpips(flat(0), flat(255)).item() > 0.1


@pytest.mark.usefixtures("no_networks")
def test_the_network_is_built_once_frozen_and_without_touching_the_random_state():
    before = torch.get_rng_state()
    network = lpips_network("alex", torch.device("cpu"))
    assert lpips_network("alex", torch.device("cpu")) is network
    assert torch.equal(torch.get_rng_state(), before)
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_lpips_of_more_images_than_go_through_the_network_at_once(monkeypatch):
    images, targets = draw(5, seed=1), draw(5, seed=2)
    together = lpips(images, targets)
    monkeypatch.setattr(perceptual, "LPIPS_CHUNK", 2)
    torch.testing.assert_close(lpips(images, targets), together)


@pytest.mark.usefixtures("no_networks", "offline")
@pytest.mark.parametrize(
    ("net", "file"), [("vgg", "vgg16-397923af.pth"), ("squeeze", "squeezenet1_1-b8a52dc0.pth")]
)
def test_weights_that_cannot_be_downloaded(net, file, hub):
    with pytest.raises(UserError) as caught:
        lpips(draw(), draw(), net)
    message = str(caught.value)
    assert "\n" not in message
    assert f"https://download.pytorch.org/models/{file}" in message
    assert "name resolution" in message
    assert f"save that file as {hub / file}, or use the network alex" in message


@pytest.mark.usefixtures("no_networks", "offline")
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off", b"no weights"], ids=repr)
def test_damaged_weights_in_the_hub(content, hub):
    (hub / "vgg16-397923af.pth").write_bytes(content)
    with pytest.raises(UserError, match=r"vgg16-397923af.pth, which cannot be loaded \(\w+Error:"):
        lpips(draw(), draw(), "vgg")


@pytest.mark.usefixtures("no_networks", "offline")
def test_weights_in_the_hub_cannot_run_code(hub):
    class Evil:
        def __reduce__(self):
            return (pytest.fail, ("unpickled",))

    torch.save({"features.0.weight": Evil()}, hub / "vgg16-397923af.pth", pickle_module=pickle)
    with pytest.raises(UserError, match="UnpicklingError"):
        lpips(draw(), draw(), "vgg")


@pytest.mark.usefixtures("unchecked")
def test_unknown_network():
    with pytest.raises(ValueError, match="net: expected one of alex, vgg, squeeze, found 'resnet'"):
        lpips(draw(), draw(), "resnet")


def test_shipped_weights_are_alexnets_convolutions():
    digest = hashlib.sha256(ALEXNET_FEATURES.read_bytes()).hexdigest()
    assert digest in (ALEXNET_FEATURES.parent / "README.md").read_text()
    with torch.device("meta"):
        features = models.alexnet().features
    expected = {f"features.{name}": value.shape for name, value in features.state_dict().items()}
    assert {name: value.shape for name, value in trunk_weights("alex").items()} == expected
