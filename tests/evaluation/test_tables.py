"""Tables: which cell is best or tied, what it says, and how every writer sets it."""

import csv
import io
import math
import re
from dataclasses import replace

import pytest
from rich.console import Console

from pix2pix_ilm.evaluation.report import latex, markdown, terminal_report
from pix2pix_ilm.evaluation.statistics import Difference, Interval
from pix2pix_ilm.evaluation.table_formats import escape_latex, to_csv, to_terminal
from pix2pix_ilm.evaluation.tables import (
    DASH,
    INTERVAL_LEGEND,
    ONE_SEED_LEGEND,
    PAPER_LEGEND,
    SEEDS_LEGEND,
    Table,
    differences_table,
    format_interval,
    format_number,
    format_p,
    means_table,
)

NASTY = r"a&b_50%|*c*\d#{e}$f^~<g>"


def means(evaluation) -> Table:
    return means_table(evaluation.summary, evaluation.columns)


def differences(evaluation) -> Table:
    return differences_table(evaluation.summary, evaluation.columns)


def cells_of(evaluation):
    """(Configuration, metric) -> lines of the cell."""
    return {
        (name[0].text, metric.name): cell
        for name, *cells in means(evaluation).rows
        for metric, cell in zip(evaluation.columns, cells, strict=True)
        if name[0].role != "paper"
    }


def with_role(evaluation, role):
    return {key for key, (mean, *_) in cells_of(evaluation).items() if mean.role == role}


def printed(renderable, width: int = 120, *, colors: bool = False) -> str:
    console = Console(
        file=io.StringIO(),
        width=width,
        force_terminal=colors,
        color_system="standard" if colors else None,
        legacy_windows=False,
    )
    console.print(renderable)
    return console.file.getvalue()


@pytest.mark.parametrize(("metric", "choose"), [("rmse_rgb", min), ("psnr", max)])
def test_the_best_mean_is_marked_whichever_way_is_better(evaluation, metric, choose):
    values = {row.configuration: row.images[metric].mean for row in evaluation.summary.rows}
    best = choose(values, key=values.__getitem__)
    assert {name for name, of in with_role(evaluation, "best") if of == metric} == {best}


def test_tied_are_those_whose_comparison_with_the_best_is_not_distinguishable(evaluation):
    best, tied = with_role(evaluation, "best"), with_role(evaluation, "tied")
    expected = set()
    for one in evaluation.summary.comparisons:
        pair = {(one.first, one.metric), (one.second, one.metric)}
        if not one.distinguishable and pair & best:
            expected |= pair - best
    assert tied == expected
    assert {name for name, _ in tied} <= {"IN / IN", "ILM+IN / IN"}
    assert tied, "the example should have a tie"


def test_a_clearly_worse_configuration_is_neither(evaluation):
    assert {key for key in with_role(evaluation, "plain") if key[0] == "BN / BN"} == {
        ("BN / BN", metric.name) for metric in evaluation.columns
    }


def test_nothing_is_best_without_a_rival(only):
    alone = only(["runs/ilm"])
    assert not with_role(alone, "best") | with_role(alone, "tied")
    assert "**" not in markdown(alone)
    assert "Differences" not in markdown(alone)
    assert "minus" not in printed(terminal_report(alone))


def test_undefined_means_are_never_best(evaluation):
    rows = [
        replace(row, images=row.images | {"psnr": Interval(math.nan, math.nan, math.nan)})
        if row.configuration == "IN / IN"
        else row
        for row in evaluation.summary.rows
    ]
    undefined = replace(evaluation, summary=replace(evaluation.summary, rows=rows))
    assert cells_of(undefined)["IN / IN", "psnr"][0].text == "n/a"
    assert {name for name, of in with_role(undefined, "best") if of == "psnr"} == {"ILM+IN / IN"}


def test_the_papers_values_stand_beneath_the_configurations_it_has(evaluation):
    rows = means(evaluation).rows
    paper = {
        rows[i - 1][0][0].text: [cell[0].text for cell in row[1:]]
        for i, row in enumerate(rows)
        if row[0][0].role == "paper"
    }
    by_metric = [metric.name for metric in evaluation.columns]
    assert by_metric == ["rmse_rgb", "ssim_paper", "psnr"]
    assert paper == {"IN / IN": ["108.17", "0.372", ""], "ILM+IN / IN": ["105.82", "0.390", ""]}


