"""Losses and validation metrics of trainings over steps, as one picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float64

from pix2pix_ilm.figures import FAINT, INK, line_style, new_figure, own_style, write_figure
from pix2pix_ilm.training.logging import read_losses
from pix2pix_ilm.training.run_folder import METRICS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CURVES = "curves.png"
TITLES = {
    "discriminator": "discriminator's loss",
    "adversarial": "generator's adversarial loss",
    "l1": "L1 (training pairs, images in [-1, 1])",
    "feature_matching": "feature matching",
    "perceptual": "perceptual loss (LPIPS, training pairs)",
    "val_rmse_rgb": "RMSE (RGB) on val: lower is better",
    "val_ssim": "SSIM on val: higher is better",
    "val_lpips": "LPIPS on val: lower is better",
}
POINTS = 60  # along a curve of losses: what is logged between two is averaged
PANEL_HEIGHT = 2.8  # inches

Curve = tuple[Float64[np.ndarray, " n"], Float64[np.ndarray, " n"]]
"""Steps and values."""


def write_curves(folder: Path) -> None:
    """Draw what a run has logged into its ``curves.png``; errors as in ``write_figure``."""
    write_figure(draw_curves({folder.name: [read_curves(folder)]}), folder / CURVES)


def read_curves(folder: Path) -> dict[str, Curve]:
    """Return everything that a run logged, by name; errors as in ``read_losses``."""
    rows = [row for _, row in read_losses(folder / METRICS)]
    curves = {}
    for name in TITLES:
        known = [(row.step, value) for row in rows if (value := getattr(row, name)) is not None]
        if known:
            curves[name] = tuple(np.array(known, np.float64).T)
    return curves


def draw_curves(
    trainings: Mapping[str, Sequence[Mapping[str, Curve]]], titles: Mapping[str, str] = TITLES
) -> "Figure":
    """Draw a panel for everything that any training has; faint lines are single seeds.

    Args:
        trainings: configuration, such as IN / IN -> each seed's curves.
        titles: name of a curve -> title of its panel, in their order.
    """
    every = {name for seeds in trainings.values() for seed in seeds for name in seed}
    names = [name for name in titles if name in every]
    with own_style():
        figure, panels = new_figure(PANEL_HEIGHT * len(names), rows=len(names))
        for axes, name in zip(panels, names, strict=True):
            for i, (title, seeds) in enumerate(trainings.items()):
                curves = [smoothed(*seed[name]) for seed in seeds if name in seed]
                if not curves:
                    continue
                color, dashes = line_style(i)
                for steps, values in curves:
                    axes.plot(steps, values, dashes, color=color, alpha=0.3, linewidth=0.8)
                length = min(len(steps) for steps, _ in curves)
                mean = np.mean([values[:length] for _, values in curves], axis=0)
                axes.plot(
                    curves[0][0][:length], mean, dashes, color=color, linewidth=2, label=title
                )
            axes.set_title(titles[name], loc="left", fontsize=11, color=INK)
            axes.grid(color=FAINT, linewidth=0.6)
        names_of_lines = panels[0].get_legend_handles_labels()
        figure.legend(*names_of_lines, loc="outside upper left", ncols=2, frameon=False)
        panels[-1].set_xlabel("training step")
        panels[-1].xaxis.set_major_formatter("{x:,.0f}")
    return figure


def smoothed(steps: np.ndarray, values: np.ndarray) -> Curve:
    """Average consecutive values to at most ``POINTS``, with the steps in their middle."""
    parts = min(POINTS, len(steps))
    middles, means = (
        np.array([part.mean() for part in np.array_split(line, parts)]) for line in (steps, values)
    )
    return middles, means
