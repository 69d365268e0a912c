"""JSON and CSV give back what was scored; Markdown and LaTeX hold together whatever the names."""

import csv
import io
import json
import math
import re
from dataclasses import asdict

import pytest

from pix2pix_ilm.evaluation.documents import scores_csv, scores_json, table_md, table_tex, tex
from pix2pix_ilm.evaluation.marks import DASH, lines

NASTY = r"a&b_50%|*c*\d#{e}$f^~<g>"


def strict(text: str):
    def refuse(constant):
        raise AssertionError(f"not strict JSON: {constant}")

    return json.loads(text, parse_constant=refuse)


def test_json_gives_back_every_value(evaluation):
    document = strict(scores_json(evaluation))
    for one, model in zip(evaluation.scores, document["models"], strict=True):
        assert model["name"] == one.name
        assert tuple(model["images"]) == one.images
        assert (model["seed"], model["step"]) == (one.seed, one.step)
        assert {name: tuple(values) for name, values in model["values"].items()} == one.values
    assert document["protocol"] == evaluation.protocol


def test_json_gives_back_rows_and_comparisons(evaluation):
    document = strict(scores_json(evaluation))
    for row, found in zip(evaluation.summary.rows, document["summary"], strict=True):
        assert found["images"] == {name: asdict(one) for name, one in row.images.items()}
        assert found["seeds"] == {name: asdict(one) for name, one in row.seeds.items()}
    compared = zip(evaluation.summary.comparisons, document["comparisons"], strict=True)
    for one, found in compared:
        assert found == asdict(one) | {"distinguishable": one.distinguishable}


@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
def test_infinite_values_are_null_in_json_and_inf_in_csv(renamed):
    psnr = (math.inf,) + (20.0,) * 11
    perfect = renamed(values={"rmse_rgb": psnr, "ssim_paper": psnr, "psnr": psnr})
    assert strict(scores_json(perfect))["models"][0]["values"]["psnr"] == [None, *psnr[1:]]
    first, second, *_ = csv.DictReader(io.StringIO(scores_csv(perfect)))
    assert (float(first["psnr"]), float(second["psnr"])) == (math.inf, 20)


def test_csv_has_a_line_per_model_and_image_with_exact_values(evaluation):
    records = list(csv.DictReader(io.StringIO(scores_csv(evaluation))))
    assert len(records) == 4 * 12
    found = {(record["model"], record["image"]): record for record in records}
    for one in evaluation.scores:
        for i, image in enumerate(one.images):
            record = found[one.name, image]
            assert record["configuration"] == one.configuration
            assert (int(record["seed"]), int(record["step"])) == (one.seed, one.step)
            assert {name: float(record[name]) for name in one.values} == {
                name: values[i] for name, values in one.values.items()
            }


def test_csv_quotes_names_and_leaves_the_unknown_empty(renamed):
    (record, *_) = csv.DictReader(
        io.StringIO(scores_csv(renamed(name='a,"b"\n', seed=None, step=None)))
    )
    assert record["model"] == 'a,"b"\n'
    assert record["seed"] == record["step"] == ""


def test_diversity_is_written_when_it_was_measured(evaluation, renamed):
    assert "diversity" not in scores_csv(evaluation).splitlines()[0]
    text = scores_csv(renamed(diversity=tuple(range(12))))
    assert [row["diversity"] for row in csv.DictReader(io.StringIO(text))] == [*map(str, range(12))]


def test_markdown_tables_are_rectangular_and_mark_the_best(evaluation):
    text = table_md(evaluation)
    tables = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert len(tables) == 2
    for table in tables:
        assert {line.count("|") for line in table.splitlines()} == {5}
    bold = re.findall(r"\*\*([\d.]+)\*\*", tables[0])
    assert bold == [cell.mean for row in lines(evaluation) for cell in row.cells if cell.best]
    assert tables[0].count(" =<br>") == sum(
        cell.tied for row in lines(evaluation) for cell in row.cells
    )


def test_markdown_escapes_names(renamed):
    text = table_md(renamed(configuration=NASTY))
    assert r"a\&b\_50%\|\*c\*\\d\#{e}$f^\~\<g\>" in text


def test_latex_tabular_has_the_same_number_of_columns_everywhere(evaluation):
    text = table_tex(evaluation)
    assert r"\begin{tabular}{lccc}" in text
    body = text[text.index(r"\toprule") : text.index(r"\bottomrule")]
    rows = [line for line in body.splitlines() if line.endswith(r"\\")]
    assert {line.count("&") for line in rows} == {3}
    assert len(rows) == 1 + 3 * 2 + 1 + 2  # heading, two lines each, seeds of one, paper of two
    assert all(word in text for word in (r"\toprule", r"\midrule", r"\bottomrule", r"\textbf{"))


def test_latex_escapes_names_and_balances_braces(renamed):
    text = table_tex(renamed(configuration=NASTY))
    assert r"a\&b\_50\%\textbar{}*c*\textbackslash{}d\#\{e\}\$f\textasciicircum{}" in text
    unescaped = re.sub(r"%.*|\\[{}]", "", text.replace(r"\%", ""))
    assert unescaped.count("{") == unescaped.count("}")


def test_latex_keeps_what_it_knows():
    assert tex(f"IN / IN ±0.5 ↑ 1{DASH}2") == r"IN / IN $\pm$0.5 $\uparrow$ 1--2"


def test_a_name_over_several_lines_stays_on_one(renamed):
    named = renamed(configuration="one\n\ntwo")
    assert "| one two |" in table_md(named)
    assert "\none two & " in table_tex(named)


def test_a_single_configuration_has_no_differences(only):
    text = table_md(only(["runs/ilm"]))
    assert "Differences" not in text
    assert "**" not in text