def test_the_interval_over_seeds_stands_only_by_several_seeds(evaluation):
    cells = cells_of(evaluation)
    assert {name for (name, _), cell in cells.items() if len(cell) == 3} == {"IN / IN"}
    seeds = evaluation.summary.rows[0].seeds["rmse_rgb"]
    half = (seeds.high - seeds.low) / 2
    assert cells["IN / IN", "rmse_rgb"][1].text == f"±{half:.2f} seeds"


def test_the_legend_explains_only_what_is_there(evaluation, only):
    assert {SEEDS_LEGEND, PAPER_LEGEND} < set(means(evaluation).legend)
    assert means(only(["runs/bad"])).legend == [INTERVAL_LEGEND]
    assert ONE_SEED_LEGEND in means(evaluation).legend  # two configurations have one training each
    seeds = means(only(["runs/in-0", "runs/in-1"])).legend
    assert seeds == [SEEDS_LEGEND, INTERVAL_LEGEND, PAPER_LEGEND]


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
        (None, "", ""),
    ],
)
def test_numbers(value, sign, expected):
    assert format_number(value, 3, sign) == expected


def test_intervals_never_put_a_dash_before_a_sign():
    assert format_interval(Interval(1, 0.25, 2), 2) == f"0.25{DASH}2.00"
    assert format_interval(Interval(0, -0.25, 2), 2) == "-0.25 to 2.00"
    assert format_interval(Interval(0, -0.25, 2), 2, "+") == "-0.25 to +2.00"


def test_an_interval_that_ends_just_below_zero_does_not_seem_to_reach_it():
    assert format_interval(Interval(-0.006, -0.011, -0.0004), 3, "+") == "-0.011 to -0.000"
    assert format_interval(Interval(0.004, -0.0004, 0.0), 3, "+") == "-0.000 to +0.000"
    assert format_number(-0.0, 3, "+") == "+0.000"


def test_p_values_are_never_shown_as_zero(evaluation):
    tiny = [
        replace(one, images=replace(one.images, corrected_p_value=1e-9))
        for one in evaluation.summary.comparisons
    ]
    certain = replace(evaluation, summary=replace(evaluation.summary, comparisons=tiny))
    shown = {cell[2].text for row in differences(certain).rows for cell in row[1:]}
    assert shown == {"p < 0.001"}
    likely = Difference(interval=Interval(0.0, 0.0, 0.0), p_value=0.0, corrected_p_value=0.004)
    assert format_p(likely) == "p = 0.004"


def test_differences_over_seeds_stand_before_those_over_images(evaluation):
    one = evaluation.summary.comparisons[0]
    seeds = Difference(interval=Interval(0.5, 0.25, 0.75), p_value=0.5, corrected_p_value=0.5)
    summary = replace(evaluation.summary, comparisons=[replace(one, seeds=seeds)])
    compared = differences_table(summary, evaluation.columns[:1])
    lines = [line.text for line in compared.rows[0][1]]
    assert lines[:3] == ["+0.50", "seeds +0.25 to +0.75", "p = 0.500"]
    assert lines[3].startswith("images ")
    assert compared.rows[0][1][0].role == "tied"


def test_roles_say_whether_a_difference_is_an_improvement(evaluation):
    """BN / BN is worse than the others in everything, whichever way is better."""
    roles = [cell[0].role for row in differences(evaluation).rows for cell in row[1:]]
    clear = [one for one in evaluation.summary.comparisons if one.distinguishable]
    assert roles.count("worse") == sum(one.second == "BN / BN" for one in clear) == 6
    assert roles.count("better") == len(clear) - 6
    assert roles.count("tied") == len(roles) - len(clear)
    text = printed(to_terminal(differences(evaluation), 120), colors=True)
    assert len(re.findall(r"\x1b\[31m *[+-]", text)) == 6


