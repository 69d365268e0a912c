import json
import shutil
import signal
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from training.steps import before_step

from pix2pix_ilm import files
from pix2pix_ilm.data.palette import FACADES_PALETTE
from pix2pix_ilm.errors import UserError
from pix2pix_ilm.models.discriminator import DiscriminatorConfig
from pix2pix_ilm.models.generator import GeneratorConfig
from pix2pix_ilm.reproduction import study
from pix2pix_ilm.reproduction.reproduce import reproduce
from pix2pix_ilm.reproduction.studies import Arm
from pix2pix_ilm.reproduction.study import Progress, check_settings, progress, time_left
from pix2pix_ilm.training import loop, run_folder
from pix2pix_ilm.training.config import TrainConfig
from pix2pix_ilm.training.interrupts import Interrupted

# Whole runs: shapes are checked where the parts are tested, and take a fifth of the time here.
pytestmark = pytest.mark.usefixtures("unchecked")


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
def arms(config):
    return arms_of(config)


def arms_of(config):
    norms = {"IN / IN": ("in", "in"), "ILM+IN / IN": ("ilm-in", "in"), "both": ("ilm-in", "ilm-in")}
    return [
        Arm(
            name="-".join(pair),
            title=title,
            flags="--generator.norm {} --discriminator.norm {}".format(*pair),
            config=replace(
                config,
                generator=replace(config.generator, norm=pair[0]),
                discriminator=replace(config.discriminator, norm=pair[1]),
            ),
        )
        for title, pair in norms.items()
    ]


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "study"


@pytest.fixture
def without_report(monkeypatch):
    """Where the report is not what is tested: it takes most of the time."""
    monkeypatch.setattr("pix2pix_ilm.reproduction.reproduce.report", lambda *_: None)


def weights(folder):
    return {path.parent.name: path.read_bytes() for path in folder.glob("*/model.safetensors")}


def test_a_study_trains_evaluates_and_reports(arms, folder):
    said = []
    evaluation = reproduce(arms, folder, 2, said.append)
    rows = {row.configuration: row for row in evaluation.summary.rows}
    assert list(rows)[:3] == ["IN / IN", "ILM+IN / IN", "both"]
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

    summary = json.loads((report / "summary.json").read_text())
    assert [(run["configuration"], run["seed"]) for run in summary["runs"]] == [
        (title, seed) for title in ("IN / IN", "ILM+IN / IN", "both") for seed in (0, 1)
    ]
    table = (report / "summary.md").read_text().splitlines()
    assert [line.split(" | ")[:2] for line in table[2:]] == [
        ["| real photos", ""], ["| IN / IN", "2"], ["| ILM+IN / IN", "2"], ["| both", "2"]
    ]  # fmt: skip
    for run, scores in zip(summary["runs"], evaluation.scores, strict=False):
        assert run["metrics"]["haarpsi"] == pytest.approx(np.mean(scores.values["haarpsi"]))
    with Image.open(report / "painted.jpg") as picture:
        assert picture.size == (150 + 12 * 32, 4 * 32)


def test_label_maps_of_other_colors_have_no_walls_and_no_painted_ones(
    arms, folder, drawn_pairs, tmp_path
):
    data = shutil.copytree(drawn_pairs, tmp_path / "gray")
    for path in data.glob("*/*.png"):
        with Image.open(path) as pair:
            pixels = np.array(pair)
        label_map = pixels[:, pixels.shape[1] // 2 :]
        label_map[:] = label_map.mean(axis=2, keepdims=True) // 3 + 120
        Image.fromarray(pixels).save(path)
    arm = replace(arms[0], config=replace(arms[0].config, data=str(data)))
    reproduce([arm], folder, 1, lambda _: None)
    row = (folder / "report" / "summary.md").read_text().splitlines()[-1]
    assert row.count("n/a / n/a / n/a / n/a") == 2
    assert not (folder / "report" / "painted.jpg").exists()


def test_a_split_too_small_for_intervals_is_refused_before_hours_of_training(arms, folder):
    with pytest.raises(UserError, match=r"split 'train\[:1\]' has 1 pair; expected at least 2"):
        reproduce(arms, folder, 1, lambda _: None, split="train[:1]")
    assert not folder.exists()


def test_torchrun_is_refused_before_anything_is_trained(arms, folder, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match="expected one process for a study, found 2; start the"):
        reproduce(arms, folder, 1, lambda _: None)
    assert not folder.exists()


@pytest.mark.usefixtures("without_report")
def test_what_is_done_is_not_done_again(arms, folder, monkeypatch):
    reproduce(arms, folder, 1, lambda _: None)
    before = weights(folder)
    monkeypatch.setattr(study, "train_or_resume", pytest.fail)
    said = []
    reproduce(arms, folder, 1, said.append)
    assert weights(folder) == before
    assert said == ["Evaluating 3 models on val"]


@pytest.mark.usefixtures("without_report")
def test_the_papers_held_out_pairs_can_be_evaluated(arms, folder, monkeypatch):
    monkeypatch.setattr("pix2pix_ilm.evaluation.evaluate.PAPER_SPLIT", ("train[:4]", "train[4:8]"))
    evaluation = reproduce(arms[:1], folder, 1, lambda _: None, split="paper")
    assert evaluation.protocol["split"] == "train[4:8]"
    assert {len(of.images) for of in evaluation.scores} == {4}


@pytest.mark.usefixtures("without_report")
def test_more_seeds_can_be_added(arms, folder):
    reproduce(arms, folder, 1, lambda _: None)
    said = []
    evaluation = reproduce(arms, folder, 2, said.append)
    assert [line.split(" (")[0] for line in said[:3]] == [
        "[4/6] in-in-seed1",
        "[5/6] ilm-in-in-seed1",
        "[6/6] ilm-in-ilm-in-seed1",
    ]
    assert len(evaluation.summary.rows[0].models) == 2


def test_the_seconds_of_a_step_are_those_of_all_processes(arms, folder):
    config = arms[0].training(folder, 0)
    run = loop.train(config)
    alone = progress(config).seconds_per_step
    assert alone
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(record | {"processes": 2}))
    shared = progress(config).seconds_per_step
    assert shared == pytest.approx(2 * alone)  # a step had twice the images, at the same rate


