"""Tables of an evaluation: rows and cells made once, for many readers.

A cell is a few lines of text, each with a role (the best mean, an interval, ...); what a role looks
like is decided in ``table_formats``, and for HTML in ``assets/gallery.html``.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from pix2pix_ilm.evaluation.scores import Metric
from pix2pix_ilm.evaluation.statistics import Comparison, Difference, Interval, Row, Summary
from pix2pix_ilm.metrics.distribution import InceptionDistances

Role = Literal["plain", "best", "tied", "better", "worse", "detail", "paper"]
PAPER = {
    "IN / IN": {"rmse_rgb": 108.17, "lpips": 0.441, "ssim_paper": 0.372},
    "ILM+IN / IN": {"rmse_rgb": 105.82, "lpips": 0.435, "ssim_paper": 0.390},
    "ILM+IN / ILM+IN": {"rmse_rgb": 105.46, "lpips": 0.428, "ssim_paper": 0.372},
}
"""Table 6 of the ILM Norm paper, under the conventions that it most likely used."""
DASH = "\N{EN DASH}"
BEST_LEGEND = "bold: best mean of a model in the column"
TIED_LEGEND = "=: cannot be told from the best (5 % level, Holm-corrected)"
SEEDS_LEGEND = "±: 95 % interval over trainings (Student's t); they decide (exact sign-flip test)"
INTERVAL_LEGEND = f"low{DASH}high: 95 % interval over images (bootstrap)"
ONE_SEED_LEGEND = "one training each: only images vary, and decide (paired t-test)"
PAPER_LEGEND = "paper: Table 6 of the ILM Norm paper"
DIFFERENCE_LEGEND = (
    "mean paired difference, its 95 % interval and Holm-corrected p-value, over trainings (seeds) "
    "where both have several, and over images; the first decides; =: cannot be told apart"
)
DISTANCES_LEGEND = (
    "FID, KID: of all photos to all real ones; FID is too large over few images, and compares only "
    "with that over as many; KID: mean ± deviation over subsets"
)


@dataclass(frozen=True)
class Line:
    """One line of a cell."""

    text: str
    role: Role = "plain"


Cells = tuple[tuple[Line, ...], ...]
"""The cells of a row: its name, then one per metric."""


class Heading(NamedTuple):
    """Heading of a column of numbers."""

    title: str
    higher_is_better: bool = False

    @property
    def arrow(self) -> str:
        """Return an arrow to what is better."""
        return "↑" if self.higher_is_better else "↓"


DISTANCES = (Heading("FID"), Heading("KID (x1000)"))


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of cells, a column per metric."""

    title: str
    """Heading of the first column."""
    headings: Sequence[Heading]
    rows: Sequence[Cells]
    legend: Sequence[str]


def means_table(
    summary: Summary,
    metrics: Sequence[Metric],
    distances: Mapping[str, InceptionDistances] | None = None,
) -> Table:
    """Tabulate means with their intervals: a row per configuration, and the paper's beneath.

    Args:
        summary: of the evaluation.
        metrics: the columns, before those of the distances.
        distances: name of a model -> FID and KID of its photos; unset: no such columns.
    """
    best = {metric.name: best_row(summary, metric) for metric in metrics}
    rows: list[Cells] = []
    for row in summary.rows:
        seeds = (Line(f"{len(row.models)} seeds", "detail"),) if len(row.models) > 1 else ()
        cells = [mean_cell(summary, row, best[metric.name], metric) for metric in metrics]
        if distances:
            cells += distance_cells([distances[name] for name in row.models])
        rows.append(((Line(row.configuration), *seeds), *cells))
        paper = PAPER.get(row.configuration, {})
        if any(metric.name in paper for metric in metrics):
            values = (format_number(paper.get(m.name), m.digits) for m in metrics)
            texts = ("paper", *values, *([""] * len(DISTANCES) if distances else ()))
            rows.append(tuple((Line(text, "paper"),) for text in texts))
    legend = [BEST_LEGEND, TIED_LEGEND] if any(best.values()) else []
    legend += [SEEDS_LEGEND] if any(row.seeds for row in summary.rows) else []
    legend += [INTERVAL_LEGEND]
    alone = any(one.seeds is None for one in summary.comparisons)
    legend += [ONE_SEED_LEGEND] if alone else []
    legend += [PAPER_LEGEND] if len(rows) > len(summary.rows) else []
    legend += [DISTANCES_LEGEND] if distances else []
    headings = [*headings_of(metrics), *(DISTANCES if distances else ())]
    return Table(title="configuration", headings=headings, rows=rows, legend=legend)


