"""Statistics of an evaluation: means with honest error bars, and which differences are real.

Intervals over images say nothing about training anew; those over trainings do.

Everything random is seeded: the same numbers give the same intervals.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Float64

from pix2pix_ilm.errors import UserError
from pix2pix_ilm.evaluation.scores import Scores

CONFIDENCE = 0.95
RESAMPLES = 9999
SEED = 0


@dataclass(frozen=True)
class Interval:
    """A mean and its 95 % confidence interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A paired difference, and how likely chance alone makes one as large."""

    interval: Interval
    p_value: float
    """For this comparison alone."""
    corrected_p_value: float
    """Holm's correction for all pairs of configurations that are compared in the metric."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The difference of two configurations in one metric: the second's mean minus the first's."""

    metric: str
    first: str
    """Name of a configuration."""
    second: str
    images: Difference
    """Over images, for the trainings that there are: bootstrap, paired t-test."""
    seeds: Difference | None
    """Over trainings of the same seeds: Student's t, exact sign-flip test; None with fewer than
    two of them."""

    @property
    def decisive(self) -> Difference:
        """Return the difference over trainings where there are several, else that over images."""
        return self.seeds or self.images

    @property
    def distinguishable(self) -> bool:
        """Return True if chance alone is an unlikely explanation."""
        return self.decisive.corrected_p_value < 1 - CONFIDENCE


@dataclass(frozen=True, kw_only=True)
class Row:
    """One configuration: one model, or several that differ by their seed."""

    configuration: str
    models: tuple[str, ...]
    images: dict[str, Interval]
    """Metric -> mean over images (of the mean over seeds)."""
    seeds: dict[str, Interval]
    """Metric -> mean over seeds; empty with a single seed."""
    diversity: Interval | None
    """Mean LPIPS between samples, over images; None with a single sample."""
    baseline: bool
    """No model, but what can be had without one."""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Rows and comparisons of a table."""

    rows: list[Row]
    comparisons: list[Comparison]
    """Of every two configurations, in every metric."""


def summarize(scores: Sequence[Scores]) -> Summary:
    """Group models by configuration, and compare every two configurations.

    Where both have trainings of the same seeds, the training is what varies, else the image.

    Raises:
        UserError: fewer than two images.
    """
    groups = group_seeds(scores)
    rows = [summarize_row(name, members) for name, members in groups.items()]
    return Summary(rows=rows, comparisons=compare(groups))


def group_seeds(scores: Sequence[Scores]) -> dict[str, list[Scores]]:
    """Group models by configuration: same label, same training steps, different seeds.

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


def summarize_row(name: str, members: Sequence[Scores]) -> Row:
    """Compute a configuration's intervals over images, and over seeds where there are several."""
    metrics = members[0].values
    means = {metric: [float(np.mean(one.values[metric])) for one in members] for metric in metrics}
    several = means if len(members) > 1 else {}
    diversity = [one.diversity for one in members]
    return Row(
        configuration=name,
        models=tuple(one.name for one in members),
        images={metric: bootstrap_interval(seed_mean(members, metric)) for metric in metrics},
        seeds={metric: student_interval(of_seeds) for metric, of_seeds in several.items()},
        diversity=bootstrap_interval(np.mean(diversity, axis=0)) if all(diversity) else None,
        baseline=members[0].baseline,
    )


def seed_mean(members: Sequence[Scores], metric: str) -> Float64[np.ndarray, " images"]:
    """Average every image's metric over seeds."""
    return np.mean([one.values[metric] for one in members], axis=0)


def compare(groups: dict[str, list[Scores]]) -> list[Comparison]:
    """Compare every two configurations of models in every metric."""
    models = {name: members for name, members in groups.items() if not members[0].baseline}
    pairs = list(combinations(models, 2))
    metrics = next(iter(models.values()))[0].values if models else {}
    by_metric = {}
    for metric in metrics:
        of_images = [
            subtract(seed_mean(models[second], metric), seed_mean(models[first], metric))
            for first, second in pairs
        ]
        of_seeds = {
            pair: differences
            for pair in pairs
            if len(differences := seed_differences(models[pair[0]], models[pair[1]], metric)) > 1
        }
        images = assess(of_images, bootstrap_interval, paired_t_p_value)
        seeds = assess(list(of_seeds.values()), student_interval, sign_flip_p_value)
        by_metric[metric] = images, dict(zip(of_seeds, seeds, strict=True))
    return [
        Comparison(
            metric=metric, first=pair[0], second=pair[1], images=images[i], seeds=seeds.get(pair)
        )
        for i, pair in enumerate(pairs)
        for metric, (images, seeds) in by_metric.items()
    ]


