"""One evaluation: models and images in, everything that a report shows out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pix2pix_ilm.data.cache import PairedImages, load_pairs
from pix2pix_ilm.data.images import read_image
from pix2pix_ilm.data.pairs import find_pairs, pairs_in
from pix2pix_ilm.data.sources import data_folder
from pix2pix_ilm.errors import UserError
from pix2pix_ilm.evaluation.baselines import class_colours, mean_colour
from pix2pix_ilm.evaluation.scores import Image, Metric, Scorer, Scores
from pix2pix_ilm.evaluation.summary import Summary, summarize
from pix2pix_ilm.training.runs import ModelConfig, read_model_config

SPLIT_NAMES = {"paper": "train[200:400]"}


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Everything that a report shows."""

    protocol: Mapping[str, str | int | bool]
    """How it was done: data, split, number of images, size, dropout, samples, LPIPS network."""
    columns: Sequence[Metric]
    scores: Sequence[Scores]
    summary: Summary
    labels: Sequence[Image]
    """Label maps, in the order of ``scores[...].images``; empty where there are none."""
    targets: Sequence[Image]
    """Photos, likewise."""
    outputs: Mapping[str, Sequence[Image]]
    """Name of a model -> its photos, likewise."""
