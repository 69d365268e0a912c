"""Intervals, tests, rows and comparisons: by hand, by simulation, against enumeration."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ttest_1samp, wilcoxon

from pix2pix_ilm.errors import UserError
from pix2pix_ilm.evaluation import statistics
from pix2pix_ilm.evaluation.scores import Scores
from pix2pix_ilm.evaluation.statistics import (
    Comparison,
    Difference,
    Interval,
    bootstrap_interval,
    holm,
    paired_t_p_value,
    sign_flip_p_value,
    student_interval,
    summarize,
)
from pix2pix_ilm.evaluation.tables import PAPER


def test_interval_surrounds_the_mean_and_is_reproducible():
    values = np.random.default_rng(0).exponential(size=50)
    interval = bootstrap_interval(values)
    assert interval.low < interval.mean < interval.high
    assert interval.mean == pytest.approx(values.mean())
    assert interval == bootstrap_interval(values)


def test_interval_covers_the_truth_about_as_often_as_it_says(monkeypatch):
    monkeypatch.setattr(statistics, "RESAMPLES", 499)
    rng = np.random.default_rng(1)
    samples = rng.normal(3, 2, (200, 60))
    found = [bootstrap_interval(sample) for sample in samples]
    covered = np.mean([one.low <= 3 <= one.high for one in found])
    assert 0.89 <= covered <= 0.98


def test_the_bootstrap_interval_is_near_the_normal_approximation():
    values = np.random.default_rng(2).normal(0.4, 0.05, 400)
    half = 1.96 * values.std(ddof=1) / math.sqrt(400)
    interval = bootstrap_interval(values)
    expected = [values.mean() - half, values.mean() + half]
    assert [interval.low, interval.high] == pytest.approx(expected, abs=0.1 * half)


def test_interval_over_images_has_the_quantiles_of_resampled_means():
    """Few and skewed values, for which the basic, normal and BCa bootstraps say otherwise."""
    rng = np.random.default_rng(4)
    values = np.exp(2 * rng.normal(size=12))
    means = rng.choice(values, (50_000, 12)).mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    interval = bootstrap_interval(values)
    noise = 0.03 * (high - low)
    assert [interval.low, interval.high] == pytest.approx([low, high], abs=noise)
    assert interval.high - interval.mean > interval.mean - interval.low + 2 * noise


def test_interval_narrows_with_the_number_of_images():
    values = np.random.default_rng(3).normal(size=400)
    few, many = bootstrap_interval(values[:25]), bootstrap_interval(values)
    assert (few.high - few.low) > 2.5 * (many.high - many.low)


def test_equal_values_have_an_interval_without_width():
    assert bootstrap_interval([0.25] * 5) == Interval(0.25, 0.25, 0.25)


@pytest.mark.parametrize("values", [[], [1.0]])
def test_an_interval_needs_two_images(values):
    with pytest.raises(UserError, match=f"at least 2 images for an interval, found {len(values)}"):
        bootstrap_interval(values)


def test_the_student_interval_by_hand():
    """Mean 3, standard deviation 1, 3 seeds: t of 2 degrees of freedom at 97.5 % is 4.302653."""
    half = 4.302653 / math.sqrt(3)
    interval = student_interval([2, 3, 4])
    assert interval.mean == 3
    assert [interval.low, interval.high] == pytest.approx([3 - half, 3 + half], rel=1e-6)


@given(st.integers(0, 1000))
@settings(max_examples=20, deadline=None, derandomize=True)
def test_the_t_test_equals_scipys_and_is_symmetric(seed):
    differences = np.random.default_rng(seed).normal(0.5, 1, 9)
    p_value = paired_t_p_value(differences)
    assert p_value == pytest.approx(ttest_1samp(differences, 0).pvalue)
    assert paired_t_p_value(-differences) == pytest.approx(p_value)
    assert paired_t_p_value(differences[::-1]) == pytest.approx(p_value)


def test_the_t_test_by_hand():
    """Mean 2, standard error 1/sqrt(3): t of 2 degrees of freedom is 3.464102."""
    assert paired_t_p_value([1, 2, 3]) == pytest.approx(0.0741799, abs=1e-6)


def test_the_t_test_of_nothing_is_one_and_of_one_and_the_same_zero():
    assert paired_t_p_value([0.0] * 12) == 1
    assert paired_t_p_value([0.5] * 12) == 0


@pytest.mark.parametrize("test", [paired_t_p_value, sign_flip_p_value])
def test_a_perfect_image_tells_nothing_apart(test):
    """An infinite PSNR has no chance that one as large occurs."""
    assert test(np.array([np.inf, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6])) == 1


def test_images_whose_mean_and_ranks_disagree_are_told_by_the_mean():
    """Most images a little worse, a few much better: the interval holds 0, so does the test."""
    rng = np.random.default_rng(0)
    differences = np.where(np.arange(106) < 12, -6.0, 0.4) + rng.normal(0, 0.05, 106)
    interval = bootstrap_interval(differences)
    assert interval.low < 0 < interval.high
    assert wilcoxon(differences).pvalue < 0.001
    assert 0.05 < paired_t_p_value(differences) < 0.2


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
    there, not_there = (
        Difference(interval=Interval(0, 0, 0), p_value=0.001, corrected_p_value=p)
        for p in (corrected, 1 - corrected)
    )
    names = {"metric": "ssim", "first": "a", "second": "b"}
    assert Comparison(**names, images=there, seeds=None).distinguishable is expected
    assert Comparison(**names, images=not_there, seeds=there).distinguishable is expected


def test_equal_means_have_a_student_interval_without_width():
    assert student_interval([2.5, 2.5]) == Interval(2.5, 2.5, 2.5)


def scored(name: str, values, configuration: str = "A", **fields) -> Scores:
    values = tuple(float(value) for value in values)
    images = tuple(str(i) for i in range(len(values)))
    return Scores(
        name=name, configuration=configuration, images=images, values={"m": values}, **fields
    )


def test_seeds_make_one_row_with_the_mean_of_every_image_and_a_student_interval():
    one, other = scored("a", [1, 2, 3], seed=0, step=9), scored("b", [3, 2, 7], seed=1, step=9)
    (row,) = summarize([one, other]).rows
    assert row.configuration == "A"
    assert row.models == ("a", "b")
    assert row.images == {"m": bootstrap_interval([2, 2, 5])}
    assert row.seeds == {"m": student_interval([2, 4])}


def test_a_single_model_has_no_student_interval():
    (row,) = summarize([scored("a", [1, 2, 3], seed=0)]).rows
    assert row.seeds == {}
    assert row.images["m"].mean == 2


@pytest.mark.parametrize(
    "fields",
    [
        [{"seed": 0, "step": 1}, {"seed": 0, "step": 2}],
        [{"seed": 0, "step": 1}, {"seed": 1, "step": 2}],
        [{"seed": 0, "step": 1}, {"seed": 0, "step": 1}],
        [{}, {}],
    ],
    ids=["steps", "seeds and steps", "same seed", "unknown"],
)
def test_models_that_are_no_seeds_of_one_configuration_keep_their_names(fields):
    models = [scored(name, [1, 2, 3], **of) for name, of in zip("ab", fields, strict=True)]
    summary = summarize(models)
    assert [row.configuration for row in summary.rows] == ["A (a)", "A (b)"]
    assert [(one.first, one.second) for one in summary.comparisons] == [("A (a)", "A (b)")]


def test_every_two_configurations_are_compared_in_every_metric():
    values = {"x": (1.0, 2.0, 4.0), "y": (4.0, 4.0, 7.0)}
    models = [
        Scores(name=name, configuration=name, images=("1", "2", "3"), values=values)
        for name in "abc"
    ]
    compared = summarize(models).comparisons
    assert [(one.metric, one.first, one.second) for one in compared] == [
        (metric, *pair) for pair in ("ab", "ac", "bc") for metric in ("x", "y")
    ]


def test_pairing_detects_a_shift_that_unpaired_intervals_hide():
    rng = np.random.default_rng(0)
    hard = rng.normal(100, 20, 60)
    better = hard - 2 + rng.normal(0, 0.5, 60)
    summary = summarize([scored("a", hard, "A"), scored("b", better, "B")])
    first, second = (row.images["m"] for row in summary.rows)
    assert second.high > first.low  # the intervals overlap
    (compared,) = summary.comparisons
    assert compared.distinguishable
    assert compared.images.interval.low < -2 < compared.images.interval.high < 0


def test_models_with_equal_outputs_cannot_be_told_apart():
    values = np.random.default_rng(0).normal(size=30)
    (compared,) = summarize([scored("a", values, "A"), scored("b", values, "B")]).comparisons
    assert compared.images == Difference(interval=Interval(0, 0, 0), p_value=1, corrected_p_value=1)
    assert not compared.distinguishable


def test_swapping_two_configurations_only_turns_the_sign():
    rng = np.random.default_rng(1)
    one, other = scored("a", rng.normal(size=20), "A"), scored("b", rng.normal(size=20), "B")
    (there,), (back,) = (summarize(both).comparisons for both in ([one, other], [other, one]))
    assert back.images.interval.mean == pytest.approx(-there.images.interval.mean)
    assert back.images.p_value == pytest.approx(there.images.p_value)


def test_more_comparisons_ask_for_stronger_evidence():
    rng = np.random.default_rng(2)
    models = [scored(name, rng.normal(i, 3, 40), name) for i, name in enumerate("abcd")]
    of_two = summarize(models[:2]).comparisons[0]
    of_four = summarize(models).comparisons[0]
    assert of_four.images.p_value == of_two.images.p_value
    assert of_four.images.corrected_p_value > of_two.images.corrected_p_value


def test_other_metrics_ask_for_no_stronger_evidence():
    rng = np.random.default_rng(2)
    values = [{name: tuple(rng.normal(i, 3, 40)) for name in "xyz"} for i in range(2)]
    images = tuple(map(str, range(40)))
    compared = summarize(
        [Scores(name=n, configuration=n, images=images, values=v)
         for n, v in zip("ab", values, strict=True)]
    ).comparisons  # fmt: skip
    assert all(one.images.corrected_p_value == one.images.p_value for one in compared)


def trainings(name, effect, rng, seeds=range(6), noise=0.1):
    """Eight images that differ much, seeds that all trainings share, an effect of the training."""
    images, of_seeds = np.linspace(0, 40, 8), np.random.default_rng(9).normal(0, 5, 10)
    return [
        scored(f"{name}{seed}", images + of_seeds[seed] + effect + rng.normal(0, noise), name,
               seed=seed, step=1)
        for seed in seeds
    ]  # fmt: skip


def test_with_several_seeds_the_paired_trainings_decide():
    rng = np.random.default_rng(3)
    first, second = trainings("A", 0.0, rng), trainings("B", 1.0, rng)
    (compared,) = summarize([*first, *second]).comparisons
    pairs = zip(first, second, strict=True)
    means = [np.mean(b.values["m"]) - np.mean(a.values["m"]) for a, b in pairs]
    assert compared.decisive is compared.seeds
    assert compared.seeds.interval == student_interval(means)
    assert compared.seeds.p_value == 2 / 2**6  # all of one sign
    assert compared.distinguishable
    assert compared.seeds.interval.low < 1 < compared.seeds.interval.high


def test_images_alone_do_not_make_trainings_distinguishable():
    """Every image says the same, and half of the seeds the opposite of the other half."""
    rng = np.random.default_rng(4)
    first = trainings("A", 0.0, rng, noise=0)
    second = [
        scored(f"B{seed}", np.add(of.values["m"], 2 if seed % 2 else -1.9), "B", seed=seed, step=1)
        for seed, of in enumerate(first)
    ]
    (compared,) = summarize([*first, *second]).comparisons
    assert compared.images.p_value < 0.01
    assert compared.seeds.p_value > 0.5
    assert not compared.distinguishable


def test_only_seeds_that_both_have_are_paired():
    rng = np.random.default_rng(5)
    first = trainings("A", 0.0, rng, seeds=[0, 1, 2])
    (compared,) = summarize([*first, *trainings("B", 1.0, rng, seeds=[5, 2, 1])]).comparisons
    assert compared.seeds.p_value == 2 / 2**2
    assert compared.seeds.interval.mean == pytest.approx(1, abs=0.3)
    (compared,) = summarize([*first, *trainings("B", 1.0, rng, seeds=[2, 3, 4])]).comparisons
    assert compared.seeds is None
    assert compared.decisive is compared.images


@given(st.integers(0, 1000), st.integers(2, 9))
@settings(max_examples=20, deadline=None, derandomize=True)
def test_sign_flip_equals_enumeration_and_is_symmetric(seed, count):
    differences = np.random.default_rng(seed).normal(0.5, 1, count)
    signs = np.array(list(product((-1, 1), repeat=count)))
    observed = abs(differences.sum()) * (1 - 1e-12)
    expected = (np.abs(signs @ differences) >= observed).mean()
    assert sign_flip_p_value(differences) == pytest.approx(expected)
    assert sign_flip_p_value(-differences) == pytest.approx(expected)


def test_sign_flip_of_nothing_is_one_and_of_many_is_small():
    assert sign_flip_p_value([0.0, 0.0, 0.0]) == 1
    assert sign_flip_p_value(np.linspace(1, 2, 20)) < 0.001


def test_a_single_image_is_refused():
    with pytest.raises(UserError, match="at least 2 images"):
        summarize([scored("a", [1])])


def test_the_papers_table_is_the_one_of_the_paper():
    """Table 6: ILM in the generator improves all three, ILM in both improves RMSE and LPIPS."""
    base, generator, both = (PAPER[name] for name in ("IN / IN", "ILM+IN / IN", "ILM+IN / ILM+IN"))
    assert base == {"rmse_rgb": 108.17, "lpips": 0.441, "ssim_paper": 0.372}
    assert both["rmse_rgb"] < generator["rmse_rgb"] < base["rmse_rgb"]
    assert both["lpips"] < generator["lpips"] < base["lpips"]
    assert both["ssim_paper"] == base["ssim_paper"] < generator["ssim_paper"]
