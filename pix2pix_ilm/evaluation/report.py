"""Report of an evaluation: tables for the terminal, and a folder with everything."""

import csv
import io
import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from pix2pix_ilm.evaluation import plots
from pix2pix_ilm.evaluation.evaluate import Evaluation
from pix2pix_ilm.evaluation.gallery import gallery
from pix2pix_ilm.evaluation.scores import Scores
from pix2pix_ilm.evaluation.statistics import CONFIDENCE, RESAMPLES
from pix2pix_ilm.evaluation.table_formats import (
    escape_markdown,
    to_csv,
    to_latex,
    to_markdown,
    to_terminal,
)
from pix2pix_ilm.evaluation.tables import (
    PAPER,
    Table,
    differences_table,
    format_interval,
    format_number,
    means_table,
)
from pix2pix_ilm.figures import write_figure
from pix2pix_ilm.files import make_folder, write_atomically

MOST_COMPARED = 10  # pairs of configurations whose differences a terminal shows
PACKAGES = ("pix2pix-ilm", "torch", "torchvision", "lpips", "scikit-image", "scipy", "numpy")


def write_report(evaluation: Evaluation, out: Path) -> None:
    """Write everything that an evaluation found, and pages to look at it.

    The same evaluation gives the same bytes.

    Args:
        evaluation: scores and images.
        out: folder, made if missing, that receives ``scores.json``, ``scores.csv``, ``table.md``,
            ``table.tex``, ``table.csv``, ``gallery.html`` and ``plots/*.png``.

    Raises:
        UserError: the folder or a file cannot be written.
    """
    make_folder(out / "plots")
    texts = {
        "scores.json": scores_json(evaluation),
        "scores.csv": scores_csv(evaluation),
        "table.md": markdown(evaluation),
        "table.tex": latex(evaluation),
        "table.csv": to_csv(tabulate(evaluation)),
        "gallery.html": gallery(evaluation),
    }
    for name, text in texts.items():
        encoded = text.encode("utf-8", "backslashreplace")  # file names may be no UTF-8
        write_atomically(out / name, lambda file, encoded=encoded: file.write(encoded))
    for name, figure in plots.figures(evaluation).items():
        write_figure(figure, out / "plots" / f"{name}.png")


def tabulate(evaluation: Evaluation) -> Table:
    """Tabulate the means of an evaluation."""
    return means_table(evaluation.summary, evaluation.columns, evaluation.distances)


def terminal_report(evaluation: Evaluation, width: int = 120) -> Group:
    """Show the means and, of two to five configurations, their differences.

    Args:
        evaluation: with its summary.
        width: characters of the terminal.
    """
    summary, metrics = evaluation.summary, evaluation.columns
    shown: list[RenderableType] = [to_terminal(tabulate(evaluation), width)]
    for row in summary.rows:
        if row.diversity:
            mean, interval = format_number(row.diversity.mean, 3), format_interval(row.diversity, 3)
            text = f"\nLPIPS between samples of {row.configuration}: {mean}, {interval}"
            shown.append(Text(text))
    if 0 < len(summary.comparisons) <= MOST_COMPARED * len(metrics):
        shown += [Text(), to_terminal(differences_table(summary, metrics), width)]
    return Group(*shown)


def markdown(evaluation: Evaluation) -> str:
    """Write protocol, means and differences as GitHub's Markdown."""
    summary, metrics, protocol = evaluation.summary, evaluation.columns, evaluation.protocol
    means = tabulate(evaluation)
    blocks = [
        "# Evaluation",
        "\n".join(f"- {escape_markdown(f'{key}: {value}')}" for key, value in protocol.items()),
        to_markdown(means),
        "\n".join(f"- {escape_markdown(line)}" for line in means.legend),
    ]
    if summary.comparisons:
        differences = differences_table(summary, metrics)
        blocks += ["## Differences", to_markdown(differences), *differences.legend]
    return "\n\n".join(blocks) + "\n"


def latex(evaluation: Evaluation) -> str:
    """Write means and intervals as a LaTeX tabular, with protocol and legend as comments."""
    means = tabulate(evaluation)
    protocol = (f"{key}: {value}" for key, value in evaluation.protocol.items())
    comments = [f"% {' '.join(line.split())}" for line in (*protocol, *means.legend)]
    return "\n".join([*comments, to_latex(means)]) + "\n"


def scores_json(evaluation: Evaluation) -> str:
    """Write everything but the images as JSON; infinite and undefined values are null."""
    document = {
        "protocol": evaluation.protocol,
        "metrics": [
            {
                "name": metric.name,
                "label": metric.title,
                "higher_is_better": metric.higher_is_better,
                "digits": metric.digits,
            }
            for metric in evaluation.columns
        ],
        "models": [scores_of(evaluation, one) for one in evaluation.scores],
        "intervals": {"confidence": CONFIDENCE, "bootstrap_resamples": RESAMPLES},
        "summary": [
            asdict(row)
            | ({"paper": PAPER[row.configuration]} if row.configuration in PAPER else {})
            for row in evaluation.summary.rows
        ],
        "comparisons": [
            asdict(one) | {"distinguishable": one.distinguishable}
            for one in evaluation.summary.comparisons
        ],
        "versions": {package: version(package) for package in PACKAGES},
    }
    return json.dumps(nulled(document), indent=1, allow_nan=False) + "\n"


def scores_of(evaluation: Evaluation, scores: Scores) -> dict[str, Any]:
    """Return a model's scores, with FID and KID if they were measured."""
    distances = (evaluation.distances or {}).get(scores.name)
    return asdict(scores) | (asdict(distances) if distances else {})


def nulled(value: Any) -> Any:  # noqa: ANN401
    """Copy a tree with None for the numbers that strict JSON cannot say."""
    if isinstance(value, Mapping):
        return {key: nulled(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [nulled(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def scores_csv(evaluation: Evaluation) -> str:
    """Write a line per model and image."""
    metrics = [metric.name for metric in evaluation.columns]
    sampled = any(one.diversity for one in evaluation.scores)
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    header = ["model", "configuration", "seed", "step", "image", *metrics]
    writer.writerow(header + ["diversity"] * sampled)
    for one in evaluation.scores:
        for i, image in enumerate(one.images):
            row = [one.name, one.configuration, one.seed, one.step, image]
            row += [one.values[metric][i] for metric in metrics]
            writer.writerow(row + [one.diversity[i] if one.diversity else None] * sampled)
    return file.getvalue()
