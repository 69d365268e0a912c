"""How far generated images are from their targets: one number per image.

Every metric takes two uint8 batches of shape (B, H, W, 3) on the same device, which is what
``data.images.to_uint8`` gives, and returns a float32 tensor (B,) on that device. ``check_images``
says what is refused. All metrics are symmetric: which batch is the target does not matter.
"""

import math
import warnings
from functools import cache
from http.client import HTTPException
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Literal, get_args

import torch
from jaxtyping import Float, Int, UInt8
from safetensors.torch import load_file
from torch import Tensor, nn

from pix2pix_ilm.data.images import to_unit
from pix2pix_ilm.errors import UserError

Images = UInt8[Tensor, "b h w 3"]
PerImage = Float[Tensor, " b"]
LpipsNet = Literal["alex", "vgg", "squeeze"]

WANG_SETTINGS: dict[str, Any] = {
    "data_range": 255,
    "gaussian_weights": True,
    "sigma": 1.5,
    "use_sample_covariance": False,
}
SSIM_WINDOW = 11  # pixels: sigma 1.5, cut off at 3.5 sigma
LPIPS_SMALLEST = 31  # pixels: AlexNet's layers leave nothing of anything smaller
LPIPS_CHUNK = 16  # images: keeps memory flat, whatever the batch
ALEXNET_FEATURES = Path(__file__).parent / "weights" / "alexnet_features.safetensors"
TORCHVISION_WEIGHTS = {
    "vgg": "VGG16_Weights.IMAGENET1K_V1",
    "squeeze": "SqueezeNet1_1_Weights.IMAGENET1K_V1",
}


def rmse(images: Images, targets: Images) -> PerImage:
    """Root of the mean squared difference over pixels and channels: 0 to 255, lower is better."""
    return mean_squared_error(images, targets).sqrt()


def rmse_rgb(images: Images, targets: Images) -> PerImage:
    """Root mean square of the pixels' Euclidean RGB distance: 0 to 441.7, lower is better.

    It is sqrt(3) times ``rmse``, and the form that fits the RMSE of the ILM paper's Table 6 (106
    to 108): one constant colour already has an ``rmse`` of about 60 on facades.
    """
    return math.sqrt(3) * rmse(images, targets)


def psnr(images: Images, targets: Images) -> PerImage:
    """Peak signal-to-noise ratio in dB, peak 255: 0 to infinity (equal), higher is better."""
    return 20 * (255 / rmse(images, targets)).log10()


def l1(images: Images, targets: Images) -> PerImage:
    """Mean absolute difference over pixels and channels: 0 to 255, lower is better."""
    return mean_over_image(difference(images, targets).abs())


def ssim(images: Images, targets: Images) -> PerImage:
    """Structural similarity, mean over the RGB channels: -1 to 1 (equal), higher is better.

    Source: Wang, Bovik, Sheikh, Simoncelli, "Image Quality Assessment: From Error Visibility to
    Structural Similarity", IEEE TIP 2004, with its settings: Gaussian window of sigma 1.5, 11 wide,
    population covariance, data range 255. Computed by scikit-image, in float64 on the CPU.
    """
    return structural_similarity(images, targets, WANG_SETTINGS)


def ssim_paper(images: Images, targets: Images) -> PerImage:
    """Structural similarity as the ILM paper most likely took it: -1 to 1, higher is better.

    In 2019 scikit-image assumed a data range of 2 for float images, also for those in [0, 1]. The
    stabilising constants are then four times too large, and flat regions look more alike than they
    are. The window is scikit-image's default, 7x7 and uniform, with sample covariance. Only for
    comparison with that paper's Table 6 (0.37 to 0.39); ``ssim`` is the metric to report.
    """
    return structural_similarity(images, targets, {"data_range": 2 * 255})  # 2 in units of 1 / 255


def lpips(images: Images, targets: Images, net: LpipsNet = "alex") -> PerImage:
    """Learned perceptual distance, version 0.1: from 0 (equal) to about 1, lower is better.

    Source: Zhang, Isola, Efros, Shechtman, Wang, "The Unreasonable Effectiveness of Deep Features
    as a Perceptual Metric", CVPR 2018, by its authors' package ``lpips``.

    Args:
        images: height and width at least 31 pixels.
        targets: likewise.
        net: network whose features are compared. The weights of "alex", the authors' choice for
            a metric, come with this package; those of the others are downloaded once.

    Raises:
        UserError: the weights of "vgg" or "squeeze" are not there and cannot be downloaded.
    """
    check_images(images, targets, LPIPS_SMALLEST)
    network = lpips_network(net, images.device)
    chunks = zip(images.split(LPIPS_CHUNK), targets.split(LPIPS_CHUNK), strict=True)
    with torch.no_grad():
        return torch.cat([network(to_unit(x), to_unit(y)).flatten() for x, y in chunks])


