"""One evaluation: models and images in, everything that a report shows out."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import PartialState

from pix2pix_ilm.checkpoints import ModelConfig, read_model_config, read_saved, resolve_checkpoint
from pix2pix_ilm.data.cache import PairedImages, load_pairs
from pix2pix_ilm.data.datasets import data_folder
from pix2pix_ilm.data.pairs import find_pairs, pairs_in
from pix2pix_ilm.devices import Device, pick_device
from pix2pix_ilm.errors import UserError
from pix2pix_ilm.evaluation.baselines import baselines
from pix2pix_ilm.evaluation.scores import (
    Image,
    Metric,
    Sampling,
    Scorer,
    Scores,
    as_rgb,
    configuration_title,
    refuse_small,
    table_metrics,
)
from pix2pix_ilm.evaluation.statistics import Summary, summarize
from pix2pix_ilm.metrics.distribution import (
    KID_SUBSETS,
    InceptionDistances,
    inception_distances,
    kid_subset,
)
from pix2pix_ilm.metrics.perceptual import LpipsNet

PAPER_SPLIT = ("train[:200]", "train[200:400]")
"""Splits that the ILM Norm paper trained on, and evaluated on."""
COMMON = {
    "image size": attrgetter("image_size"),
    "direction": attrgetter("direction"),
    "number of photo channels": attrgetter("generator.out_channels"),
}
"""Settings that checkpoints evaluated on the same photos share; each reads its label maps."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Everything that a report shows."""

    protocol: Mapping[str, str | int | bool]
    """Conditions: data, split, number of images, size, dropout, samples, LPIPS network."""
    columns: Sequence[Metric]
    scores: Sequence[Scores]
    summary: Summary
    label_maps: Sequence[Image]
    """Label maps, in the order of ``scores[...].images``; empty where there are none."""
    targets: Sequence[Image]
    """Photos, likewise."""
    outputs: Mapping[str, Sequence[Image]]
    """Name of a model -> its photos, likewise; the main process alone has them."""
    distances: Mapping[str, InceptionDistances] | None = None
    """Name of a model -> FID and KID of its photos; None unless they were asked for."""


def fitted_and_evaluated(split: str) -> tuple[str, str]:
    """Return the splits to fit baselines on and to evaluate on; "paper": the ILM paper's."""
    return PAPER_SPLIT if split == "paper" else ("train", split)


def make_scorer(
    sampling: Sampling,
    lpips_net: LpipsNet,
    device: Device,
    batch_size: int,
    extra: Sequence[Metric] = (),
) -> Scorer:
    """Return a scorer with the table's metrics and others; UserError if there is no such device."""
    state = PartialState(cpu=pick_device(device).type == "cpu")
    return Scorer(
        columns=[*table_metrics(lpips_net), *extra],
        sampling=sampling,
        lpips_net=lpips_net,
        device=torch.device(state.device or "cpu"),
        batch_size=batch_size,
    )


def evaluate_checkpoints(
    checkpoints: Sequence[str | Path],
    data: str,
    split: str,
    scorer: Scorer,
    *,
    baselines_from: str | None = None,
    titles: Mapping[str | Path, str] | None = None,
) -> Evaluation:
    """Translate and score a split with every checkpoint.

    Each gets the label maps as it was trained on them: in color, gray, or as classes. What is shown
    of them, and baselines, go by the first that knows classes, else by the first.

    Args:
        checkpoints: trained models, as of ``resolve_checkpoint``; those whose configurations
            differ in nothing but the seed are taken for seeds of one configuration.
        data: a folder of pairs, or a name as of ``data_folder``.
        split: a split or a slice of one, or "paper": the ILM Norm paper's held-out 200.
        scorer: metrics, sampling and device.
        baselines_from: split whose photos baselines are fitted on; unset: no baselines.
        titles: each checkpoint's configuration; unset: as their own configurations tell.

    Raises:
        UserError: something is no checkpoint, checkpoints do not fit one another or their images
            are too small for a metric, or the data set or the split is missing.
    """
    if len({resolve_checkpoint(one).resolve() for one in checkpoints}) < len(checkpoints):
        raise UserError("evaluate: a checkpoint was given twice")
    configs = {checkpoint: read_model_config(checkpoint) for checkpoint in checkpoints}
    model_config = common_config(configs)
    size = model_config.image_size
    refuse_small(scorer.columns, checkpoints[0], size, size)
    root = data_folder(data, size)
    _, split = fitted_and_evaluated(split)
    check_split(root, split)
    if baselines_from:
        find_pairs(root, baselines_from)  # rather than after all models
    titles = titles or distinct_titles(configs)
    results = []
    for one in checkpoints:
        scores, images = scorer.checkpoint(one, read_split(root, split, configs[one]))
        results.append((replace(scores, configuration=titles[one]), images))
    model_config = next((one for one in configs.values() if one.palette), model_config)
    pairs = read_split(root, split, model_config)
    if baselines_from:
        fitted = baselines(read_split(root, baselines_from, model_config))
        results += [scorer.baseline(name, predict, pairs) for name, predict in fitted.items()]
    return assemble(
        results,
        scorer,
        label_maps=list(as_rgb(pairs.painted_label_map).numpy()),
        targets=list(as_rgb(pairs.photo).numpy()),
        protocol={"data": data, "split": split, "image size": size},
    )


