"""An evaluation as text files: JSON and CSV for programs, Markdown and LaTeX for papers."""

import csv
import io
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from pix2pix_ilm.evaluation.evaluate import Evaluation
from pix2pix_ilm.evaluation.intervals import CONFIDENCE, RESAMPLES, Comparison
from pix2pix_ilm.evaluation.marks import (
    COMPARISON_LEGEND,
    DASH,
    Cell,
    Line,
    arrow,
    bounds,
    legend,
    lines,
    number,
    p_value,
    pairs,
)
from pix2pix_ilm.evaluation.scores import Metric, Scores
from pix2pix_ilm.evaluation.summary import PAPER, Row

PACKAGES = ("pix2pix-ilm", "torch", "torchvision", "lpips", "scikit-image", "scipy", "numpy")
TEX = {
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


def scores_json(evaluation: Evaluation) -> str:
    """Everything but the images; infinite and undefined values are null."""
    document = {
        "protocol": evaluation.protocol,
        "metrics": [described(metric) for metric in evaluation.columns],
        "models": [asdict(one) for one in evaluation.scores],
        "intervals": {"confidence": CONFIDENCE, "bootstrap_resamples": RESAMPLES},
        "summary": [asdict(row) | paper(row) for row in evaluation.summary.rows],
        "comparisons": [
            asdict(one) | {"distinguishable": one.distinguishable}
            for one in evaluation.summary.comparisons
        ],
        "versions": {package: version(package) for package in PACKAGES},
    }
    return json.dumps(finite(document), indent=1, allow_nan=False) + "\n"


def described(metric: Metric) -> dict[str, Any]:
    names = ("name", "label", "higher_is_better", "digits")
    return {name: getattr(metric, name) for name in names}


def paper(row: Row) -> dict[str, Any]:
    return {"paper": PAPER[row.configuration]} if row.configuration in PAPER else {}


def finite(value: Any) -> Any:  # noqa: ANN401
    """The same tree with None for what strict JSON cannot say."""
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def scores_csv(evaluation: Evaluation) -> str:
    """A line per model and image."""
    metrics = [metric.name for metric in evaluation.columns]
    sampled = any(one.diversity for one in evaluation.scores)
    header = ["model", "configuration", "seed", "step", "image", *metrics]
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(header + ["diversity"] * sampled)
    for one in evaluation.scores:
        writer.writerows(records(one, metrics, sampled=sampled))
    return file.getvalue()


def records(one: Scores, metrics: Sequence[str], *, sampled: bool) -> Iterator[list[object]]:
    for i, image in enumerate(one.images):
        values = [one.values[metric][i] for metric in metrics]
        diversity = [one.diversity[i] if one.diversity else None] * sampled
        yield [one.name, one.configuration, one.seed, one.step, image, *values, *diversity]


def table_md(evaluation: Evaluation) -> str:
    """Protocol, means and differences as GitHub's Markdown."""
    rows, compared = lines(evaluation), pairs(evaluation.summary.comparisons)
    headings = [md(f"{metric.label} {arrow(metric)}") for metric in evaluation.columns]
    blocks = [
        "# Evaluation",
        "\n".join(f"- {md(key)}: {md(str(value))}" for key, value in evaluation.protocol.items()),
        md_table(["configuration", *headings], [cells for row in rows for cells in md_rows(row)]),
        "\n".join(f"- {md(line)}" for line in legend(rows)),
    ]
    if compared:
        differences = [
            [f"{md(second)} minus {md(first)}", *md_differences(of_pair, evaluation.columns)]
            for (first, second), of_pair in compared.items()
        ]
        blocks += ["## Differences", md_table(["", *headings], differences), COMPARISON_LEGEND]
    return "\n\n".join(blocks) + "\n"


def md_rows(row: Line) -> Iterator[list[str]]:
    name = md(row.configuration) + (f" ({row.models} seeds)" if row.models > 1 else "")
    yield [name, *(md_cell(cell) for cell in row.cells)]
    if row.in_paper:
        yield ["*paper*", *(f"*{cell.paper}*" if cell.paper else "" for cell in row.cells)]


def md_cell(cell: Cell) -> str:
    mean = f"**{cell.mean}**" if cell.best else cell.mean
    parts = [mean + " =" * cell.tied, cell.images, f"{cell.seeds} seeds" * bool(cell.seeds)]
    return "<br>".join(filter(None, parts))


def md_differences(of_pair: Mapping[str, Comparison], columns: Sequence[Metric]) -> Iterator[str]:
    for metric in columns:
        one = of_pair[metric.name]
        mean = number(one.difference.mean, metric.digits, "+") + " =" * (not one.distinguishable)
        interval = bounds(one.difference, metric.digits, "+")
        yield "<br>".join([mean, interval, md(p_value(one.corrected_p_value))])


def md_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    rule = ["---"] + [":-:"] * (len(header) - 1)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, rule, *rows))


def md(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    return re.sub(r"([\\`*_\[\]<>|#~&])", r"\\\1", " ".join(text.split()))


def table_tex(evaluation: Evaluation) -> str:
    """Means and intervals as a LaTeX tabular; needs the package booktabs."""
    rows = lines(evaluation)
    headings = [tex(f"{metric.label} {arrow(metric)}") for metric in evaluation.columns]
    parts = [
        *(f"% {' '.join(f'{key}: {value}'.split())}" for key, value in evaluation.protocol.items()),
        *(f"% {line}" for line in legend(rows)),
        rf"\begin{{tabular}}{{l{'c' * len(headings)}}}",
        r"\toprule",
        tex_row("Generator / discriminator", headings),
        r"\midrule",
        "\n\\addlinespace\n".join("\n".join(tex_rows(row)) for row in rows),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(parts) + "\n"


def tex_rows(row: Line) -> Iterator[str]:
    """Means, intervals over images, those over seeds, and the paper's values."""
    means = [rf"\textbf{{{tex(cell.mean)}}}" if cell.best else tex(cell.mean) for cell in row.cells]
    tied = [r"\rlap{$^{=}$}" * cell.tied for cell in row.cells]
    yield tex_row(tex(row.configuration), [m + t for m, t in zip(means, tied, strict=True)])
    yield tex_row("", [tex_small(cell.images) for cell in row.cells])
    if row.models > 1:
        seeds = [tex_small(cell.seeds) if cell.seeds else "" for cell in row.cells]
        yield tex_row(rf"\quad {row.models} seeds", seeds)
    if row.in_paper:
        yield tex_row(r"\quad paper", [rf"\textit{{{cell.paper}}}" for cell in row.cells])


def tex_row(first: str, cells: Sequence[str]) -> str:
    return " & ".join([first, *cells]) + r" \\"


def tex_small(text: str) -> str:
    return rf"{{\scriptsize {tex(text)}}}"


def tex(text: str) -> str:
    """Text that LaTeX shows as it is."""
    return "".join(TEX.get(character, character) for character in " ".join(text.split()))
