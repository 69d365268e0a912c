"""Tables of an evaluation: rows and cells made once, written for many readers.

A cell is a few lines of text, each with a role (the best mean, an interval, ...); a writer decides
what a role looks like in the terminal, Markdown, LaTeX, CSV or HTML (``assets/gallery.html``).
"""

import csv
import io
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Literal

from pix2pix_ilm.evaluation.scores import Metric
from pix2pix_ilm.evaluation.statistics import PAPER, Comparison, Difference, Interval, Row, Summary

if TYPE_CHECKING:
    import rich.table
    from rich.text import Text

Role = Literal["plain", "best", "tied", "better", "worse", "detail", "paper"]
DASH = "\N{EN DASH}"
BEST_LEGEND = "bold: best mean of a model in the column"
TIED_LEGEND = "=: cannot be told from the best (5 % level, Holm-corrected)"
SEEDS_LEGEND = "±: 95 % interval over trainings (Student's t); they decide (exact sign-flip test)"
INTERVAL_LEGEND = f"low{DASH}high: 95 % interval over images (bootstrap)"
ONE_SEED_LEGEND = "one training each: only images vary, and decide (Wilcoxon signed-rank test)"
PAPER_LEGEND = "paper: Table 6 of the ILM Norm paper"
DIFFERENCE_LEGEND = (
    "mean paired difference, its 95 % interval and Holm-corrected p-value, over trainings (seeds) "
    "where both have several, and over images; the first decides; =: cannot be told apart"
)
TERMINAL_STYLES: dict[Role, str] = {
    "plain": "", "best": "bold", "tied": "", "better": "green", "worse": "red", "detail": "dim",
    "paper": "dim italic",
}  # fmt: skip
TERMINAL_GAP = 2  # spaces between columns: padding and an invisible line
TERMINAL_NAMES = (12, 24)  # characters of the first column: at least, at most
LATEX_FORMATS: dict[Role, str] = {
    "best": r"\textbf{%s}", "tied": r"%s\rlap{$^{=}$}", "detail": r"{\scriptsize %s}",
    "paper": r"\textit{%s}",
}  # fmt: skip
LATEX_CHARACTERS = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "±": r"$\pm$",
    "∞": r"$\infty$",
    DASH: "--",
}


@dataclass(frozen=True)
class Line:
    """One line of a cell."""

    text: str
    role: Role = "plain"


Cells = tuple[tuple[Line, ...], ...]
"""The cells of a row: its name, then one per metric."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of cells, a column per metric."""

    title: str
    """Heading of the first column."""
    metrics: Sequence[Metric]
    rows: Sequence[Cells]
    legend: Sequence[str]


def means_table(summary: Summary, metrics: Sequence[Metric]) -> Table:
    """Tabulate means with their intervals: a row per configuration, and the paper's beneath."""
    best = {metric.name: best_row(summary, metric) for metric in metrics}
    rows: list[Cells] = []
    for row in summary.rows:
        seeds = (Line(f"{len(row.models)} seeds", "detail"),) if len(row.models) > 1 else ()
        cells = (mean_cell(summary, row, best[metric.name], metric) for metric in metrics)
        rows.append(((Line(row.configuration), *seeds), *cells))
        paper = PAPER.get(row.configuration, {})
        if any(metric.name in paper for metric in metrics):
            values = (format_number(paper.get(m.name), m.digits) for m in metrics)
            rows.append(tuple((Line(text, "paper"),) for text in ("paper", *values)))
    legend = [BEST_LEGEND, TIED_LEGEND] if any(best.values()) else []
    legend += [SEEDS_LEGEND] if any(row.seeds for row in summary.rows) else []
    legend += [INTERVAL_LEGEND]
    alone = any(one.seeds is None for one in summary.comparisons)
    legend += [ONE_SEED_LEGEND] if alone else []
    legend += [PAPER_LEGEND] if len(rows) > len(summary.rows) else []
    return Table(title="configuration", metrics=metrics, rows=rows, legend=legend)


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
    return Table(title="difference", metrics=metrics, rows=rows, legend=[DIFFERENCE_LEGEND])


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
    """Round to some digits; "n/a" for NaN, empty for None."""
    if value is None:
        return ""
    if not math.isfinite(value):
        return "n/a" if math.isnan(value) else f"{'-' if value < 0 else sign}∞"
    return f"{round(value, digits) + 0.0:{sign}.{digits}f}"  # + 0.0 turns -0.0 into 0.0


def format_interval(interval: Interval, digits: int, sign: str = "") -> str:
    """Write low, dash, high; or -0.01 to 0.02 where a dash could be read as a sign."""
    low, high = (format_number(end, digits, sign) for end in (interval.low, interval.high))
    return f"{low} to {high}" if sign or low.startswith("-") else f"{low}{DASH}{high}"


