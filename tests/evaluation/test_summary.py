"""Rows and comparisons: grouping of seeds, pairing of images."""

import numpy as np
import pytest

from pix2pix_ilm.errors import UserError
from pix2pix_ilm.evaluation.intervals import over_images, over_seeds
from pix2pix_ilm.evaluation.scores import Scores
from pix2pix_ilm.evaluation.summary import PAPER, summarize


def scored(name: str, values, configuration: str = "A", **fields) -> Scores:
    values = tuple(float(value) for value in values)
    images = tuple(str(i) for i in range(len(values)))
    return Scores(
        name=name, configuration=configuration, images=images, values={"m": values}, **fields
    )


def test_seeds_make_one_row_with_the_mean_over_seeds_of_every_image():
    one, other = scored("a", [1, 2, 3], seed=0, step=9), scored("b", [3, 2, 7], seed=1, step=9)
    (row,) = summarize([one, other]).rows
    assert row.configuration == "A"
    assert row.models == ("a", "b")
    assert row.images == {"m": over_images([2, 2, 5])}
    assert row.seeds == {"m": over_seeds([2, 4])}


def test_a_single_model_has_no_interval_over_seeds():
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
    assert compared.difference.low < -2 < compared.difference.high < 0


def test_models_with_equal_outputs_cannot_be_told_apart():
    values = np.random.default_rng(0).normal(size=30)
    (compared,) = summarize([scored("a", values, "A"), scored("b", values, "B")]).comparisons
    assert compared.p_value == compared.corrected_p_value == 1
    assert not compared.distinguishable
    assert compared.difference.mean == compared.difference.low == compared.difference.high == 0


def test_swapping_two_configurations_only_turns_the_sign():
    rng = np.random.default_rng(1)
    one, other = scored("a", rng.normal(size=20), "A"), scored("b", rng.normal(size=20), "B")
    (there,), (back,) = (summarize(both).comparisons for both in ([one, other], [other, one]))
    assert back.difference.mean == pytest.approx(-there.difference.mean)
    assert back.p_value == pytest.approx(there.p_value)


def test_more_comparisons_ask_for_stronger_evidence():
    rng = np.random.default_rng(2)
    models = [scored(name, rng.normal(i, 3, 40), name) for i, name in enumerate("abcd")]
    of_two = summarize(models[:2]).comparisons[0]
    of_four = summarize(models).comparisons[0]
    assert of_four.p_value == of_two.p_value
    assert of_four.corrected_p_value > of_two.corrected_p_value


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
