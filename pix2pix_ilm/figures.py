"""Matplotlib figures in one style, whatever the user's own settings are."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pix2pix_ilm.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f")
"""Okabe and Ito's palette, told apart also by the color-blind."""
DASHES = ("-", "--", ":", "-.")
"""Lines of the first seven colors, of the next, ..."""
INK, FAINT = "#222222", "#d9d9d9"
WIDTH, DPI = 8.0, 150  # inches, pixels per inch


def write_figure(figure: "Figure", path: Path) -> None:
    """Write a PNG, the same bytes for the same figure; errors as in ``write_atomically``."""
    with own_style():
        write_atomically(
            path, partial(figure.savefig, format="png", dpi=DPI, metadata={"Software": None})
        )


def new_figure(height: float, rows: int = 1) -> tuple["Figure", list["Axes"]]:
    """Make a figure of so many inches and panels that no window system has to know of."""
    from matplotlib.figure import Figure

    figure = Figure((WIDTH, height), layout="constrained")
    return figure, list(figure.subplots(rows, sharex=True, squeeze=False).flat)


def line_style(number: int) -> tuple[str, str]:
    """Return color and dashes that tell the line with this number from those before it."""
    turn, color = divmod(number, len(COLORS))
    return COLORS[color], DASHES[turn % len(DASHES)]


@contextmanager
def own_style() -> Iterator[None]:
    """Set Matplotlib's defaults and ours, whatever the user's own settings are."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rc("font", size=10)
        matplotlib.rc("axes", axisbelow=True)
        matplotlib.rc("axes.spines", top=False, right=False)
        yield
