"""The losses of a study's trainings as curves: a line per configuration."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pix2pix_ilm.evaluation import plots
from pix2pix_ilm.training.progress import read_losses
from pix2pix_ilm.training.runs import METRICS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LOSSES = {
    "discriminator": "discriminator's loss",
    "adversarial": "generator's adversarial loss",
    "l1": "L1 (training pairs, images in [-1, 1])",
}
POINTS = 60  # along a curve: what is logged between two is averaged


def losses_of(folder: Path) -> dict[str, np.ndarray]:
    """Return the steps and losses that a run logged, each (n,)."""
    rows = [row for _, row in read_losses(folder / METRICS)]
    return {name: np.array([getattr(row, name) for row in rows]) for name in ("step", *LOSSES)}


def figure(trainings: Mapping[str, Sequence[Path]]) -> "Figure":
    """One panel per loss; faint lines are single seeds.

    Args:
        trainings: configuration, such as IN / IN -> folders of its runs.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with plots.own_style():
        drawn = Figure((plots.WIDTH, 9.0), layout="constrained")
        FigureCanvasAgg(drawn)
        panels = drawn.subplots(len(LOSSES), 1, sharex=True)
        for i, (name, folders) in enumerate(trainings.items()):
            seeds = [losses_of(folder) for folder in folders]
            for axes, loss in zip(panels, LOSSES, strict=True):
                curves = [smoothed(seed["step"], seed[loss]) for seed in seeds]
                colour = plots.COLOURS[i % len(plots.COLOURS)]
                for steps, values in curves:
                    axes.plot(steps, values, color=colour, alpha=0.3, linewidth=0.8)
                length = min(len(steps) for steps, _ in curves)
                mean = np.mean([values[:length] for _, values in curves], axis=0)
                axes.plot(curves[0][0][:length], mean, color=colour, linewidth=2, label=name)
        for axes, title in zip(panels, LOSSES.values(), strict=True):
            axes.set_title(title, loc="left", fontsize=11, color=plots.INK)
            axes.grid(color=plots.FAINT, linewidth=0.6)
        panels[0].legend(frameon=False)
        panels[-1].set_xlabel("training step")
        panels[-1].xaxis.set_major_formatter("{x:,.0f}")
    return drawn


def smoothed(steps: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """At most ``POINTS`` means of consecutive values, and the steps in the middle of them."""
    parts = min(POINTS, len(steps))
    middles, means = (
        np.array([part.mean() for part in np.array_split(line, parts)]) for line in (steps, values)
    )
    return middles, means
