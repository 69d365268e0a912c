"""The whole study: train what is missing, evaluate all, write the report."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pix2pix_ilm.checkpoints import load_generator
from pix2pix_ilm.data.datasets import data_folder
from pix2pix_ilm.data.images import encode_label_maps
from pix2pix_ilm.data.pairs import find_pairs, validation_split
from pix2pix_ilm.evaluation import plots
from pix2pix_ilm.evaluation.evaluate import (
    Evaluation,
    evaluate_checkpoints,
    make_scorer,
    read_split,
)
from pix2pix_ilm.evaluation.record import record_metrics
from pix2pix_ilm.evaluation.report import write_report
from pix2pix_ilm.evaluation.scores import Sampling, norm_title
from pix2pix_ilm.files import write_json
from pix2pix_ilm.inference import flushed_denormals
from pix2pix_ilm.models.norm_statistics import LayerStatistics, layer_statistics
from pix2pix_ilm.reproduction.study import (
    CONFIGURATIONS,
    REPORT,
    Say,
    Study,
    open_study,
    train_all,
)
from pix2pix_ilm.training.config import TrainConfig
from pix2pix_ilm.training.logging import read_losses
from pix2pix_ilm.training.run_folder import METRICS

BATCH_SIZE = 8  # images at once while evaluating


def reproduce(config: TrainConfig, folder: Path, seeds: int, say: Say) -> Evaluation | None:
    """Train, evaluate and compare the paper's three configurations; goes on with what is there.

    Args:
        config: what all trainings share; norms, seed and names are the study's.
        folder: for everything; ``report/`` inside it gets tables, plots and gallery.
        seeds: trainings of each configuration, with seeds 0, 1, ...
        say: prints a line.

    Returns:
        The evaluation; None while other processes still train.

    Raises:
        UserError: bad data or settings, or another study in this folder.
        Interrupted: after a signal; what was done is saved.
    """
    root = data_folder(config.data, config.image_size)
    split = config.val_split or validation_split(root)
    find_pairs(root, split)  # refuse a split that is not there before training for hours
    study = open_study(config, folder)
    trainings = study.trainings(folder, seeds)
    if not train_all(trainings, say):
        say("Other processes still train; run the same command again for the report")
        return None
    say(f"Evaluating {len(trainings)} models on {split}")
    folders = [training.checkpoints / training.run_name for training in trainings]
    scorer = make_scorer(Sampling(), "alex", config.device, BATCH_SIZE)
    evaluation = evaluate_checkpoints(
        folders, config.data, split, scorer, baselines_from=config.train_split
    )
    record_metrics(evaluation)
    report(evaluation, study, folder, seeds)
    return evaluation


def report(evaluation: Evaluation, study: Study, folder: Path, seeds: int) -> None:
    """Write tables, gallery and distributions; losses; what the ILM layers do."""
    out = folder / REPORT
    write_report(evaluation, out)
    folders = {
        " / ".join(map(norm_title, norms)): [
            folder / study.training(folder, *norms, seed).run_name for seed in range(seeds)
        ]
        for norms in CONFIGURATIONS
    }
    logged = {name: [losses_of(run) for run in runs] for name, runs in folders.items()}
    plots.write_figure(plots.losses(logged), out / "plots" / "losses.png")
    write_norm_statistics(folders, str(evaluation.protocol["split"]), study.config.data, out)


def losses_of(folder: Path) -> plots.Losses:
    """Return the steps and losses, (n,) each, that a run logged."""
    rows = [row for _, row in read_losses(folder / METRICS)]
    return {
        name: np.array([getattr(row, name) for row in rows], np.float64)
        for name in ("step", *plots.LOSS_TITLES)
    }


@dataclass(frozen=True, kw_only=True)
class NormStatistics:
    """Content of ``norm-statistics.json``."""

    configurations: dict[str, list[LayerStatistics]]
    """Configuration, such as ILM+IN / IN -> the layers of its first seed's generator."""


def write_norm_statistics(folders: dict[str, list[Path]], split: str, data: str, out: Path) -> None:
    """Write statistics of ILM layers, and a plot for each configuration that has some."""
    found: dict[str, list[LayerStatistics]] = {}
    for name, (first, *_) in folders.items():
        generator, config = load_generator(first)
        pairs = read_split(data_folder(data, config.image_size), split, config)
        with flushed_denormals():
            label_maps = (encode_label_maps(of, pairs.palette) for of in pairs.label_map.split(1))
            found[name] = layer_statistics(generator, label_maps)
        if found[name]:
            file = f"norm-statistics-{config.generator.norm}-{config.discriminator_norm}.png"
            title = f"ILM layers of the generator, {name}, {len(pairs)} images"
            plots.write_figure(plots.rescaling(found[name], title), out / "plots" / file)
    write_json(out / "norm-statistics.json", NormStatistics(configurations=found))
