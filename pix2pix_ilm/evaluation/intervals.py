"""Means with honest error bars, and which differences are real.

Everything random is seeded: the same numbers give the same intervals.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from pix2pix_ilm.errors import UserError

CONFIDENCE = 0.95
RESAMPLES = 9999
SEED = 0


@dataclass(frozen=True)
class Interval:
    """A mean and its 95 % confidence interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Comparison:
    """How one configuration differs from another in one metric, image by image."""

    metric: str
    first: str
    """Name of a configuration."""
    second: str
    difference: Interval
    """Mean of second minus first, with its interval over images."""
    p_value: float
    """Of the Wilcoxon signed-rank test, for this comparison alone."""
    corrected_p_value: float
    """Holm's correction for all comparisons of the evaluation."""

    @property
    def distinguishable(self) -> bool:
        """Whether chance alone is an unlikely explanation."""
        return self.corrected_p_value < 1 - CONFIDENCE


def over_images(values: ArrayLike) -> Interval:
    """Mean over images with its percentile bootstrap interval (Efron 1979).

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


def over_seeds(means: Sequence[float]) -> Interval:
    """Mean over trainings with different seeds, with Student's t interval; needs at least two."""
    from scipy.stats import sem, t

    mean = float(np.mean(means))
    if not np.isfinite(mean):
        return Interval(mean, mean, mean)
    half = sem(means) * t.ppf((1 + CONFIDENCE) / 2, len(means) - 1)
    return Interval(mean, mean - float(half), mean + float(half))


def signed_rank_p_value(differences: ArrayLike) -> float:
    """Two-sided p-value of the Wilcoxon signed-rank test (1945); 1 if nothing differs."""
    from scipy.stats import wilcoxon

    if not np.any(differences):
        return 1.0
    return float(np.asarray(wilcoxon(differences))[1])


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values corrected for their number by Holm's step-down method (1979)."""
    order = np.argsort(p_values)
    corrected = np.empty(len(p_values))
    largest = 0.0
    for rank, position in enumerate(order):
        largest = max(largest, (len(p_values) - rank) * p_values[position])
        corrected[position] = min(largest, 1.0)
    return corrected.tolist()
