"""Metrics over images, differences seed by seed, and courses over training steps, as pictures."""

from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float64

from pix2pix_ilm.evaluation.evaluate import Evaluation
from pix2pix_ilm.evaluation.scores import Metric, Scores
from pix2pix_ilm.evaluation.statistics import (
    Comparison,
    Interval,
    bootstrap_interval,
    seed_differences,
    seed_mean,
)
from pix2pix_ilm.evaluation.tables import format_number
from pix2pix_ilm.figures import COLORS, FAINT, INK, line_style, new_figure, own_style
from pix2pix_ilm.models.norm_statistics import LayerStatistics

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROW_HEIGHT = 0.95  # inches per configuration
FEW = 20  # points that are drawn larger
NAME_WIDTH = 24  # characters before a configuration's name wraps
UNITS = {"rmse_rgb": " in levels of 0 to 255", "rmse": " in levels of 0 to 255"}
UNITS["l1"] = UNITS["rmse"]

Course = Mapping[int, Sequence[Scores]]
"""Step -> models, that differ by their seed."""


def figures(evaluation: Evaluation) -> dict[str, "Figure"]:
    """Return figures by file name, for each metric.

    Its distribution; differences seed by seed, where configurations have several seeds in common;
    its course, where there are several steps.
    """
    courses = steps(evaluation.scores)
    drawn = {}
    for metric in evaluation.columns:
        drawn[metric.name] = distributions(evaluation, metric)
        if compared := from_the_first(evaluation, metric):
            drawn[f"{metric.name}-by-seed"] = differences(evaluation, metric, compared)
        if courses:
            drawn[f"{metric.name}-by-step"] = course(courses, metric)
    return drawn


def distributions(evaluation: Evaluation, metric: Metric) -> "Figure":
    """Draw a row per configuration: density, one point per image, mean with its interval."""
    by_name = {one.name: one for one in evaluation.scores}
    rows = evaluation.summary.rows
    with own_style():
        figure, [axes] = new_figure(1.5 + ROW_HEIGHT * len(rows))
        for i, row in enumerate(rows):
            values = seed_mean([by_name[name] for name in row.models], metric.name)
            draw_density(axes, i, values)
            draw_points(axes, i, values, row.images[metric.name], metric.digits, i)
        label_rows(axes, [row.configuration for row in rows], metric)
        images = len(evaluation.scores[0].images)
        titles(axes, metric.title, f"{images} images: density, each image, mean with 95 % interval")
    return figure


def from_the_first(evaluation: Evaluation, metric: Metric) -> list[Comparison]:
    """Return the comparisons with the first configuration that have several seeds."""
    first = evaluation.summary.rows[0].configuration
    return [
        one
        for one in evaluation.summary.comparisons
        if one.metric == metric.name and one.first == first and one.seeds
    ]


def differences(evaluation: Evaluation, metric: Metric, compared: Sequence[Comparison]) -> "Figure":
    """Draw a row per configuration: its difference from the first, for each seed, and the mean."""
    by_name = {one.name: one for one in evaluation.scores}
    models = {
        row.configuration: [by_name[name] for name in row.models] for row in evaluation.summary.rows
    }
    with own_style():
        figure, [axes] = new_figure(1.5 + ROW_HEIGHT * len(compared))
        axes.axvline(0, color=INK, linewidth=1)
        for i, one in enumerate(compared):
            values = seed_differences(models[one.first], models[one.second], metric.name)
            draw_points(axes, i, values, one.decisive.interval, metric.digits, i + 1, sign="+")
        label_rows(axes, [one.second for one in compared], metric)
        first = wrapped(compared[0].first).replace("\n", " ")
        explained = f"minus {first}: each seed, mean with 95 % interval over trainings"
        titles(axes, metric.title, explained)
    return figure


def draw_density(axes: "Axes", row: int, values: Float64[np.ndarray, " n"]) -> None:
    """Draw the density above a row's line."""
    shown = values[np.isfinite(values)]
    if len(shown) > 1 and np.ptp(shown) > 0:
        positions, heights = density(shown)
        top, color = row - 0.08, COLORS[row % len(COLORS)]
        axes.fill_between(positions, top, top - 0.42 * heights, color=color, alpha=0.3, linewidth=0)


def draw_points(
    axes: "Axes",
    row: int,
    values: Float64[np.ndarray, " n"],
    mean: Interval,
    digits: int,
    configuration: int,
    sign: str = "",
) -> None:
    """Draw points below a row's line in the configuration's color, and their mean on it."""
    color = COLORS[configuration % len(COLORS)]
    shown = values[np.isfinite(values)]
    marker_size = 4 if len(shown) > FEW else 8
    heights = row + 0.1 + 0.2 * spread(len(shown))
    axes.plot(shown, heights, ".", color=color, ms=marker_size, alpha=0.55)
    if np.isfinite([mean.low, mean.mean, mean.high]).all():
        axes.plot([mean.low, mean.high], [row, row], color=INK, linewidth=2.5)
        axes.plot(mean.mean, row, "o", color=INK, mfc="white", ms=6)
        axes.annotate(
            format_number(mean.mean, digits, sign),
            (mean.mean, row),
            (0, 7),
            textcoords="offset points",
            ha="center",
            fontweight="bold",
            color=INK,
        )


