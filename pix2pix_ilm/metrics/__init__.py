"""Metrics: pure functions of uint8 images, one number per image."""

from pix2pix_ilm.metrics.image import SSIM_WINDOW, l1, psnr, rmse, rmse_rgb, ssim, ssim_paper
from pix2pix_ilm.metrics.perceptual import LPIPS_SMALLEST, LpipsNet, lpips

__all__ = [
    "LPIPS_SMALLEST",
    "SSIM_WINDOW",
    "LpipsNet",
    "l1",
    "lpips",
    "psnr",
    "rmse",
    "rmse_rgb",
    "ssim",
    "ssim_paper",
]
