"""Gallery: all images beside one another on one page that needs no network."""

import base64
import io
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import PIL.Image

from pix2pix_ilm.evaluation.evaluate import Evaluation
from pix2pix_ilm.evaluation.scores import Image, Scores
from pix2pix_ilm.evaluation.tables import means_table
from pix2pix_ilm.templates import render

TEMPLATE = Path(__file__).parent / "assets" / "gallery.html"
LARGEST_SIDE = 256  # pixels: larger images are reduced
QUALITY = 85  # of WebP: 200 images of 3 models make a page of about 15 MB


def gallery(evaluation: Evaluation) -> str:
    """Write one HTML page with everything in it; it asks no server for anything."""
    models = sum(not one.baseline for one in evaluation.scores)
    return render(
        TEMPLATE,
        headline=f"{len(evaluation.targets)} images, {models} model{'s' * (models != 1)}",
        protocol=evaluation.protocol,
        table=means_table(evaluation.summary, evaluation.columns, evaluation.distances),
        scores=page_scores(evaluation),
        images=page_images(evaluation),
    )


def page_scores(evaluation: Evaluation) -> dict[str, Any]:
    """Collect what the page sorts by and shows under the images."""
    shown = zip(evaluation.scores, model_titles(evaluation.scores), strict=True)
    return {
        "images": evaluation.scores[0].images,
        "metrics": [
            {
                "name": metric.name,
                "label": metric.title,
                "digits": metric.digits,
                "higherIsBetter": metric.higher_is_better,
            }
            for metric in evaluation.columns
        ],
        "models": [
            {
                "name": one.name,
                "title": title,
                "baseline": one.baseline,
                "values": {
                    metric.name: [as_json(value) for value in one.values[metric.name]]
                    for metric in evaluation.columns
                },
            }
            for one, title in shown
        ],
    }


def as_json(value: float) -> float | str:
    """Write infinity as text, as JSON has none; JavaScript's ``Number`` reads it back."""
    if math.isfinite(value):
        return float(f"{value:.7g}")
    return "NaN" if math.isnan(value) else f"{'-' if value < 0 else ''}Infinity"


def page_images(evaluation: Evaluation) -> dict[str, list[str] | list[list[str]]]:
    """Encode label maps (or none), photos and each model's outputs as base64 WebP."""
    outputs = [evaluation.outputs[one.name] for one in evaluation.scores]
    with ThreadPoolExecutor() as pool:
        return {
            "labels": list(pool.map(encode, evaluation.label_maps)),
            "photos": list(pool.map(encode, evaluation.targets)),
            "outputs": [list(pool.map(encode, images)) for images in outputs],
        }


def encode(pixels: Image) -> str:
    """Encode an image as base64 of a WebP of at most ``LARGEST_SIDE`` pixels a side."""
    picture = PIL.Image.fromarray(pixels)
    picture.thumbnail((LARGEST_SIDE, LARGEST_SIDE), PIL.Image.Resampling.LANCZOS)
    file = io.BytesIO()
    picture.save(file, format="WEBP", quality=QUALITY)
    return base64.b64encode(file.getvalue()).decode("ascii")


def model_titles(scores: Sequence[Scores]) -> list[str]:
    """Name each model by its configuration, and by the seed or step if siblings differ in it."""
    titles = []
    for one in scores:
        siblings = [other for other in scores if other.configuration == one.configuration]
        parts = [one.configuration]
        if one.seed is not None and len({other.seed for other in siblings}) > 1:
            parts.append(f"seed {one.seed}")
        if one.step is not None and len({other.step for other in siblings}) > 1:
            parts.append(f"step {one.step}")
        titles.append(", ".join(parts))
    return [
        title if titles.count(title) == 1 else one.name
        for title, one in zip(titles, scores, strict=True)
    ]
