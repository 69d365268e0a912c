"""From the metrics of every image to the rows and comparisons of a table."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from pix2pix_ilm.evaluation.intervals import (
    Comparison,
    Interval,
    holm,
    over_images,
    over_seeds,
    signed_rank_p_value,
)
from pix2pix_ilm.evaluation.scores import Scores

PAPER = {
    "IN / IN": {"rmse_rgb": 108.17, "lpips": 0.441, "ssim_paper": 0.372},
    "ILM+IN / IN": {"rmse_rgb": 105.82, "lpips": 0.435, "ssim_paper": 0.390},
    "ILM+IN / ILM+IN": {"rmse_rgb": 105.46, "lpips": 0.428, "ssim_paper": 0.372},
}
"""Table 6 of the ILM Norm paper, under the conventions that it most likely used."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One configuration of the table: one model, or several that differ by their seed."""

    configuration: str
    models: tuple[str, ...]
    images: dict[str, Interval]
    """Metric -> mean over images (of the mean over seeds)."""
    seeds: dict[str, Interval]
    """Metric -> mean over seeds; empty with a single seed."""
    diversity: Interval | None
    """Mean LPIPS between samples, over images; None with a single sample."""
    floor: bool
    """No model, but what can be had without one."""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What a table prints."""

    rows: list[Row]
    comparisons: list[Comparison]
    """Of every two configurations, in every metric."""


def summarize(scores: Sequence[Scores]) -> Summary:
    """Group models by configuration, and compare every two configurations image by image.

    Raises:
        UserError: fewer than two images.
    """
    groups = group(scores)
    rows = [row(name, members) for name, members in groups.items()]
    return Summary(rows=rows, comparisons=compare(groups))


def group(scores: Sequence[Scores]) -> dict[str, list[Scores]]:
    """Models by configuration: same label, same training steps, different seeds.

    Models that share a label but are no seeds of one configuration keep their own names.
    """
    groups: dict[str, list[Scores]] = {}
    for one in scores:
        groups.setdefault(one.configuration, []).append(one)
    named: dict[str, list[Scores]] = {}
    for name, members in groups.items():
        seeds = {one.seed for one in members}
        steps = {one.step for one in members}
        if len(seeds) == len(members) and len(steps) == 1:
            named[name] = members
        else:
            named |= {f"{name} ({one.name})": [one] for one in members}
    return named


def row(name: str, members: Sequence[Scores]) -> Row:
    """Intervals over images, and over seeds where there are several."""
    metrics = members[0].values
    means = {metric: [float(np.mean(one.values[metric])) for one in members] for metric in metrics}
    several = means if len(members) > 1 else {}
    spread = [one.diversity for one in members]
    return Row(
        configuration=name,
        models=tuple(one.name for one in members),
        images={metric: over_images(seed_mean(members, metric)) for metric in metrics},
        seeds={metric: over_seeds(of_seed) for metric, of_seed in several.items()},
        diversity=over_images(np.mean(spread, axis=0)) if all(spread) else None,
        floor=members[0].floor,
    )


def seed_mean(members: Sequence[Scores], metric: str) -> np.ndarray:
    """Mean over seeds of every image's metric."""
    return np.mean([one.values[metric] for one in members], axis=0)


def compare(groups: dict[str, list[Scores]]) -> list[Comparison]:
    """Paired differences of every two configurations of models, corrected for their number."""
    models = {name: members for name, members in groups.items() if not members[0].floor}
    found = []
    for (first, of_first), (second, of_second) in combinations(models.items(), 2):
        for metric in of_first[0].values:
            differences = paired(seed_mean(of_first, metric), seed_mean(of_second, metric))
            found.append((metric, first, second, differences))
    p_values = [signed_rank_p_value(differences) for *_, differences in found]
    return [
        Comparison(metric, first, second, over_images(differences), p_value, corrected)
        for (metric, first, second, differences), p_value, corrected in zip(
            found, p_values, holm(p_values), strict=True
        )
    ]


def paired(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Second minus first; 0 where both are the same infinite PSNR."""
    equal = first == second
    return np.where(equal, 0, np.subtract(second, first, where=~equal, out=np.zeros(len(first))))
