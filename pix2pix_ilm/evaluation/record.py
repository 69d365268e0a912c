"""A checkpoint's own metrics, kept in its folder: ``metrics.json``."""

from dataclasses import dataclass
from pathlib import Path

from pix2pix_ilm.checkpoints import METRICS_FILE, resolve_checkpoint
from pix2pix_ilm.errors import UserError
from pix2pix_ilm.evaluation.evaluate import Evaluation
from pix2pix_ilm.evaluation.statistics import Interval, bootstrap_interval
from pix2pix_ilm.files import read_json, write_json


@dataclass(frozen=True, kw_only=True)
class RecordedMetrics:
    """Content of a checkpoint's ``metrics.json``."""

    protocol: dict[str, str | int | bool]
    """Conditions: data, split, number of images, and so on."""
    step: int | None
    """Training steps behind the weights that were evaluated."""
    metrics: dict[str, Interval]
    """Metric, such as rmse_rgb -> mean and 95 % interval over images."""


def record_metrics(evaluation: Evaluation) -> None:
    """Write every checkpoint's metrics into its folder; UserError if that fails."""
    for scores in evaluation.scores:
        if scores.baseline:
            continue
        record = RecordedMetrics(
            protocol=dict(evaluation.protocol),
            step=scores.step,
            metrics={name: bootstrap_interval(of) for name, of in scores.values.items()},
        )
        write_json(resolve_checkpoint(scores.name) / METRICS_FILE, record)


def read_metrics(folder: Path, step: int | None) -> RecordedMetrics | None:
    """Read a checkpoint's metrics; None if there are none, or of other weights than it has now."""
    try:
        record = read_json(folder / METRICS_FILE, RecordedMetrics)
    except UserError:
        return None
    return record if record.step == step else None
