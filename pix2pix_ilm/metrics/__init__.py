"""Metrics: pure functions of uint8 images, one number per image."""

from pix2pix_ilm.metrics.image import SSIM_WINDOW, l1, psnr, rmse, rmse_rgb, ssim, ssim_paper
from pix2pix_ilm.metrics.perceptual import (
    HAARPSI_SMALLEST,
    LPIPS_SMALLEST,
    LpipsNet,
    haarpsi,
    lpips,
)

__all__ = [
    "HAARPSI_SMALLEST",
    "LPIPS_SMALLEST",
    "SSIM_WINDOW",
    "LpipsNet",
    "haarpsi",
    "l1",
    "lpips",
    "psnr",
    "rmse",
    "rmse_rgb",
    "ssim",
    "ssim_paper",
]