def headings_of(metrics: Sequence[Metric]) -> list[Heading]:
    """Return the headings of columns of metrics."""
    return [Heading(metric.title, metric.higher_is_better) for metric in metrics]


def distance_cells(models: Sequence[InceptionDistances]) -> list[tuple[Line, ...]]:
    """Write FID and 1000 KID, means over models, and the deviation of KID over subsets."""
    fid, kid, deviation = (
        float(np.mean([getattr(model, name) for model in models]))
        for name in ("fid", "kid", "kid_deviation")
    )
    spread = Line(f"±{format_number(1000 * deviation, 1)} subsets", "detail")
    return [(Line(format_number(fid, 1)),), (Line(format_number(1000 * kid, 1)), spread)]


def best_row(summary: Summary, metric: Metric) -> Row | None:
    """Find the model's row with the best mean, the first of equals; None without a rival."""
    sign = -1 if metric.higher_is_better else 1
    models = [row for row in summary.rows if not row.baseline]
    known = [row for row in models if not math.isnan(row.images[metric.name].mean)]
    if len(known) < 2:
        return None
    return min(known, key=lambda row: sign * row.images[metric.name].mean)


def mean_cell(summary: Summary, row: Row, best: Row | None, metric: Metric) -> tuple[Line, ...]:
    """Write a mean, its interval over seeds if there are several, and that over images."""
    interval, seeds = row.images[metric.name], row.seeds.get(metric.name)
    undecided = {
        frozenset((one.first, one.second))
        for one in summary.comparisons
        if one.metric == metric.name and not one.distinguishable
    }
    role: Role = "plain"
    if row is best:
        role = "best"
    elif best and frozenset((row.configuration, best.configuration)) in undecided:
        role = "tied"
    lines = [Line(format_number(interval.mean, metric.digits), role)]
    if seeds:
        half = format_number(seeds.high - seeds.mean, metric.digits)
        lines.append(Line(f"±{half} seeds", "detail"))
    return (*lines, Line(format_interval(interval, metric.digits), "detail"))


def differences_table(summary: Summary, metrics: Sequence[Metric]) -> Table:
    """Tabulate paired differences of every two configurations: a row per pair."""
    pairs: dict[tuple[str, str], dict[str, Comparison]] = {}
    for one in summary.comparisons:
        pairs.setdefault((one.second, one.first), {})[one.metric] = one
    rows = [
        (
            (Line(second), Line(f"minus {first}")),
            *(difference_cell(of_pair[metric.name], metric) for metric in metrics),
        )
        for (second, first), of_pair in pairs.items()
    ]
    legend = [DIFFERENCE_LEGEND]
    return Table(title="difference", headings=headings_of(metrics), rows=rows, legend=legend)


def difference_cell(comparison: Comparison, metric: Metric) -> tuple[Line, ...]:
    """Write a difference, and its interval and corrected p-value over seeds and over images."""
    mean = comparison.decisive.interval.mean
    role: Role = "tied"
    if comparison.distinguishable:
        role = "better" if (mean > 0) == metric.higher_is_better else "worse"
    lines = [Line(format_number(mean, metric.digits, "+"), role)]
    for name, of in (("seeds", comparison.seeds), ("images", comparison.images)):
        if of is not None:
            interval = format_interval(of.interval, metric.digits, "+")
            lines += [Line(f"{name} {interval}", "detail"), Line(format_p(of), "detail")]
    return tuple(lines)


def format_p(difference: Difference) -> str:
    """Write the corrected p-value, which is never 0."""
    value = difference.corrected_p_value
    return "p < 0.001" if value < 0.001 else f"p = {format_number(value, 3)}"


def format_number(value: float | None, digits: int, sign: str = "") -> str:
    """Round to some digits; "n/a" for NaN, empty for None.

    With a sign, what is below 0 is so in writing, too: an interval to -0.0004 does not reach 0.
    """
    if value is None:
        return ""
    if not math.isfinite(value):
        return "n/a" if math.isnan(value) else f"{'-' if value < 0 else sign}∞"
    if not sign or value == 0:
        value = round(value, digits) + 0.0  # which turns -0.0 into 0.0
    return f"{value:{sign}.{digits}f}"


def format_interval(interval: Interval, digits: int, sign: str = "") -> str:
    """Write low, dash, high; or -0.01 to 0.02 where a dash could be read as a sign."""
    low, high = (format_number(end, digits, sign) for end in (interval.low, interval.high))
    return f"{low} to {high}" if sign or low.startswith("-") else f"{low}{DASH}{high}"
