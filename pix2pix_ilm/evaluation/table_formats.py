"""Tables of an evaluation as text for the terminal, Markdown, LaTeX and CSV."""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING

from pix2pix_ilm.evaluation.tables import DASH, Cells, Heading, Line, Role, Table

if TYPE_CHECKING:
    import rich.table
    from rich.text import Text

TERMINAL_STYLES: dict[Role, str] = {
    "plain": "", "best": "bold", "tied": "", "better": "green", "worse": "red", "detail": "dim",
    "paper": "dim italic",
}  # fmt: skip
PADDING = 1  # space on the right of a column
TERMINAL_GAP = PADDING + 1  # between columns; there is an invisible line
LONGEST_NAME = 24  # characters of the first column
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


def to_terminal(table: Table, width: int) -> "rich.table.Table":
    """Write for a terminal of so many characters; the last metrics are left out if too wide."""
    import rich.table
    from rich.box import SIMPLE
    from rich.text import Text

    names = max(len(line.text) for name, *_ in table.rows for line in name)
    names = max(len(table.title), min(names, LONGEST_NAME))
    headings = [terminal_heading(heading) for heading in table.headings]
    cells = [[terminal_cell(cell) for cell in row] for row in table.rows]
    left, shown = width - names - PADDING, 0
    for column, heading in enumerate(headings, start=1):
        texts = [heading, *(row[column].plain for row in cells)]
        left -= max(len(line) for text in texts for line in text.split("\n")) + TERMINAL_GAP
        if left < 0 and shown:
            break
        shown = column
    missing = [heading.title for heading in table.headings[shown:]]
    legend = [*table.legend, *([f"too narrow for: {', '.join(missing)}"] if missing else [])]
    written = rich.table.Table(
        box=SIMPLE,
        show_edge=False,
        padding=(0, PADDING, 0, 0),
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


def terminal_heading(heading: Heading) -> str:
    """Write RMSE (RGB) on two lines, with the direction that is better."""
    name, _, detail = heading.title.partition(" (")
    return f"{name} {heading.arrow}" + (f"\n({detail}" if detail else "")


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

    head = [table.title, *(escape_markdown(f"{h.title} {h.arrow}") for h in table.headings)]
    rule = ["---", *(":-:" for _ in table.headings)]
    rows = [head, rule, *([join(cell) for cell in row] for row in table.rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def escape_markdown(text: str) -> str:
    """Escape what Markdown would interpret, and put it on one line."""
    return re.sub(r"([\\`*_\[\]<>|#~&])", r"\\\1", " ".join(text.split()))


def to_latex(table: Table) -> str:
    """Write as a LaTeX tabular; needs the package booktabs."""
    head = [table.title, *(f"{heading.title} {heading.arrow}" for heading in table.headings)]
    rows = [line for row in table.rows for line in (r"\addlinespace", *latex_lines(row))][1:]
    return "\n".join(
        [
            rf"\begin{{tabular}}{{l{'c' * len(table.headings)}}}",
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
    writer.writerow([table.title, *(heading.title for heading in table.headings)])
    writer.writerows([" ".join(line.text for line in cell) for cell in row] for row in table.rows)
    return file.getvalue()
