"""Plots show the values they are given, say which way is better, and never change by themselves."""

from dataclasses import replace

import matplotlib
import numpy as np
import pytest

from pix2pix_ilm.evaluation.plots import density, figures, spread
from pix2pix_ilm.evaluation.statistics import seed_mean, student_interval, summarize
from pix2pix_ilm.figures import write_figure

WITHOUT_NUMBERS = pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")


@pytest.fixture(scope="module")
def drawn(evaluation):
    return figures(evaluation)


@pytest.fixture(scope="module")
def at_steps(evaluation):
    """Two seeds of IN / IN at steps 800 and 400 (written in this order), ILM at one step."""
    first, second, ilm, _ = evaluation.scores
    earlier = [replace(one, name=f"{one.name}-400", step=400) for one in (first, second)]
    scores = [first, second, ilm, *earlier]
    return replace(evaluation, scores=scores, summary=summarize(scores))


def test_a_distribution_per_metric_and_no_course_of_a_single_step(evaluation, drawn):
    assert list(drawn) == [metric.name for metric in evaluation.columns]


def test_a_row_per_configuration_with_a_point_per_image(evaluation, drawn):
    (axes,) = drawn["ssim_paper"].axes
    assert [tick.get_text() for tick in axes.get_yticklabels()] == [
        row.configuration for row in evaluation.summary.rows
    ]
    points = [line for line in axes.lines if line.get_marker() == "."]
    expected = [evaluation.scores[:2], evaluation.scores[2:3], evaluation.scores[3:]]
    for line, members in zip(points, expected, strict=True):
        np.testing.assert_array_equal(line.get_xdata(), seed_mean(members, "ssim_paper"))


def test_means_and_intervals_are_those_of_the_summary(evaluation, drawn):
    (axes,) = drawn["psnr"].axes
    bars = [tuple(line.get_xdata()) for line in axes.lines if line.get_linewidth() == 2.5]
    expected = [row.images["psnr"] for row in evaluation.summary.rows]
    assert bars == [(one.low, one.high) for one in expected]
    written = [text.get_text() for text in axes.texts]
    assert [f"{one.mean:.2f}" for one in expected] == written[:3]


def test_axes_say_the_unit_and_which_way_is_better(drawn):
    (rmse,), (psnr,) = drawn["rmse_rgb"].axes, drawn["psnr"].axes
    assert "levels of 0 to 255" in rmse.get_xlabel()
    assert "← lower is better" in rmse.get_xlabel()
    assert "dB" in psnr.get_xlabel()
    assert "→ higher is better" in psnr.get_xlabel()
    assert rmse.get_title(loc="left") == "RMSE (RGB)"


def test_differences_seed_by_seed_from_the_first_configuration(evaluation, drawn):
    """ILM has two seeds as well, in the other order: points are pairs of one seed."""
    first, second, ilm, bad = evaluation.scores
    other = replace(bad, name="runs/ilm-1", configuration=ilm.configuration, seed=1)
    paired = replace(
        evaluation,
        scores=(scores := [first, second, other, ilm, bad]),
        summary=summarize(scores),
    )
    figure = figures(paired)["ssim_paper-by-seed"]
    (axes,) = figure.axes
    (points,) = [line for line in axes.lines if line.get_marker() == "."]
    expected = {
        np.mean(other.values["ssim_paper"]) - np.mean(second.values["ssim_paper"]),
        np.mean(ilm.values["ssim_paper"]) - np.mean(first.values["ssim_paper"]),
    }
    assert sorted(points.get_xdata()) == pytest.approx(sorted(expected))
    interval = student_interval(points.get_xdata())
    (bar,) = [tuple(line.get_xdata()) for line in axes.lines if line.get_linewidth() == 2.5]
    assert bar == pytest.approx((interval.low, interval.high))
    assert [tick.get_text() for tick in axes.get_yticklabels()] == [ilm.configuration]
    assert f"{interval.mean:+.3f}" in [text.get_text() for text in axes.texts]
    assert "minus IN / IN" in axes.texts[-1].get_text()
    assert not [name for name in drawn if name.endswith("-by-seed")]  # of a single common seed


def test_every_configuration_has_a_row_of_differences(evaluation):
    first, second, ilm, bad = evaluation.scores
    others = [
        replace(ilm, name=f"{one.configuration}-{seed}", configuration=one.configuration, seed=seed)
        for one in (ilm, bad)
        for seed in (first.seed, second.seed)
    ]
    scores = [first, second, *others]
    figure = figures(replace(evaluation, scores=scores, summary=summarize(scores)))
    (axes,) = figure["psnr-by-seed"].axes
    points = [line for line in axes.lines if line.get_marker() == "."]
    assert [len(line.get_xdata()) for line in points] == [2, 2]
    names = [tick.get_text() for tick in axes.get_yticklabels()]
    assert names == [ilm.configuration, bad.configuration]


def test_several_steps_give_lines_in_order_of_the_steps(at_steps):
    drawn = figures(at_steps)
    assert {f"{name}-by-step" for name in ("rmse_rgb", "ssim_paper", "psnr")} < set(drawn)
    (axes,) = drawn["psnr-by-step"].axes
    (line,) = axes.lines  # ILM was scored at one step only
    assert line.get_label() == "IN / IN"
    assert list(line.get_xdata()) == [400, 800]
    mean = np.mean([at_steps.scores[0].values["psnr"], at_steps.scores[1].values["psnr"]])
    assert list(line.get_ydata()) == pytest.approx([mean] * 2)


def test_the_same_bytes_whatever_the_users_settings(evaluation, drawn, tmp_path):
    write_figure(drawn["psnr"], tmp_path / "one.png")
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red", "savefig.dpi": 10}):
        write_figure(figures(evaluation)["psnr"], tmp_path / "other.png")
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "other.png").read_bytes()
    assert b"matplotlib" not in (tmp_path / "one.png").read_bytes().lower()


@WITHOUT_NUMBERS
@pytest.mark.parametrize("value", [np.inf, 20.0], ids=["infinite", "equal"])
def test_what_has_no_density_is_drawn_without(renamed, value, tmp_path):
    values = dict.fromkeys(("rmse_rgb", "ssim_paper", "psnr"), (value,) * 12)
    figure = figures(renamed(values=values))["psnr"]
    assert not figure.axes[0].collections
    write_figure(figure, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 5000


def test_long_and_mathematical_names_are_drawn(renamed, tmp_path):
    named = renamed(configuration="$\\frac{ a very long name (runs/2024/experiment/step-8000)")
    write_figure(figures(named)["psnr"], tmp_path / "plot.png")


def test_density_is_one_at_its_peak_and_vanishes_outside():
    values = np.random.default_rng(0).normal(5, 1, 300)
    positions, heights = density(values)
    assert heights.max() == 1
    assert positions[heights.argmax()] == pytest.approx(5, abs=0.5)
    assert heights[[0, -1]].max() < 0.05


def test_scatter_is_even():
    scattered = np.sort(spread(100))
    assert 0 <= scattered[0] < scattered[-1] < 1
    assert np.diff(scattered).max() < 0.03