@pytest.mark.usefixtures("without_report")
def test_a_stopped_study_ends_with_the_same_weights(arms, folder, tmp_path, monkeypatch):
    reproduce(arms, tmp_path / "whole", 1, lambda _: None)

    trainings = iter(range(100))

    def stop_the_second(_process):
        if next(trainings) == 1:
            signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patch:
        before_step(patch, 1, stop_the_second)
        with pytest.raises(Interrupted):
            reproduce(arms, folder, 1, lambda _: None)
    assert progress(arms[0].training(folder, 0)).finished
    stopped = progress(arms[1].training(folder, 0))
    assert stopped == Progress(done=2, total=8, seconds_per_step=stopped.seconds_per_step)
    reproduce(arms, folder, 1, lambda _: None)
    assert weights(folder) == weights(tmp_path / "whole")


def test_a_training_that_another_process_holds_is_left_to_it(arms, folder):
    (folder / "in-in-seed0").mkdir(parents=True)
    said = []
    with run_folder.lock_run(folder / "in-in-seed0"):  # no more than that is there as it starts
        assert reproduce(arms, folder, 1, said.append) is None
    assert said[1] == "[1/3] in-in-seed0: another process is at it"
    assert said[-1].startswith("Other processes still train")
    assert set(weights(folder)) == {"ilm-in-in-seed0", "ilm-in-ilm-in-seed0"}


@pytest.mark.usefixtures("without_report")
def test_some_configurations_can_be_trained_before_the_others(arms, folder):
    said = []
    evaluation = reproduce(arms, folder, 1, said.append, only=["ilm-in-in"])
    assert list(weights(folder)) == ["ilm-in-in-seed0"]
    assert said[-1] == "Evaluating 1 models on val"
    evaluation = reproduce(arms, folder, 1, said.append, only=["in-in"], split="test")
    models = [row.configuration for row in evaluation.summary.rows if not row.baseline]
    assert models == ["IN / IN", "ILM+IN / IN"]  # all that are done, in the study's order
    assert evaluation.protocol["split"] == "test"


@pytest.mark.parametrize("classes", [None, FACADES_PALETTE])
def test_trainings_that_were_begun_with_other_settings_are_not_mixed_with(config, folder, classes):
    begun = replace(config, label_classes=classes)
    training = arms_of(begun)[0].training(folder, 0)
    start(training)
    check_settings([training, *(arm.training(folder, 0) for arm in arms_of(config)[1:])])
    check_settings([replace(training, data="elsewhere")])  # the digest tells what they are
    other = replace(
        begun,
        epochs=3,
        generator=replace(config.generator, ngf=8),
        label_classes=FACADES_PALETTE if classes is None else None,
    )
    with pytest.raises(UserError) as error:
        check_settings([arms_of(other)[0].training(folder, 0)])
    message = str(error.value)
    assert f"{folder / 'in-in-seed0'}: was begun with other settings (" in message
    assert "generator.ngf 4 instead of 8" in message
    assert "epochs 2 instead of 3" in message
    assert "label_classes " in message
    assert len(message) < 500


def start(training):
    folder = training.checkpoints / training.name
    folder.mkdir(parents=True)
    record = run_folder.RunRecord(
        config=training, data_digest="", train=[], val=[], versions={}, processes=1
    )
    files.write_json(folder / run_folder.RUN, record)


def test_a_missing_split_is_refused_before_anything_is_trained(config, folder):
    with pytest.raises(UserError, match="no split 'holdout'"):
        reproduce(arms_of(replace(config, val_split="holdout")), folder, 1, pytest.fail)
    assert not folder.exists()


def test_the_time_left_counts_what_was_not_begun_like_the_others():
    done = Progress(done=100, total=100, seconds_per_step=3.0)
    half = Progress(done=50, total=100, seconds_per_step=1.0)
    assert time_left([done, half, Progress()]) == "about 0:05:00"  # 50 x 1 s, 100 x 2 s, rounded up
    assert time_left([Progress(), Progress()]) == "unknown"
    assert time_left([Progress(done=0, total=100), Progress()]) == "unknown"
