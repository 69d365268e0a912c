"""All images beside one another on one page that needs no network: sort, filter, enlarge."""

import base64
import io
import json
import math
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from html import escape
from pathlib import Path
from typing import Any

import PIL.Image

from pix2pix_ilm.evaluation.evaluate import Evaluation
from pix2pix_ilm.evaluation.marks import Cell, Line, arrow, legend, lines, model_labels
from pix2pix_ilm.evaluation.scores import Image

ASSETS = Path(__file__).parent / "assets"
LARGEST_SIDE = 256  # pixels: larger images are reduced
QUALITY = 85  # of WebP: 200 images of 3 models make a page of about 15 MB


def gallery(evaluation: Evaluation) -> str:
    """One HTML page with everything in it; it asks no server for anything."""
    rows = lines(evaluation)
    parts = {
        "style": (ASSETS / "gallery.css").read_text("utf-8"),
        "script": (ASSETS / "gallery.js").read_text("utf-8"),
        "headline": escape(headline(evaluation)),
        "protocol": "".join(protocol_item(*item) for item in evaluation.protocol.items()),
        "table": means_table(evaluation, rows),
        "legend": "".join(f"<li>{escape(line)}</li>" for line in legend(rows)),
        "scores": as_script(page_scores(evaluation)),
        "images": as_script(page_images(evaluation)),
    }
    template = (ASSETS / "gallery.html").read_text("utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], template)


def headline(evaluation: Evaluation) -> str:
    models = sum(not one.floor for one in evaluation.scores)
    return f"{len(evaluation.targets)} images, {models} model{'s' * (models != 1)}"


def protocol_item(key: str, value: str | int | bool) -> str:
    shown = ("no", "yes")[value] if isinstance(value, bool) else str(value)
    return f"<div><dt>{escape(key)}</dt><dd>{escape(shown)}</dd></div>"


def means_table(evaluation: Evaluation, rows: Sequence[Line]) -> str:
    """The table of means with intervals; readable without JavaScript."""
    heads = "".join(
        f'<th scope="col">{escape(metric.label)} <span class="arrow">{arrow(metric)}</span></th>'
        for metric in evaluation.columns
    )
    body = "".join(means_row(row) for row in rows)
    head = f'<thead><tr><th scope="col">Configuration</th>{heads}</tr></thead>'
    return f"<table>{head}<tbody>{body}</tbody></table>"


def means_row(row: Line) -> str:
    seeds = f"<small>{row.models} seeds</small>" if row.models > 1 else ""
    name = f'<th scope="row">{escape(row.configuration)}{seeds}</th>'
    return f"<tr>{name}{''.join(map(means_cell, row.cells))}</tr>"


def means_cell(cell: Cell) -> str:
    mean = f"<b>{cell.mean}</b>" if cell.best else f"{cell.mean}{' =' * cell.tied}"
    small = [cell.images, f"{cell.seeds} seeds" * bool(cell.seeds)]
    small.append(f"paper {cell.paper}" * bool(cell.paper))
    return f"<td>{mean}{''.join(f'<small>{text}</small>' for text in small if text)}</td>"


def page_scores(evaluation: Evaluation) -> dict[str, Any]:
    """What the page sorts by and shows under the images."""
    shown = zip(evaluation.scores, model_labels(evaluation.scores), strict=True)
    return {
        "images": evaluation.scores[0].images,
        "metrics": [
            {
                "name": metric.name,
                "label": metric.label,
                "digits": metric.digits,
                "higherIsBetter": metric.higher_is_better,
            }
            for metric in evaluation.columns
        ],
        "models": [
            {
                "name": one.name,
                "label": label,
                "values": {
                    metric.name: [as_json(value) for value in one.values[metric.name]]
                    for metric in evaluation.columns
                },
            }
            for one, label in shown
        ],
    }


def as_json(value: float) -> float | str:
    """JSON has no infinity; JavaScript's ``Number`` reads "Infinity" and "NaN"."""
    if math.isfinite(value):
        return float(f"{value:.7g}")
    return "NaN" if math.isnan(value) else f"{'-' if value < 0 else ''}Infinity"


def page_images(evaluation: Evaluation) -> dict[str, list[str] | list[list[str]]]:
    """Base64 WebP: label maps (or none), photos, and each model's outputs."""
    outputs = [evaluation.outputs[one.name] for one in evaluation.scores]
    with ThreadPoolExecutor() as pool:
        return {
            "labels": list(pool.map(encode, evaluation.labels)),
            "photos": list(pool.map(encode, evaluation.targets)),
            "outputs": [list(pool.map(encode, images)) for images in outputs],
        }


def encode(pixels: Image) -> str:
    """Base64 of a WebP of at most ``LARGEST_SIDE``."""
    picture = PIL.Image.fromarray(pixels)
    picture.thumbnail((LARGEST_SIDE, LARGEST_SIDE), PIL.Image.Resampling.LANCZOS)
    file = io.BytesIO()
    picture.save(file, format="WEBP", quality=QUALITY)
    return base64.b64encode(file.getvalue()).decode("ascii")


def as_script(value: Mapping[str, Any]) -> str:
    """JSON that cannot end the script element that it stands in."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c")
