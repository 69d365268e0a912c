"""An evaluation, made readable: tables for the terminal, and a folder with everything."""

from collections.abc import Sequence
from pathlib import Path

from rich.box import SIMPLE
from rich.console import Group
from rich.table import Table
from rich.text import Text

from pix2pix_ilm.evaluation import documents, plots
from pix2pix_ilm.evaluation.evaluate import Evaluation
from pix2pix_ilm.evaluation.gallery import gallery
from pix2pix_ilm.evaluation.intervals import Comparison
from pix2pix_ilm.evaluation.marks import (
    COMPARISON_LEGEND,
    Cell,
    arrow,
    bounds,
    legend,
    lines,
    number,
    p_value,
    pairs,
)
from pix2pix_ilm.evaluation.scores import Metric
from pix2pix_ilm.files import make_folder, write_atomically

GAP = 2  # spaces between columns: padding and an invisible line
NAME_WIDTHS = (12, 24)  # characters of the first column: at least, at most


def write_report(evaluation: Evaluation, out: Path) -> None:
    """Write everything that an evaluation found, and pages to look at it.

    The same evaluation gives the same bytes.

    Args:
        evaluation: scores and images.
        out: folder, made if missing, that receives ``scores.json``, ``scores.csv``, ``table.md``,
            ``table.tex``, ``gallery.html`` and ``plots/*.png``.

    Raises:
        UserError: the folder or a file cannot be written.
    """
    make_folder(out / "plots")
    texts = {
        "scores.json": documents.scores_json,
        "scores.csv": documents.scores_csv,
        "table.md": documents.table_md,
        "table.tex": documents.table_tex,
        "gallery.html": gallery,
    }
    for name, text in texts.items():
        encoded = text(evaluation).encode("utf-8", "backslashreplace")  # file names may be no UTF-8
        write_atomically(out / name, lambda file, encoded=encoded: file.write(encoded))
    for name, figure in plots.figures(evaluation).items():
        plots.save(figure, out / "plots" / f"{name}.png")


def tables(evaluation: Evaluation, width: int = 120) -> Group:
    """The table of means and, with at least two configurations, that of their differences."""
    shown: list[Table | str] = [table(evaluation, width)]
    for row in evaluation.summary.rows:
        if row.diversity:
            spread = f"{number(row.diversity.mean, 3)}, {bounds(row.diversity, 3)}"
            shown.append(f"\nLPIPS between samples of {row.configuration}: {spread}")
    if evaluation.summary.comparisons:
        shown += ["", comparison_table(evaluation, width)]
    return Group(*shown)


def table(evaluation: Evaluation, width: int = 120) -> Table:
    """Means and intervals for the terminal: a row per configuration, a column per metric.

    Args:
        evaluation: with its summary.
        width: characters of the terminal; the last metrics are left out where they do not fit.
    """
    rows = lines(evaluation)
    columns = {
        metric.name: [text(row.cells[i]) for row in rows]
        for i, metric in enumerate(evaluation.columns)
    }
    names = [Text(row.configuration) for row in rows]
    shown = fitting(evaluation.columns, columns, names, width)
    made = grid("configuration", shown, names)
    for i, row in enumerate(rows):
        if row.models > 1:
            names[i].append(f"\n{row.models} seeds", "dim")
        cells = [columns[metric.name][i] for metric in shown]
        made.add_row(names[i], *cells, end_section=not row.in_paper)
        if row.in_paper:
            paper = [cell.paper for cell in row.cells[: len(shown)]]
            made.add_row("  paper", *paper, style="dim italic", end_section=True)
    made.caption = caption(legend(rows), evaluation.columns[len(shown) :])
    return made


def comparison_table(evaluation: Evaluation, width: int = 120) -> Table:
    """Paired differences of every two configurations: a row per pair, a column per metric."""
    compared = pairs(evaluation.summary.comparisons)
    columns = {
        metric.name: [difference(of_pair[metric.name], metric) for of_pair in compared.values()]
        for metric in evaluation.columns
    }
    names = [Text(f"{second}\nminus {first}") for first, second in compared]
    shown = fitting(evaluation.columns, columns, names, width)
    made = grid("difference", shown, names)
    for i, name in enumerate(names):
        made.add_row(name, *(columns[metric.name][i] for metric in shown), end_section=True)
    made.caption = caption(
        [COMPARISON_LEGEND, "green: better, red: worse, dim =: cannot be told apart"],
        evaluation.columns[len(shown) :],
    )
    return made


def text(cell: Cell) -> Text:
    """Mean, interval over images and interval over seeds, one below the other."""
    mean = Text(f"  {cell.mean} =" if cell.tied else cell.mean, "bold" if cell.best else "")
    stacked = mean.append(f"\n{cell.images}", "not bold dim")
    return stacked.append(f"\n{cell.seeds} seeds", "not bold dim") if cell.seeds else stacked


def difference(compared: Comparison, metric: Metric) -> Text:
    """Difference, its interval and the corrected p-value, one below the other."""
    mean = compared.difference.mean
    if not compared.distinguishable:
        style, mark = "dim", " ="
    else:
        style, mark = "green" if (mean > 0) == metric.higher_is_better else "red", ""
    stacked = Text(("  " if mark else "") + number(mean, metric.digits, "+") + mark, style)
    stacked.append(f"\n{bounds(compared.difference, metric.digits, '+')}", "dim")
    return stacked.append(f"\n{p_value(compared.corrected_p_value)}", "dim")


def fitting(
    columns: Sequence[Metric], cells: dict[str, list[Text]], names: Sequence[Text], width: int
) -> list[Metric]:
    """As many of the first metrics as the terminal is wide enough for, at least one."""
    left = width - name_width(names)
    shown: list[Metric] = []
    for metric in columns:
        words = (heading(metric)).split("\n")
        content = [line for cell in cells[metric.name] for line in cell.plain.split("\n")]
        left -= max(map(len, words + content)) + GAP
        if shown and left < 0:
            break
        shown.append(metric)
    return shown


def name_width(names: Sequence[Text]) -> int:
    """Room that the first column gets at least; longer names wrap."""
    longest = max(len(line) for name in names for line in name.plain.split("\n"))
    return min(max(longest, NAME_WIDTHS[0]), NAME_WIDTHS[1])


def grid(first: str, shown: Sequence[Metric], names: Sequence[Text]) -> Table:
    made = Table(box=SIMPLE, show_edge=False, padding=(0, 1, 0, 0), caption_justify="left")
    made.add_column(first, min_width=name_width(names), overflow="fold", vertical="top")
    for metric in shown:
        made.add_column(heading(metric), justify="center", no_wrap=True)
    return made


def heading(metric: Metric) -> str:
    """RMSE (RGB) on two lines, with the direction that is better."""
    name, _, detail = metric.label.partition(" (")
    return f"{name} {arrow(metric)}" + (f"\n({detail}" if detail else "")


def caption(explained: Sequence[str], left_out: Sequence[Metric]) -> Text:
    said = list(explained)
    if left_out:
        names = ", ".join(metric.label for metric in left_out)
        said.append(f"too narrow for: {names}")
    return Text("\n" + "\n".join(said), "dim not italic")
