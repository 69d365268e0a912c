"""Intervals and tests against hand computation, simulation and independent restatements."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pix2pix_ilm.errors import UserError
from pix2pix_ilm.evaluation import intervals
from pix2pix_ilm.evaluation.intervals import (
    Comparison,
    Interval,
    holm,
    over_images,
    over_seeds,
    signed_rank_p_value,
)


def test_interval_surrounds_the_mean_and_is_reproducible():
    values = np.random.default_rng(0).exponential(size=50)
    interval = over_images(values)
    assert interval.low < interval.mean < interval.high
    assert interval.mean == pytest.approx(values.mean())
    assert interval == over_images(values)


def test_interval_covers_the_truth_about_as_often_as_it_says(monkeypatch):
    monkeypatch.setattr(intervals, "RESAMPLES", 499)
    rng = np.random.default_rng(1)
    samples = rng.normal(3, 2, (200, 60))
    found = [over_images(sample) for sample in samples]
    covered = np.mean([one.low <= 3 <= one.high for one in found])
    assert 0.89 <= covered <= 0.98


def test_interval_over_images_is_near_the_normal_approximation():
    values = np.random.default_rng(2).normal(0.4, 0.05, 400)
    half = 1.96 * values.std(ddof=1) / math.sqrt(400)
    interval = over_images(values)
    expected = [values.mean() - half, values.mean() + half]
    assert [interval.low, interval.high] == pytest.approx(expected, abs=0.1 * half)


def test_interval_over_images_has_the_quantiles_of_resampled_means():
    """Few and skewed values, for which the basic, normal and BCa bootstraps say otherwise."""
    rng = np.random.default_rng(4)
    values = np.exp(2 * rng.normal(size=12))
    means = rng.choice(values, (50_000, 12)).mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    interval = over_images(values)
    noise = 0.03 * (high - low)
    assert [interval.low, interval.high] == pytest.approx([low, high], abs=noise)
    assert interval.high - interval.mean > interval.mean - interval.low + 2 * noise


def test_interval_narrows_with_the_number_of_images():
    values = np.random.default_rng(3).normal(size=400)
    few, many = over_images(values[:25]), over_images(values)
    assert (few.high - few.low) > 2.5 * (many.high - many.low)


def test_equal_values_have_an_interval_without_width():
    assert over_images([0.25] * 5) == Interval(0.25, 0.25, 0.25)


@pytest.mark.parametrize("values", [[], [1.0]])
def test_an_interval_needs_two_images(values):
    with pytest.raises(UserError, match=f"at least 2 images for an interval, found {len(values)}"):
        over_images(values)


def test_interval_over_seeds_by_hand():
    """Mean 3, standard deviation 1, 3 seeds: t of 2 degrees of freedom at 97.5 % is 4.302653."""
    half = 4.302653 / math.sqrt(3)
    interval = over_seeds([2, 3, 4])
    assert interval.mean == 3
    assert [interval.low, interval.high] == pytest.approx([3 - half, 3 + half], rel=1e-6)


def exact_signed_rank(differences: list[float]) -> float:
    """By enumeration of all signs: how often the rank sums are at least as unequal."""
    ranks = np.argsort(np.argsort(np.abs(differences))) + 1
    observed = abs((np.sign(differences) * ranks).sum())
    signs = np.array(list(product((-1, 1), repeat=len(ranks))))
    return float((np.abs(signs @ ranks) >= observed).mean())


@given(st.integers(0, 1000))
@settings(max_examples=20, deadline=None, derandomize=True)
def test_signed_rank_equals_enumeration_and_is_symmetric(seed):
    differences = np.random.default_rng(seed).normal(0.5, 1, 9)
    p_value = signed_rank_p_value(differences)
    assert p_value == pytest.approx(exact_signed_rank(differences.tolist()))
    assert signed_rank_p_value(-differences) == pytest.approx(p_value)
    assert signed_rank_p_value(differences[::-1]) == pytest.approx(p_value)


def test_signed_rank_of_differences_all_of_one_sign():
    assert signed_rank_p_value(np.arange(1, 11)) == pytest.approx(2 / 2**10)


def test_signed_rank_of_nothing_is_one():
    assert signed_rank_p_value([0.0] * 12) == 1


def test_holm_known_example():
    """Four p-values with their multipliers 4, 3, 2, 1, made monotonous."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_holm_rejects_exactly_what_stepping_down_rejects(p_values):
    """At a level, reject from the smallest on while p <= level / (number left)."""
    corrected = holm(p_values)
    for level in (0.01, 0.05, 0.3):
        rejected = set()
        for rank, i in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
            if (len(p_values) - rank) * p_values[i] >= level:
                break
            rejected.add(i)
        assert {i for i, p in enumerate(corrected) if p < level} == rejected


@pytest.mark.parametrize(("corrected", "expected"), [(0.049, True), (0.051, False), (1.0, False)])
def test_distinguishable_at_five_percent(corrected, expected):
    compared = Comparison("ssim", "a", "b", Interval(0, 0, 0), 0.001, corrected)
    assert compared.distinguishable is expected