def assess(
    differences: Sequence[np.ndarray],
    interval: Callable[[np.ndarray], Interval],
    test: Callable[[np.ndarray], float],
) -> list[Difference]:
    """Return each pair's difference, its p-value corrected for the number of pairs."""
    p_values = [test(of) for of in differences]
    return [
        Difference(interval=interval(of), p_value=p_value, corrected_p_value=corrected)
        for of, p_value, corrected in zip(differences, p_values, holm(p_values), strict=True)
    ]


def seed_differences(
    first: Sequence[Scores], second: Sequence[Scores], metric: str
) -> Float64[np.ndarray, " seeds"]:
    """Subtract the first's means over images from the second's, seed by seed that both have."""
    minuend, subtrahend = (
        {one.seed: float(np.mean(one.values[metric])) for one in of} for of in (second, first)
    )
    common = [seed for seed in minuend if seed is not None and seed in subtrahend]
    pairs = [(minuend[seed], subtrahend[seed]) for seed in common]
    return subtract(*np.array(pairs, np.float64).reshape(-1, 2).T)


def subtract(minuend: np.ndarray, subtrahend: np.ndarray) -> np.ndarray:
    """Subtract image by image; 0 where both are the same infinite PSNR."""
    differ = minuend != subtrahend
    return np.subtract(minuend, subtrahend, where=differ, out=np.zeros(len(minuend)))


def bootstrap_interval(values: Sequence[float] | np.ndarray) -> Interval:
    """Return the mean over images with its percentile bootstrap interval (Efron 1979).

    Args:
        values: a metric of each image, shape (images,), in any unit.

    Raises:
        UserError: fewer than two images.
    """
    from scipy.stats import bootstrap

    sample = np.asarray(values, np.float64)
    if len(sample) < 2:
        raise UserError(f"expected at least 2 images for an interval, found {len(sample)}")
    if not np.isfinite(sample).all():  # PSNR of a perfect image: its mean is infinite, and sure
        mean = float(sample.mean())
        return Interval(mean, mean, mean)
    interval = bootstrap(
        (sample,),
        np.mean,
        n_resamples=RESAMPLES,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(SEED),
    ).confidence_interval
    return Interval(float(sample.mean()), float(interval.low), float(interval.high))


def student_interval(means: Sequence[float] | np.ndarray) -> Interval:
    """Return the mean over trainings of different seeds with Student's t interval (1908).

    Args:
        means: a metric of each training, or a difference, at least two.
    """
    from scipy.stats import sem, t

    mean = float(np.mean(means))
    if not np.isfinite(mean) or np.ptp(means) == 0:
        return Interval(mean, mean, mean)
    low, high = t.interval(CONFIDENCE, df=len(means) - 1, loc=mean, scale=sem(means))
    return Interval(mean, float(low), float(high))


def paired_t_p_value(differences: Sequence[float] | np.ndarray) -> float:
    """Return the two-sided p-value of Student's paired t-test (1908); 1 for no difference.

    It asks of the mean, as the interval does; a test of ranks may find the opposite sign.

    Args:
        differences: paired, one per image, shape (images,), at least two; 1 if one is infinite.
    """
    from scipy.stats import sem, t

    if not np.any(differences) or not np.isfinite(differences).all():
        return 1.0
    if np.ptp(differences) == 0:
        return 0.0
    return float(2 * t.sf(abs(np.mean(differences)) / sem(differences), len(differences) - 1))


def sign_flip_p_value(differences: Sequence[float] | np.ndarray) -> float:
    """Return the two-sided p-value of the exact sign-flip test (Fisher 1935); 1 for no difference.

    It asks how many of the 2^n choices of signs give a mean at least as far from 0, so that it is
    never below 2 / 2^n: six trainings are the fewest that can be told apart at 5 %.

    Args:
        differences: paired, one per seed, shape (seeds,); from 14 on, signs are drawn at random;
            1 if one is infinite.
    """
    from scipy.stats import permutation_test

    if not np.any(differences) or not np.isfinite(differences).all():
        return 1.0
    tested = permutation_test(
        (np.asarray(differences),),
        np.mean,
        permutation_type="samples",
        n_resamples=RESAMPLES,
        rng=np.random.default_rng(SEED),
    )
    return float(tested.pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values for their number by Holm's step-down method (1979)."""
    order = np.argsort(p_values)
    corrected = np.empty(len(p_values))
    largest = 0.0
    for rank, position in enumerate(order):
        largest = max(largest, (len(p_values) - rank) * p_values[position])
        corrected[position] = min(largest, 1.0)
    return corrected.tolist()
