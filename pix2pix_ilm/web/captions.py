"""What the page says beneath a photo."""

from collections.abc import Sequence
from html import escape

import numpy as np
import torch
from PIL import Image

from pix2pix_ilm import metrics
from pix2pix_ilm.web.studio import Photo
from pix2pix_ilm.web.uploads import Picture

METRICS = {
    "RMSE ↓": (metrics.rmse, "{:.1f}", metrics.SSIM_WINDOW),
    "SSIM ↑": (metrics.ssim, "{:.3f}", metrics.SSIM_WINDOW),
    "LPIPS ↓": (metrics.lpips, "{:.3f}", metrics.LPIPS_SMALLEST),
}
"""Name -> function, how its value is shown, smallest side of an image."""


def size_of(image: Picture) -> str:
    return f"{image.shape[1]}x{image.shape[0]}"


def describe(photos: Sequence[Photo], notes: Sequence[str]) -> str:
    """Models, sizes and times in one line of HTML."""
    parts = [
        f"<b>{escape(photo.model.name)}</b> {size_of(photo.image)}, {photo.seconds * 1e3:.0f} ms"
        for photo in photos
    ]
    return " · ".join([*parts, *map(escape, notes)])


def metrics_table(photos: Sequence[Photo], real: Picture) -> str:
    """How far the photos are from the real one, as an HTML table."""
    heads = "".join(f'<th scope="col">{name}</th>' for name in METRICS)
    rows = "".join(
        f'<tr><th scope="row">{escape(photo.model.name)}</th>'
        + "".join(f"<td>{value}</td>" for value in measure(photo.image, real))
        + "</tr>"
        for photo in photos
    )
    return f'<table><thead><tr><th scope="col">Model</th>{heads}</tr></thead>{rows}</table>'


def measure(photo: Picture, real: Picture) -> list[str]:
    """The metrics against the real photo, which is resized where its size differs."""
    height, width = photo.shape[:2]
    if real.shape != photo.shape:
        resized = Image.fromarray(real).resize((width, height), Image.Resampling.BICUBIC)
        real = np.asarray(resized)
    pair = [torch.from_numpy(np.array(image))[None] for image in (photo, real)]
    return [
        shown.format(function(*pair).item()) if min(height, width) >= smallest else "too small"
        for function, shown, smallest in METRICS.values()
    ]
