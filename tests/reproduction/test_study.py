import json
import signal
from dataclasses import replace

import pytest
from training.steps import before_step

from pix2pix_ilm.data.palette import FACADES_PALETTE
from pix2pix_ilm.errors import UserError
from pix2pix_ilm.models.discriminator import DiscriminatorConfig
from pix2pix_ilm.models.generator import GeneratorConfig
from pix2pix_ilm.reproduction import study
from pix2pix_ilm.reproduction.reproduce import reproduce
from pix2pix_ilm.reproduction.study import (
    CONFIGURATIONS,
    Progress,
    open_study,
    progress,
    time_left,
)
from pix2pix_ilm.training import run_folder
from pix2pix_ilm.training.config import TrainConfig
from pix2pix_ilm.training.interrupts import Interrupted


@pytest.fixture
def config(drawn_pairs):
    return TrainConfig(
        data=str(drawn_pairs),
        train_split="train[:4]",
        val_split="val",
        image_size=32,
        generator=GeneratorConfig(ngf=4),
        discriminator=DiscriminatorConfig(ndf=4, n_layers=2),
        epochs=2,
        device="cpu",
        log_every=2,
        save_every=1,
        num_samples=1,
        tracker="none",
    )


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "study"


@pytest.fixture
def without_report(monkeypatch):
    """Where the report is not what is tested: it takes most of the time."""
    monkeypatch.setattr("pix2pix_ilm.reproduction.reproduce.report", lambda *_: None)


def weights(folder):
    return {path.parent.name: path.read_bytes() for path in folder.glob("*/model.safetensors")}


def test_a_study_trains_evaluates_and_reports(config, folder):
    said = []
    evaluation = reproduce(config, folder, 2, said.append)
    rows = {row.configuration: row for row in evaluation.summary.rows}
    assert list(rows)[:3] == ["IN / IN", "ILM+IN / IN", "ILM+IN / ILM+IN"]
    assert all(len(row.models) == 2 and row.seeds for row in list(rows.values())[:3])
    assert {"constant color", "per-class color"} <= set(rows)
    assert len([line for line in said if line.startswith("[")]) == 6

    report = folder / "report"
    assert {path.name for path in report.iterdir()} >= {"table.md", "gallery.html", "scores.json"}
    plots = {path.name for path in (report / "plots").iterdir()}
    assert {
        "losses.png",
        "norm-statistics-ilm-in-in.png",
        "norm-statistics-ilm-in-ilm-in.png",
    } <= plots
    used = json.loads((report / "norm-statistics.json").read_text())["configurations"]
    assert used["IN / IN"] == []
    assert len(used["ILM+IN / IN"]) == 7  # five levels: 3 on the way down, 4 on the way up
    assert (folder / "in-in-seed0" / "metrics.json").exists()


@pytest.mark.usefixtures("without_report")
def test_what_is_done_is_not_done_again(config, folder, monkeypatch):
    reproduce(config, folder, 1, lambda _: None)
    before = weights(folder)
    monkeypatch.setattr(study, "train_or_resume", pytest.fail)
    said = []
    reproduce(config, folder, 1, said.append)
    assert weights(folder) == before
    assert said == ["Evaluating 3 models on val"]


@pytest.mark.usefixtures("without_report")
def test_more_seeds_can_be_added(config, folder):
    reproduce(config, folder, 1, lambda _: None)
    said = []
    evaluation = reproduce(config, folder, 2, said.append)
    assert [line.split(" (")[0] for line in said[:3]] == [
        "[4/6] in-in-seed1",
        "[5/6] ilm-in-in-seed1",
        "[6/6] ilm-in-ilm-in-seed1",
    ]
    assert len(evaluation.summary.rows[0].models) == 2


@pytest.mark.usefixtures("without_report")
def test_a_stopped_study_ends_with_the_same_weights(config, folder, tmp_path, monkeypatch):
    reproduce(config, tmp_path / "whole", 1, lambda _: None)

    trainings = iter(range(100))

    def stop_the_second(_process):
        if next(trainings) == 1:
            signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patch:
        before_step(patch, 1, stop_the_second)
        with pytest.raises(Interrupted):
            reproduce(config, folder, 1, lambda _: None)
    assert progress(training(config, folder, 0)).finished
    assert progress(training(config, folder, 1)) == Progress(
        done=2, total=8, seconds_per_step=progress(training(config, folder, 1)).seconds_per_step
    )
    reproduce(config, folder, 1, lambda _: None)
    assert weights(folder) == weights(tmp_path / "whole")


def training(config, folder, number):
    return open_study(config, folder).trainings(folder, 1)[number]


def test_a_training_that_another_process_holds_is_left_to_it(config, folder):
    (folder / "in-in-seed0").mkdir(parents=True)
    said = []
    with run_folder.lock_run(folder / "in-in-seed0"):  # no more than that is there as it starts
        assert reproduce(config, folder, 1, said.append) is None
    assert said[1] == "[1/3] in-in-seed0: another process is at it"
    assert said[-1].startswith("Other processes still train")
    assert set(weights(folder)) == {"ilm-in-in-seed0", "ilm-in-ilm-in-seed0"}


def test_label_classes_are_told_from_none_in_both_orders(config, tmp_path):
    classes = replace(config, label_classes=FACADES_PALETTE)
    for name, (first, then) in {"a": (config, classes), "b": (classes, config)}.items():
        open_study(first, tmp_path / name)
        open_study(first, tmp_path / name)
        with pytest.raises(
            UserError, match=r"settings \(label_classes .* instead of .*\)"
        ) as error:
            open_study(then, tmp_path / name)
        assert len(str(error.value)) < 400


def test_another_study_in_the_folder_is_not_mixed_with(config, folder):
    open_study(config, folder)
    open_study(replace(config, seed=7), folder)  # seeds are the study's own
    other = replace(config, epochs=3, generator=replace(config.generator, ngf=8))
    with pytest.raises(
        UserError, match=r"other settings \(generator.ngf 4 instead of 8, epochs 2 instead of 3\)"
    ):
        open_study(other, folder)


def test_a_missing_split_is_refused_before_anything_is_trained(config, folder):
    with pytest.raises(UserError, match="no split 'holdout'"):
        reproduce(replace(config, val_split="holdout"), folder, 1, pytest.fail)
    assert not folder.exists()


def test_the_configurations_are_those_of_table_6():
    trainings = training_names(2)
    assert trainings[:3] == ["in-in-seed0", "ilm-in-in-seed0", "ilm-in-ilm-in-seed0"]
    assert len(trainings) == 2 * len(CONFIGURATIONS)


def training_names(seeds):
    shared = study.Study(config=TrainConfig())
    return [one.run_name for one in shared.trainings(TrainConfig().checkpoints, seeds)]


def test_the_time_left_counts_what_was_not_begun_like_the_others():
    done = Progress(done=100, total=100, seconds_per_step=3.0)
    half = Progress(done=50, total=100, seconds_per_step=1.0)
    assert time_left([done, half, Progress()]) == "about 0:05:00"  # 50 x 1 s, 100 x 2 s, rounded up
    assert time_left([Progress(), Progress()]) == "unknown"
    assert time_left([Progress(done=0, total=100), Progress()]) == "unknown"
