"""The folder with everything: JSON and CSV give back what was scored."""

import csv
import io
import json
import math
from dataclasses import asdict

import pytest

from pix2pix_ilm.data.images import read_image
from pix2pix_ilm.errors import UserError
from pix2pix_ilm.evaluation.report import scores_csv, scores_json, write_report

TEXTS = ("scores.json", "scores.csv", "table.md", "table.tex", "table.csv", "gallery.html")


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