def label_rows(axes: "Axes", names: Sequence[str], metric: Metric) -> None:
    """Write the rows' names, and beneath them the metric with the way to better."""
    axes.set_yticks(range(len(names)), [wrapped(name) for name in names])
    axes.set_ylim(len(names) - 0.45, -0.6)
    axes.tick_params(axis="y", length=0, pad=8)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x", color=FAINT, linewidth=0.6)
    axes.set_xlabel(f"{axis_label(metric)}   ({better(metric, ('←', '→'))})")


def density(
    values: Float64[np.ndarray, " n"],
) -> tuple[Float64[np.ndarray, " m"], Float64[np.ndarray, " m"]]:
    """Return positions and a kernel density estimate that is 1 at its peak."""
    from scipy.stats import gaussian_kde

    margin = 0.15 * np.ptp(values)
    positions = np.linspace(values.min() - margin, values.max() + margin, 200)
    heights = gaussian_kde(values)(positions)
    return positions, heights / heights.max()


def spread(count: int) -> Float64[np.ndarray, " n"]:
    """Return evenly scattered numbers in [0, 1) that look random: multiples of the golden ratio."""
    return np.arange(count) * ((1 + 5**0.5) / 2) % 1


def steps(scores: Sequence[Scores]) -> dict[str, Course]:
    """Return the configurations that were scored at several training steps."""
    found: dict[str, dict[int, list[Scores]]] = {}
    for one in scores:
        if one.step is not None:
            found.setdefault(one.configuration, {}).setdefault(one.step, []).append(one)
    return {name: dict(sorted(of.items())) for name, of in found.items() if len(of) > 1}


def course(courses: Mapping[str, Course], metric: Metric) -> "Figure":
    """Draw a line per configuration: mean over images, and seeds, with its interval over images."""
    with own_style():
        figure, [axes] = new_figure(4.5)
        for i, (name, by_step) in enumerate(courses.items()):
            means = [bootstrap_interval(seed_mean(of, metric.name)) for of in by_step.values()]
            color, dashes = line_style(i)
            low, high = [one.low for one in means], [one.high for one in means]
            axes.fill_between(list(by_step), low, high, color=color, alpha=0.18, linewidth=0)
            centers = [one.mean for one in means]
            axes.plot(list(by_step), centers, f"o{dashes}", color=color, label=wrapped(name))
        axes.grid(color=FAINT, linewidth=0.6)
        axes.set_xlabel("training step")
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.set_ylabel(f"{axis_label(metric)}\n({better(metric, ('↓', '↑'))})")
        axes.legend(frameon=False)
        titles(axes, f"{metric.title} while training", "mean with 95 % interval over images")
    return figure


def rescaling(layers: Sequence[LayerStatistics], title: str) -> "Figure":
    """Draw how omega and beta of ILM layers vary: a panel each, a pair of bars per layer."""
    bars = {
        "over channels (what any affine norm has)": "over_channels",
        "over images (what ILM adds)": "over_images",
    }
    names = [one.layer.removesuffix(".norm").replace(".", " ") for one in layers]
    with own_style():
        figure, panels = new_figure(6.5, rows=2)
        figure.suptitle(title, x=0.01, ha="left", fontsize=13, fontweight="bold")
        for axes, part in zip(panels, ("omega", "beta"), strict=True):
            for i, (label, spread_of) in enumerate(bars.items()):
                heights = [getattr(getattr(one, part), spread_of) for one in layers]
                places = np.arange(len(layers)) + 0.4 * (0.5 - i)
                axes.bar(places, heights, 0.38, color=COLORS[i], label=label)
            axes.set_title(f"standard deviation of {part}", loc="left", fontsize=11)
            axes.grid(axis="y", color=FAINT, linewidth=0.6)
            axes.set_xticks(range(len(layers)), names, rotation=45, ha="right")
            axes.legend(frameon=False, reverse=True)
    return figure


def titles(axes: "Axes", title: str, explained: str) -> None:
    """Write a title and a smaller line beneath it."""
    axes.set_title(title, loc="left", fontsize=13, fontweight="bold", pad=24, color=INK)
    axes.annotate(
        explained, (0, 1), (0, 8), xycoords="axes fraction", textcoords="offset points", color=INK
    )


def axis_label(metric: Metric) -> str:
    """Return a metric's title with its unit."""
    return metric.title + UNITS.get(metric.name, "")


def better(metric: Metric, arrows: tuple[str, str]) -> str:
    """Return the words for better along the axis: (toward lower, toward higher)."""
    higher = metric.higher_is_better
    return f"{arrows[higher]} {'higher' if higher else 'lower'} is better"


def wrapped(name: str) -> str:
    """Wrap a name; dollars would start a formula, and what is no Unicode has no glyph."""
    drawable = name.encode("utf-8", "replace").decode("utf-8")
    return "\n".join(wrap(drawable, NAME_WIDTH)).replace("$", r"\$")
