"""What a table of results says, before it is set for the terminal, Markdown, LaTeX or HTML."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pix2pix_ilm.evaluation.evaluate import Evaluation
from pix2pix_ilm.evaluation.intervals import Comparison, Interval
from pix2pix_ilm.evaluation.scores import Metric, Scores
from pix2pix_ilm.evaluation.summary import PAPER, Row, Summary

DASH = "\N{EN DASH}"
LEGEND = (
    "bold: best mean of a model in the column",
    "=: cannot be told from the best (5 % level, Wilcoxon signed-rank over images, Holm-corrected)",
    f"low{DASH}high: 95 % interval over images (bootstrap)",
)
SEEDS_LEGEND = "± seeds: half of the 95 % interval over trainings (Student's t)"
PAPER_LEGEND = "paper: Table 6 of the ILM Norm paper"
COMPARISON_LEGEND = (
    "mean over images of the paired difference, its 95 % interval, and Holm-corrected p-value of "
    "the Wilcoxon signed-rank test"
)


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One configuration in one metric."""

    mean: str
    images: str
    """Interval over images: low to high."""
    seeds: str
    """Half of the interval over seeds; empty with a single seed."""
    paper: str
    """The ILM paper's value; empty where it has none."""
    best: bool
    tied: bool
    """Not the best, but cannot be told from it."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One configuration in all metrics."""

    configuration: str
    models: int
    cells: list[Cell]

    @property
    def in_paper(self) -> bool:
        """Whether the ILM paper has this configuration."""
        return any(cell.paper for cell in self.cells)


def lines(evaluation: Evaluation) -> list[Line]:
    """The rows of the summary, formatted and marked."""
    summary = evaluation.summary
    best = {metric.name: best_row(summary, metric) for metric in evaluation.columns}
    return [
        Line(
            configuration=row.configuration,
            models=len(row.models),
            cells=[cell(summary, row, best[metric.name], metric) for metric in evaluation.columns],
        )
        for row in summary.rows
    ]


def cell(summary: Summary, row: Row, best: Row | None, metric: Metric) -> Cell:
    interval = row.images[metric.name]
    seeds = row.seeds.get(metric.name)
    paper = PAPER.get(row.configuration, {}).get(metric.name)
    return Cell(
        mean=number(interval.mean, metric.digits),
        images=bounds(interval, metric.digits),
        seeds="" if seeds is None else "±" + number(seeds.high - seeds.mean, metric.digits),
        paper="" if paper is None else number(paper, metric.digits),
        best=row is best,
        tied=best not in (row, None) and is_tied(summary.comparisons, row, best, metric),
    )


def best_row(summary: Summary, metric: Metric) -> Row | None:
    """The model's row with the best mean, the first of equals; None without a rival."""
    sign = -1 if metric.higher_is_better else 1
    models = [row for row in summary.rows if not row.floor]
    known = [row for row in models if not math.isnan(row.images[metric.name].mean)]
    if len(known) < 2:
        return None
    return min(known, key=lambda row: sign * row.images[metric.name].mean)


def is_tied(comparisons: Sequence[Comparison], row: Row, best: Row, metric: Metric) -> bool:
    pair = {row.configuration, best.configuration}
    return any(
        not one.distinguishable
        for one in comparisons
        if one.metric == metric.name and {one.first, one.second} == pair
    )


def legend(rows: Sequence[Line]) -> list[str]:
    """What the marks in a table mean: only those that can occur."""
    found: list[str] = [*LEGEND] if len(rows) > 1 else [LEGEND[-1]]
    if any(row.models > 1 for row in rows):
        found.append(SEEDS_LEGEND)
    if any(row.in_paper for row in rows):
        found.append(PAPER_LEGEND)
    return found


def arrow(metric: Metric) -> str:
    """Which way is better."""
    return "↑" if metric.higher_is_better else "↓"


def number(value: float, digits: int, sign: str = "") -> str:
    if not math.isfinite(value):
        return "n/a" if math.isnan(value) else f"{'-' if value < 0 else sign}∞"
    return f"{round(value, digits) + 0.0:{sign}.{digits}f}"  # + 0.0 turns -0.0 into 0.0


def bounds(interval: Interval, digits: int, sign: str = "") -> str:
    """Low, dash, high; or -0.01 to 0.02 where a dash could be read as a sign."""
    low, high = number(interval.low, digits, sign), number(interval.high, digits, sign)
    return f"{low} to {high}" if sign or low.startswith("-") else f"{low}{DASH}{high}"


def p_value(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p = {number(value, 3)}"


def pairs(comparisons: Sequence[Comparison]) -> dict[tuple[str, str], dict[str, Comparison]]:
    """(First, second) -> metric -> comparison, in the order of the comparisons."""
    found: dict[tuple[str, str], dict[str, Comparison]] = {}
    for one in comparisons:
        found.setdefault((one.first, one.second), {})[one.metric] = one
    return found


def model_labels(scores: Sequence[Scores]) -> list[str]:
    """A short name for each model: its configuration, and what tells it from its siblings."""
    described = [describe(one, siblings(one, scores)) for one in scores]
    return [
        label if described.count(label) == 1 else one.name
        for label, one in zip(described, scores, strict=True)
    ]


def siblings(one: Scores, scores: Sequence[Scores]) -> list[Scores]:
    return [other for other in scores if other.configuration == one.configuration]


def describe(one: Scores, alike: Sequence[Scores]) -> str:
    """Configuration, with the seed and the step if those differ among models like it."""
    parts = [one.configuration]
    if one.seed is not None and len({other.seed for other in alike}) > 1:
        parts.append(f"seed {one.seed}")
    if one.step is not None and len({other.step for other in alike}) > 1:
        parts.append(f"step {one.step}")
    return ", ".join(parts)
