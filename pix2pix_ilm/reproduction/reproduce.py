"""The whole study: train what is missing, evaluate all, write the report."""

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from pix2pix_ilm import metrics
from pix2pix_ilm.checkpoints import load_generator
from pix2pix_ilm.data.datasets import data_folder
from pix2pix_ilm.data.images import encode_label_maps
from pix2pix_ilm.data.pairs import validation_split
from pix2pix_ilm.errors import UserError
from pix2pix_ilm.evaluation.evaluate import (
    Evaluation,
    check_split,
    evaluate_checkpoints,
    fitted_and_evaluated,
    make_scorer,
    read_split,
)
from pix2pix_ilm.evaluation.plots import rescaling
from pix2pix_ilm.evaluation.record import record_metrics
from pix2pix_ilm.evaluation.report import write_report
from pix2pix_ilm.evaluation.scores import Metric, Sampling
from pix2pix_ilm.figures import write_figure
from pix2pix_ilm.files import make_folder, write_json
from pix2pix_ilm.inference import flushed_denormals
from pix2pix_ilm.models.norm_statistics import LayerStatistics, layer_statistics
from pix2pix_ilm.reproduction.studies import Arm
from pix2pix_ilm.reproduction.study import Say, check_settings, progress, train_all
from pix2pix_ilm.reproduction.summary import write_summary
from pix2pix_ilm.training.curves import draw_curves, read_curves
from pix2pix_ilm.training.diagnostics import TITLES, diagnosis_curves

BATCH_SIZE = 8  # images at once while evaluating
HAARPSI = Metric(
    name="haarpsi",
    title="HaarPSI",
    higher_is_better=True,
    digits=3,
    measure=metrics.haarpsi,
    smallest=metrics.HAARPSI_SMALLEST,
)
"""A metric that no loss has seen."""
REPORT = "report"


def reproduce(
    arms: Sequence[Arm],
    folder: Path,
    seeds: int,
    say: Say,
    *,
    only: Collection[str] = (),
    split: str | None = None,
) -> Evaluation | None:
    """Train, evaluate and compare configurations; goes on with what is there.

    Args:
        arms: the configurations, on the same data.
        folder: for everything; ``report/`` inside it gets tables, plots and gallery.
        seeds: trainings of each configuration, with seeds 0, 1, ...
        say: prints a line.
        only: names of the configurations to train; empty: all. The report has all that are done.
        split: to evaluate on, or "paper": the ILM Norm paper's held-out 200; unset: the trainings'
            validation split.

    Returns:
        The evaluation; None while other processes still train.

    Raises:
        UserError: bad data or settings, trainings in this folder that have others, or torchrun.
        Interrupted: after a signal; what was done is saved.
    """
    processes = os.environ.get("WORLD_SIZE", "1")  # as torchrun sets it
    if processes != "1":
        raise UserError(
            f"expected one process for a study, found {processes}; start the command several times "
            "instead, each with a GPU of its own (CUDA_VISIBLE_DEVICES): they share the trainings"
        )
    shared = arms[0].config
    root = data_folder(shared.data, shared.image_size)
    _, split = fitted_and_evaluated(split or shared.val_split or validation_split(root))
    check_split(root, fitted_and_evaluated(split)[1])  # rather than after hours of training
    trainings = [(arm, arm.training(folder, seed)) for arm in arms for seed in range(seeds)]
    check_settings([training for _, training in trainings])
    make_folder(folder)
    chosen = [training for arm, training in trainings if not only or arm.name in only]
    if not train_all(sorted(chosen, key=lambda training: training.seed), say):
        say("Other processes still train; run the same command again for the report")
        return None
    finished = {
        folder / training.run_name: arm
        for arm, training in trainings
        if progress(training).finished
    }
    say(f"Evaluating {len(finished)} models on {split}")
    scorer = make_scorer(Sampling(), "alex", shared.device, BATCH_SIZE, extra=[HAARPSI])
    evaluation = evaluate_checkpoints(
        list(finished),
        shared.data,
        split,
        scorer,
        baselines_from=shared.train_split,
        titles={run: arm.title for run, arm in finished.items()},
    )
    record_metrics(evaluation)
    report(evaluation, finished, shared.data, folder / REPORT)
    return evaluation


def report(evaluation: Evaluation, runs: dict[Path, Arm], data: str, out: Path) -> None:
    """Write tables, gallery and distributions; losses and diagnoses; what the ILM layers do."""
    write_report(evaluation, out)
    write_summary(evaluation, runs, out)
    by_arm: dict[Arm, list[Path]] = {}
    for run, arm in runs.items():
        by_arm.setdefault(arm, []).append(run)
    curves = {arm.title: [read_curves(run) for run in of] for arm, of in by_arm.items()}
    write_figure(draw_curves(curves), out / "plots" / "losses.png")
    diagnosed = {arm.title: [diagnosis_curves(run) for run in of] for arm, of in by_arm.items()}
    if any(any(seeds) for seeds in diagnosed.values()):
        write_figure(draw_curves(diagnosed, TITLES), out / "plots" / "diagnostics.png")
    first_runs = {arm: of[0] for arm, of in by_arm.items()}
    write_norm_statistics(first_runs, str(evaluation.protocol["split"]), data, out)


@dataclass(frozen=True, kw_only=True)
class NormStatistics:
    """Content of ``norm-statistics.json``."""

    configurations: dict[str, list[LayerStatistics]]
    """Configuration, such as ILM+IN / IN -> the layers of its first seed's generator."""


def write_norm_statistics(runs: dict[Arm, Path], split: str, data: str, out: Path) -> None:
    """Write statistics of ILM layers, and a plot for each configuration that has some."""
    found: dict[str, list[LayerStatistics]] = {}
    for arm, run in runs.items():
        generator, config = load_generator(run)
        pairs = read_split(data_folder(data, config.image_size), split, config)
        with flushed_denormals():
            label_maps = (
                (encode_label_maps(of, pairs.palette),) for of in pairs.label_map.split(1)
            )
            layers = found[arm.title] = layer_statistics(generator, label_maps)
        if layers:
            title = f"ILM layers of the generator, {arm.title}, {len(pairs)} images"
            figure = rescaling(layers, title)
            write_figure(figure, out / "plots" / f"norm-statistics-{arm.name}.png")
    write_json(out / "norm-statistics.json", NormStatistics(configurations=found))
