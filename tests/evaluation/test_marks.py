"""What the tables say: best, tied, numbers and names."""

import math
from dataclasses import replace

import pytest

from pix2pix_ilm.evaluation.intervals import Interval
from pix2pix_ilm.evaluation.marks import (
    DASH,
    PAPER_LEGEND,
    SEEDS_LEGEND,
    bounds,
    legend,
    lines,
    model_labels,
    number,
    p_value,
)


@pytest.fixture
def cells(evaluation):
    """(Configuration, metric) -> cell."""
    columns = [metric.name for metric in evaluation.columns]
    return {
        (row.configuration, name): cell
        for row in lines(evaluation)
        for name, cell in zip(columns, row.cells, strict=True)
    }


@pytest.mark.parametrize(("metric", "choose"), [("rmse_rgb", min), ("psnr", max)])
def test_the_best_mean_is_marked_whichever_way_is_better(evaluation, cells, metric, choose):
    means = {row.configuration: row.images[metric].mean for row in evaluation.summary.rows}
    best = choose(means, key=means.__getitem__)
    marked = [name for (name, of), cell in cells.items() if of == metric and cell.best]
    assert marked == [best]


def test_tied_are_those_whose_comparison_with_the_best_is_not_distinguishable(evaluation, cells):
    tied = {key for key, cell in cells.items() if cell.tied}
    expected = set()
    for one in evaluation.summary.comparisons:
        pair = {(one.first, one.metric), (one.second, one.metric)}
        if not one.distinguishable and any(cells[key].best for key in pair):
            expected |= {key for key in pair if not cells[key].best}
    assert tied == expected
    assert {name for name, _ in tied} <= {"IN / IN", "ILM+IN / IN"}
    assert tied, "the example should have a tie"


def test_a_clearly_worse_configuration_is_neither(cells):
    marks = [(cell.best, cell.tied) for (name, _), cell in cells.items() if name == "BN / BN"]
    assert marks == [(False, False)] * 3


def test_nothing_is_best_without_a_rival(only):
    (row,) = lines(only(["runs/ilm"]))
    assert not any(cell.best or cell.tied for cell in row.cells)


def test_undefined_means_are_never_best(evaluation):
    rows = [
        replace(row, images=row.images | {"psnr": Interval(math.nan, math.nan, math.nan)})
        if row.configuration == "IN / IN"
        else row
        for row in evaluation.summary.rows
    ]
    undefined = replace(evaluation, summary=replace(evaluation.summary, rows=rows))
    position = [metric.name for metric in evaluation.columns].index("psnr")
    found = {row.configuration: row.cells[position] for row in lines(undefined)}
    assert found["IN / IN"].mean == "n/a"
    assert [name for name, cell in found.items() if cell.best] == ["ILM+IN / IN"]


def test_the_papers_values_stand_by_the_configurations_it_has(cells):
    paper = {key: cell.paper for key, cell in cells.items() if cell.paper}
    assert paper == {
        ("IN / IN", "rmse_rgb"): "108.17",
        ("IN / IN", "ssim_paper"): "0.372",
        ("ILM+IN / IN", "rmse_rgb"): "105.82",
        ("ILM+IN / IN", "ssim_paper"): "0.390",
    }


def test_the_interval_over_seeds_stands_only_by_several_seeds(evaluation, cells):
    assert {name for (name, _), cell in cells.items() if cell.seeds} == {"IN / IN"}
    seeds = evaluation.summary.rows[0].seeds["rmse_rgb"]
    half = (seeds.high - seeds.low) / 2
    assert cells["IN / IN", "rmse_rgb"].seeds == f"±{half:.2f}"


def test_the_legend_explains_only_what_is_there(evaluation, only):
    everything = legend(lines(evaluation))
    assert {SEEDS_LEGEND, PAPER_LEGEND} < set(everything)
    alone = legend(lines(only(["runs/bad"])))
    assert len(alone) == 1
    assert alone[0] in everything


@pytest.mark.parametrize(
    ("value", "sign", "expected"),
    [
        (0.12345, "", "0.123"),
        (-0.0001, "", "0.000"),
        (0.5, "+", "+0.500"),
        (-0.5, "+", "-0.500"),
        (math.inf, "", "∞"),
        (-math.inf, "+", "-∞"),
        (math.nan, "+", "n/a"),
    ],
)
def test_numbers(value, sign, expected):
    assert number(value, 3, sign) == expected


def test_intervals_never_put_a_dash_before_a_sign():
    assert bounds(Interval(1, 0.25, 2), 2) == f"0.25{DASH}2.00"
    assert bounds(Interval(0, -0.25, 2), 2) == "-0.25 to 2.00"
    assert bounds(Interval(0, -0.25, 2), 2, "+") == "-0.25 to +2.00"


def test_p_values_are_never_shown_as_zero():
    assert p_value(1e-9) == "p < 0.001"
    assert p_value(0.0213) == "p = 0.021"


def test_models_are_labelled_by_what_tells_them_apart(evaluation):
    first, second, ilm, _ = evaluation.scores
    assert model_labels(evaluation.scores) == [
        *("IN / IN, seed 0", "IN / IN, seed 1"),
        *("ILM+IN / IN", "BN / BN"),
    ]
    later = replace(first, name="later", step=1600)
    assert model_labels([first, later, ilm]) == [
        *("IN / IN, step 800", "IN / IN, step 1600"),
        "ILM+IN / IN",
    ]
    twin = replace(first, name="twin")
    assert model_labels([first, twin, second]) == ["runs/in-0", "twin", "IN / IN, seed 1"]