def check_images(images: Images, targets: Images, smallest: int = SSIM_WINDOW) -> None:
    """Refuse what the metrics cannot compare.

    Raises:
        ValueError: a batch is empty, not uint8, not of shape (B, H, W, 3), or lower or narrower
            than ``smallest``; or the two differ in shape or device.
    """
    for name, batch in (("images", images), ("targets", targets)):
        fits = batch.ndim == 4 and batch.shape[0] > 0 and batch.shape[3] == 3
        if batch.dtype != torch.uint8 or not fits or min(batch.shape[1:3]) < smallest:
            raise ValueError(
                f"{name}: expected torch.uint8 of shape (B, H, W, 3) with at least 1 image of at "
                f"least {smallest}x{smallest}, found {batch.dtype} of shape {tuple(batch.shape)}"
            )
    if images.shape != targets.shape or images.device != targets.device:
        raise ValueError(
            f"targets: expected the images' shape {tuple(images.shape)} on {images.device}, found "
            f"{tuple(targets.shape)} on {targets.device}"
        )


def mean_squared_error(images: Images, targets: Images) -> PerImage:
    return mean_over_image(difference(images, targets).square())


def difference(images: Images, targets: Images) -> Int[Tensor, "b h w 3"]:
    check_images(images, targets)
    return images.int() - targets.int()


def mean_over_image(values: Int[Tensor, "b h w 3"]) -> PerImage:
    """Mean of integers, exact but for the division: the sum is an int64."""
    return values.sum(dim=(1, 2, 3)) / values[0].numel()


def structural_similarity(images: Images, targets: Images, settings: dict[str, Any]) -> PerImage:
    """scikit-image's SSIM of every image; uint8 input is what makes it compute in float64."""
    from skimage import metrics

    check_images(images, targets)
    pairs = zip(images.cpu().numpy(), targets.cpu().numpy(), strict=True)
    values = [metrics.structural_similarity(x, y, channel_axis=-1, **settings) for x, y in pairs]
    return torch.tensor(values, dtype=torch.float32, device=images.device)


@cache
def lpips_network(net: LpipsNet, device: torch.device) -> nn.Module:
    """The frozen LPIPS network, built once per kind and device.

    Its linear layers come with the ``lpips`` package. The trunk is made with random weights, since
    the package would otherwise download it, and then filled with the pretrained ones.
    """
    from lpips import LPIPS

    if net not in get_args(LpipsNet):
        raise ValueError(f"net: expected one of {', '.join(get_args(LpipsNet))}, found {net!r}")
    weights = trunk_weights(net)
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        # lpips calls torchvision's models in a way that torchvision warns about.
        warnings.filterwarnings("ignore", category=UserWarning, module=r"torchvision\.models")
        network = LPIPS(net=net, pnet_rand=True, verbose=False)
    # slice2.3.weight of the trunk is features.3.weight of torchvision's network.
    named = {key: f"features.{key.split('.', 1)[1]}" for key in network.net.state_dict()}
    network.net.load_state_dict({key: weights[name] for key, name in named.items()})
    return network.eval().requires_grad_(False).to(device)


def trunk_weights(net: LpipsNet) -> dict[str, Tensor]:
    """Pretrained weights under torchvision's names, at least the convolutions (``features.*``)."""
    if net == "alex":
        return load_file(ALEXNET_FEATURES)
    return download_weights(TORCHVISION_WEIGHTS[net])


def download_weights(name: str) -> dict[str, Tensor]:
    """Torchvision's weights of this name, from torch hub's cache if they are there.

    Raises:
        UserError: naming the address, the reason, and the file that would make it work.
    """
    from torchvision.models import get_weight

    url = get_weight(name).url
    try:
        return torch.hub.load_state_dict_from_url(
            url, map_location="cpu", check_hash=True, weights_only=True
        )
    except (OSError, HTTPException, RuntimeError, EOFError, UnpicklingError) as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        file = Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[1]
        raise UserError(
            f"LPIPS needs the pretrained weights {url}, which cannot be loaded ({reason}); save "
            f"that file as {file}, or use the network alex, whose weights come with this program"
        ) from None
