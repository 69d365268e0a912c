"""Metrics of generated images against their targets, pixel by pixel: one number per image.

Every metric takes two uint8 batches of shape (B, H, W, 3) on the same device, as
``data.images.to_uint8`` gives them, and returns a float32 tensor (B,) on that device.
``check_images`` says what is refused. All are symmetric: which batch is the target does not matter.
"""

import math
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from pix2pix_ilm.data.parallel import in_parallel

Images = UInt8[Tensor, "b h w 3"]
PerImage = Float[Tensor, " b"]

WANG_SETTINGS: dict[str, Any] = {
    "data_range": 255,
    "gaussian_weights": True,
    "sigma": 1.5,
    "use_sample_covariance": False,
}
SSIM_WINDOW = 11  # pixels: sigma 1.5, cut off at 3.5 sigma


def rmse(images: Images, targets: Images) -> PerImage:
    """Return the root mean squared difference over pixels and channels: 0 to 255, lower better."""
    return mean_over_image(difference(images, targets).square()).sqrt()


def rmse_rgb(images: Images, targets: Images) -> PerImage:
    """Return the root mean square of the pixels' Euclidean RGB distance: 0 to 441.7, lower better.

    It is sqrt(3) times ``rmse``, and the form that fits the RMSE of the ILM paper's Table 6 (106
    to 108): one constant color already has an ``rmse`` of about 60 on facades.
    """
    return math.sqrt(3) * rmse(images, targets)


def psnr(images: Images, targets: Images) -> PerImage:
    """Return peak signal-to-noise ratio in dB, peak 255: 0 to infinity (equal), higher better."""
    return 20 * (255 / rmse(images, targets)).log10()


def l1(images: Images, targets: Images) -> PerImage:
    """Return the mean absolute difference over pixels and channels: 0 to 255, lower is better."""
    return mean_over_image(difference(images, targets).abs())


def ssim(images: Images, targets: Images) -> PerImage:
    """Return structural similarity, mean over the RGB channels: -1 to 1 (equal), higher better.

    Source: Wang, Bovik, Sheikh, Simoncelli, "Image Quality Assessment: From Error Visibility to
    Structural Similarity", IEEE TIP 2004, with its settings: Gaussian window of sigma 1.5, 11 wide,
    population covariance, data range 255. Computed by scikit-image, in float64 on the CPU.
    """
    return structural_similarity(images, targets, WANG_SETTINGS)


def ssim_paper(images: Images, targets: Images) -> PerImage:
    """Return structural similarity as the ILM paper most likely took it: -1 to 1, higher better.

    In 2019 scikit-image assumed a data range of 2 for float images, also for those in [0, 1]. The
    stabilizing constants are then four times too large, and flat regions look more alike than they
    are. The window is scikit-image's default, 7x7 and uniform, with sample covariance. Only for
    comparison with that paper's Table 6 (0.37 to 0.39); ``ssim`` is the metric to report.
    """
    return structural_similarity(images, targets, {"data_range": 2 * 255})  # 2 in units of 1 / 255


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


def difference(images: Images, targets: Images) -> Int[Tensor, "b h w 3"]:
    """Return the differences of uint8 images, int32 from -255 to 255."""
    check_images(images, targets)
    return images.int() - targets.int()


def mean_over_image(values: Int[Tensor, "b h w 3"]) -> PerImage:
    """Average integers, exact but for the division: the sum is an int64."""
    return values.sum(dim=(1, 2, 3)) / values[0].numel()


def structural_similarity(images: Images, targets: Images, settings: dict[str, Any]) -> PerImage:
    """Compute scikit-image's SSIM of every image; uint8 input makes it compute in float64.

    Images are shared among threads: the filters, SciPy's, let others work meanwhile.
    """
    from skimage import metrics

    check_images(images, targets)
    pairs = list(zip(images.cpu().numpy(), targets.cpu().numpy(), strict=True))
    compare = partial(metrics.structural_similarity, channel_axis=-1, **settings)
    values = list(in_parallel(lambda pair: compare(*pair), pairs))
    return torch.tensor(values, dtype=torch.float32, device=images.device)