def check_split(root: Path, split: str) -> None:
    """Refuse a split that is not there, or too small for intervals; UserError with what is."""
    found = len(find_pairs(root, split))
    if found < 2:
        raise UserError(
            f"{root}: split {split!r} has {found} pair; expected at least 2, since intervals are "
            "over images; choose another --split, or put more pairs there"
        )


def evaluate_folders(outputs: Path, targets: Path, scorer: Scorer) -> Evaluation:
    """Score images that any program made against their targets, matched by file name.

    Raises:
        UserError: images without a partner, of unequal sizes, or unreadable.
    """
    return assemble(
        [scorer.folders(outputs, targets)],
        scorer,
        label_maps=[],
        targets=[pair.read()[1] for pair in pairs_in((outputs, targets))],
        protocol={"outputs": str(outputs), "targets": str(targets)},
    )


def assemble(
    results: Sequence[tuple[Scores, list[Image]]],
    scorer: Scorer,
    *,
    label_maps: Sequence[Image],
    targets: Sequence[Image],
    protocol: dict[str, str | int | bool],
) -> Evaluation:
    """Put scores and images together with what a reader must know of how they came about."""
    scores = [scored for scored, _ in results]
    sampling = scorer.sampling
    return Evaluation(
        protocol=protocol
        | {
            "images": len(targets),
            "dropout": sampling.dropout,
            "samples": sampling.samples,
            "LPIPS network": scorer.lpips_net,
        },
        columns=scorer.columns,
        scores=scores,
        summary=summarize(scores),
        label_maps=label_maps,
        targets=targets,
        outputs={scored.name: images for scored, images in results},
    )


def measure_distances(
    evaluation: Evaluation, device: Device, weights: Path | None = None
) -> Evaluation:
    """Add FID and KID of every model's photos, in the main process, which has them.

    Args:
        evaluation: whose images all have one size.
        device: where to compute.
        weights: of Inception; unset: downloaded once.

    Raises:
        UserError: as in ``inception_distances``, or images of several sizes.
    """
    if weights is not None:
        try:
            read_saved(weights)  # torch-fidelity itself would run what a pickle says
        except UserError as error:
            raise UserError(f"{weights}: {error}") from None
    if len({image.shape for image in evaluation.targets}) != 1:
        raise UserError("--fid: expected images of one size, found several; resize them first")
    height, width = evaluation.targets[0].shape[:2]
    targets = torch.from_numpy(np.stack(evaluation.targets))
    distances = {
        name: inception_distances(
            torch.from_numpy(np.stack(photos)), targets, pick_device(device), weights
        )
        for name, photos in evaluation.outputs.items()
    }
    subsets = f"KID over {KID_SUBSETS} subsets of {kid_subset(len(targets))}"
    how = f"{len(targets)} photos of {width}x{height}, torch-fidelity's Inception, {subsets}"
    protocol = {**evaluation.protocol, "FID, KID": how}
    return replace(evaluation, distances=distances, protocol=protocol)


def common_config(configs: Mapping[str | Path, ModelConfig]) -> ModelConfig:
    """Return a configuration that all checkpoints agree with; UserError if they do not fit."""
    (first, expected), *others = configs.items()
    for folder, found in others:
        for what, value in COMMON.items():
            if value(found) != value(expected):
                raise UserError(
                    f"{folder}: its {what} is {value(found)}, that of {first} is "
                    f"{value(expected)}; evaluate them apart"
                )
    return expected


def distinct_titles(configs: Mapping[str | Path, ModelConfig]) -> dict[str | Path, str]:
    """Return a title of each configuration: equal where only seeds and steps differ.

    Where norms alone do not tell configurations apart, whatever does is added, such as "ngf 32".
    """
    titles = {folder: configuration_title(one) for folder, one in configs.items()}
    details = {folder: architecture(one) for folder, one in configs.items()}
    distinct = {}
    for folder, title in titles.items():
        alike = [details[other] for other in details if titles[other] == title]
        telling = [
            f"{name} {value}"
            for name, value in details[folder].items()
            if any(other.get(name, value) != value for other in alike)
        ]
        distinct[folder] = ", ".join([title, *telling])
    return distinct


def architecture(model_config: ModelConfig) -> dict[str, Any]:
    """Return the settings that tell configurations apart beside their norms.

    How a network was trained is among them where it is known.
    """
    settings: dict[str, Any] = asdict(model_config.generator)
    settings |= settings.pop("norm_options")
    del settings["in_channels"]  # follow from the label maps
    palette = model_config.palette
    kind = "gray" if model_config.label_channels == 1 else "color"
    settings |= {
        "label_maps": kind if palette is None else palette.title,
        "depth": model_config.generator.num_downs,
        "data": model_config.data_name,
    }
    settings |= model_config.recipe or {}
    return {re.sub("[._]", " ", name): value for name, value in settings.items()}


def read_split(root: Path, split: str, model_config: ModelConfig) -> PairedImages:
    """Return the pairs of a split at the size that a checkpoint was trained on."""
    return load_pairs(
        find_pairs(root, split),
        model_config.image_size,
        direction=model_config.direction,
        label_channels=model_config.label_channels,
        photo_channels=model_config.generator.out_channels,
    )
