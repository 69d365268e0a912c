"""The tables of the terminal, and the folder with everything."""

import io
import json
import re

import pytest
from rich.console import Console

from pix2pix_ilm.data.images import read_image
from pix2pix_ilm.errors import UserError
from pix2pix_ilm.evaluation.marks import lines
from pix2pix_ilm.evaluation.report import comparison_table, table, tables, write_report

TEXTS = ("scores.json", "scores.csv", "table.md", "table.tex", "gallery.html")


def printed(renderable, width: int = 120, *, colours: bool = False) -> str:
    console = Console(
        file=io.StringIO(),
        width=width,
        force_terminal=colours,
        color_system="standard" if colours else None,
        legacy_windows=False,
    )
    console.print(renderable)
    return console.file.getvalue()


def test_every_mean_interval_and_paper_value_is_printed(evaluation):
    text = printed(table(evaluation))
    for row in lines(evaluation):
        for cell in row.cells:
            assert cell.mean in text
            assert cell.images in text
            assert cell.paper in text
    assert "2 seeds" in text
    assert text.count("\n  paper ") == 2


def test_the_best_is_bold_and_ties_carry_a_mark(evaluation):
    text = printed(table(evaluation), colours=True)
    body = text[text.index("─") :]
    bold = re.findall(r"\x1b\[1m *([\d.]+)", body)
    cells = [cell for row in lines(evaluation) for cell in row.cells]
    assert sorted(bold) == sorted(cell.mean for cell in cells if cell.best)
    assert len(re.findall(r"\d =", printed(table(evaluation)))) == sum(cell.tied for cell in cells)


def test_headings_point_to_what_is_better(evaluation):
    text = printed(table(evaluation))
    assert "RMSE ↓" in text
    assert "PSNR ↑" in text


@pytest.mark.parametrize("width", [200, 120, 80, 60, 45])
def test_fits_the_terminal_and_says_what_it_leaves_out(evaluation, width):
    text = printed(tables(evaluation, width), width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    assert "RMSE ↓" in text
    assert ("PSNR ↑" in text) or ("too narrow for" in text)


def test_all_metrics_fit_120_columns(evaluation):
    assert "too narrow" not in printed(table(evaluation, 120), 120)


def test_the_difference_and_its_p_value_are_printed(evaluation):
    text = printed(comparison_table(evaluation))
    assert text.count("minus ") == 3
    for one in evaluation.summary.comparisons:
        digits = 3 if one.metric == "ssim_paper" else 2
        assert f"{one.difference.mean:+.{digits}f}" in text
    assert "p < 0.001" in text or "p = 0.0" in text


def test_colours_say_whether_a_difference_is_an_improvement(evaluation):
    """BN / BN is worse than the others in everything, whichever way is better."""
    text = printed(comparison_table(evaluation), colours=True)
    coloured = dict.fromkeys(("32", "31"), 0)
    for code in coloured:
        coloured[code] = len(re.findall(rf"\x1b\[{code}m *[+-]", text))
    clear = [one for one in evaluation.summary.comparisons if one.distinguishable]
    assert coloured["31"] == sum(one.second == "BN / BN" for one in clear) == 6
    assert coloured["32"] == len(clear) - 6


def test_one_configuration_is_compared_with_nothing(only):
    text = printed(tables(only(["runs/ilm"])))
    assert "minus" not in text
    assert "bold" not in text


@pytest.fixture(scope="module")
def written(evaluation, tmp_path_factory):
    folder = tmp_path_factory.mktemp("report") / "new" / "folder"
    write_report(evaluation, folder)
    return folder


def test_the_folder_holds_everything_and_no_leftovers(evaluation, written):
    plots = {f"plots/{metric.name}.png" for metric in evaluation.columns}
    files = {path.relative_to(written).as_posix() for path in written.rglob("*") if path.is_file()}
    assert files == {*TEXTS, *plots}
    for plot in plots:
        assert read_image(written / plot).shape[1] == 1200


def test_the_same_evaluation_gives_the_same_bytes(evaluation, written, tmp_path):
    write_report(evaluation, tmp_path)
    for path in written.rglob("*.*"):
        assert (tmp_path / path.relative_to(written)).read_bytes() == path.read_bytes(), path.name


def test_writing_again_replaces(only, tmp_path):
    for name in ("runs/ilm", "runs/bad"):
        write_report(only([name]), tmp_path)
    (model,) = json.loads((tmp_path / "scores.json").read_text())["models"]
    assert model["name"] == "runs/bad"


def test_names_that_are_no_unicode_can_be_written(renamed, tmp_path):
    write_report(renamed(name="run-\udcff", configuration="run-\udcff"), tmp_path)
    for name in TEXTS:
        assert "run-" in (tmp_path / name).read_text("utf-8")


def test_a_folder_that_cannot_be_made_is_a_mistake_of_the_user(evaluation, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be made"):
        write_report(evaluation, tmp_path / "file" / "report")