def test_every_line_is_printed_in_the_terminal(evaluation):
    text = printed(terminal_report(evaluation))
    for table in (means(evaluation), differences(evaluation)):
        for row in table.rows:
            assert all(line.text in text for cell in row for line in cell)
    assert len(re.findall(r"^paper +\d", text, re.MULTILINE)) == 2
    assert "RMSE ↓" in text
    assert "PSNR ↑" in text


def test_the_best_is_bold_and_ties_carry_a_mark_in_the_terminal(evaluation):
    text = printed(to_terminal(means(evaluation), 120), colors=True)
    bold = re.findall(r"\x1b\[1m *([\d.]+)", text[text.index("─") :])
    cells = cells_of(evaluation)
    assert sorted(bold) == sorted(cells[key][0].text for key in with_role(evaluation, "best"))
    plain = printed(to_terminal(means(evaluation), 120))
    assert len(re.findall(r"\d =", plain)) == len(with_role(evaluation, "tied"))


@pytest.mark.parametrize("width", [200, 120, 80, 60, 45])
def test_fits_the_terminal_and_says_what_it_leaves_out(evaluation, width):
    text = printed(terminal_report(evaluation, width), width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    assert "RMSE ↓" in text
    assert ("PSNR ↑" in text) or ("too narrow for" in text)


@pytest.mark.parametrize("width", range(40, 110))
def test_no_heading_or_legend_is_cut_at_any_width(evaluation, width):
    """A line of its own has the heading of names, which is longer than they are."""
    table = replace(means(evaluation), legend=["x" * 20])
    lines = printed(to_terminal(table, width), width).splitlines()
    assert table.title in " ".join(lines)
    assert any("x" * 20 in line for line in lines)


def test_all_metrics_fit_120_columns(evaluation):
    assert "too narrow" not in printed(to_terminal(means(evaluation), 120), 120)


def test_markdown_tables_are_rectangular_and_mark_the_best(evaluation):
    written = re.findall(r"(?:^\|.*\n)+", markdown(evaluation), re.MULTILINE)
    assert len(written) == 2
    for table in written:
        assert {line.count("|") for line in table.splitlines()} == {5}
    cells = cells_of(evaluation)
    bold = re.findall(r"\*\*([\d.]+)\*\*", written[0])
    assert sorted(bold) == sorted(cells[key][0].text for key in with_role(evaluation, "best"))
    assert written[0].count(" =<br>") == len(with_role(evaluation, "tied"))


def test_latex_tabular_has_the_same_number_of_columns_everywhere(evaluation):
    text = latex(evaluation)
    assert r"\begin{tabular}{lccc}" in text
    body = text[text.index(r"\toprule") : text.index(r"\bottomrule")]
    rows = [line for line in body.splitlines() if line.endswith(r"\\")]
    assert {line.count("&") for line in rows} == {3}
    assert len(rows) == 1 + 3 * 2 + 1 + 2  # heading, two lines each, seeds of one, paper of two
    assert all(word in text for word in (r"\toprule", r"\midrule", r"\bottomrule", r"\textbf{"))


def test_names_are_escaped(renamed):
    named = renamed(configuration=NASTY)
    assert r"a\&b\_50%\|\*c\*\\d\#{e}$f^\~\<g\>" in markdown(named)
    text = latex(named)
    assert r"a\&b\_50\%\textbar{}*c*\textbackslash{}d\#\{e\}\$f\textasciicircum{}" in text
    unescaped = re.sub(r"%.*|\\[{}]", "", text.replace(r"\%", ""))
    assert unescaped.count("{") == unescaped.count("}")


def test_latex_keeps_what_it_knows():
    expected = r"IN / IN $\pm$0.5 $\uparrow$ 1--2"
    assert escape_latex(f"IN / IN ±0.5 ↑ 1{DASH}2") == expected


def test_a_name_over_several_lines_stays_on_one(renamed):
    named = renamed(configuration="one\n\ntwo")
    assert "| one two |" in markdown(named)
    assert "\none two & " in latex(named)


def test_csv_gives_back_every_cell(evaluation):
    header, *rows = csv.reader(io.StringIO(to_csv(means(evaluation))))
    assert header == ["configuration", *(metric.title for metric in evaluation.columns)]
    assert rows == [
        [" ".join(line.text for line in cell) for cell in row] for row in means(evaluation).rows
    ]