def arrow(metric: Metric) -> str:
    """Point to what is better."""
    return "↑" if metric.higher_is_better else "↓"


def to_terminal(table: Table, width: int) -> "rich.table.Table":
    """Write for a terminal of so many characters; the last metrics are left out if too wide."""
    import rich.table
    from rich.box import SIMPLE
    from rich.text import Text

    names = max(len(line.text) for name, *_ in table.rows for line in name)
    names = min(max(names, TERMINAL_NAMES[0]), TERMINAL_NAMES[1])
    headings = [terminal_heading(metric) for metric in table.metrics]
    cells = [[terminal_cell(cell) for cell in row] for row in table.rows]
    left, shown = width - names, 0
    for column, heading in enumerate(headings, start=1):
        texts = [heading, *(row[column].plain for row in cells)]
        left -= max(len(line) for text in texts for line in text.split("\n")) + TERMINAL_GAP
        if left < 0 and shown:
            break
        shown = column
    missing = [metric.title for metric in table.metrics[shown:]]
    legend = [*table.legend, *([f"too narrow for: {', '.join(missing)}"] if missing else [])]
    written = rich.table.Table(
        box=SIMPLE,
        show_edge=False,
        padding=(0, 1, 0, 0),
        caption=Text("\n" + "\n".join(legend), "dim not italic"),
        caption_justify="left",
    )
    written.add_column(table.title, min_width=names, overflow="fold")
    for heading in headings[:shown]:
        written.add_column(heading, justify="center", no_wrap=True)
    for row, following in zip_longest(cells, table.rows[1:]):
        ends = not following or following[0][0].role != "paper"
        written.add_row(*row[: shown + 1], end_section=ends)
    return written


def terminal_heading(metric: Metric) -> str:
    """Write RMSE (RGB) on two lines, with the direction that is better."""
    name, _, detail = metric.title.partition(" (")
    return f"{name} {arrow(metric)}" + (f"\n({detail}" if detail else "")


def terminal_cell(cell: Sequence[Line]) -> "Text":
    """Stack a cell's lines; spaces keep a number with a mark in the middle."""
    from rich.text import Text

    marked = [(f"  {line.text} =" if line.role == "tied" else line.text) for line in cell]
    return Text("\n").join(
        Text(text, TERMINAL_STYLES[line.role]) for text, line in zip(marked, cell, strict=True)
    )


def to_markdown(table: Table) -> str:
    """Write as GitHub's Markdown."""
    formats: dict[Role, str] = {"best": "**%s**", "tied": "%s =", "paper": "*%s*"}

    def join(cell: Sequence[Line]) -> str:
        lines = (formats.get(line.role, "%s") % escape_markdown(line.text) for line in cell)
        return "<br>".join(lines) if any(line.text for line in cell) else ""

    head = [table.title, *(escape_markdown(f"{m.title} {arrow(m)}") for m in table.metrics)]
    rule = ["---", *(":-:" for _ in table.metrics)]
    rows = [head, rule, *([join(cell) for cell in row] for row in table.rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def escape_markdown(text: str) -> str:
    """Escape what Markdown would interpret, and put it on one line."""
    return re.sub(r"([\\`*_\[\]<>|#~&])", r"\\\1", " ".join(text.split()))


def to_latex(table: Table) -> str:
    """Write as a LaTeX tabular; needs the package booktabs."""
    head = [table.title, *(f"{metric.title} {arrow(metric)}" for metric in table.metrics)]
    rows = [line for row in table.rows for line in (r"\addlinespace", *latex_lines(row))][1:]
    return "\n".join(
        [
            rf"\begin{{tabular}}{{l{'c' * len(table.metrics)}}}",
            r"\toprule",
            " & ".join(map(escape_latex, head)) + r" \\",
            r"\midrule",
            *rows,
            r"\bottomrule",
            r"\end{tabular}",
        ]
    )


def latex_lines(row: Cells) -> Iterator[str]:
    """Spread a row over as many lines of the tabular as its highest cell has."""
    for lines in zip_longest(*row, fillvalue=Line("")):
        cells = (
            LATEX_FORMATS.get(line.role, "%s") % escape_latex(line.text) if line.text else ""
            for line in lines
        )
        yield " & ".join(cells) + r" \\"


def escape_latex(text: str) -> str:
    """Escape what LaTeX would interpret, and put it on one line."""
    return "".join(
        LATEX_CHARACTERS.get(character, character) for character in " ".join(text.split())
    )


def to_csv(table: Table) -> str:
    """Write the cells' lines, separated by spaces."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([table.title, *(metric.title for metric in table.metrics)])
    writer.writerows([" ".join(line.text for line in cell) for cell in row] for row in table.rows)
    return file.getvalue()
