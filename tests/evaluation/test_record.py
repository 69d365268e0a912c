from dataclasses import replace

import pytest

from pix2pix_ilm.evaluation.evaluate import evaluate_checkpoints
from pix2pix_ilm.evaluation.record import METRICS_FILE, read_metrics, record_metrics
from pix2pix_ilm.evaluation.scores import Scorer, table_metrics

QUICK = Scorer(columns=[m for m in table_metrics() if m.name in ("rmse", "ssim")])
STEP = 7  # of the checkpoints that the tests make


@pytest.fixture
def recorded(make_checkpoint, drawn_pairs):
    """A checkpoint that holds its metrics, and the evaluation that they came from."""
    folder = make_checkpoint()
    evaluation = evaluate_checkpoints(
        [folder], str(drawn_pairs), "val", QUICK, baselines_from="train"
    )
    record_metrics(evaluation)
    return folder, evaluation


def test_what_was_recorded_is_what_the_table_shows(recorded):
    folder, evaluation = recorded
    record = read_metrics(folder, STEP)
    assert record is not None
    assert record.metrics == evaluation.summary.rows[0].images
    assert record.protocol == evaluation.protocol


def test_metrics_of_other_weights_are_none(recorded):
    assert read_metrics(recorded[0], STEP + 1) is None


def test_missing_or_damaged_metrics_are_none(recorded, tmp_path):
    assert read_metrics(tmp_path, STEP) is None
    (recorded[0] / METRICS_FILE).write_text("{")
    assert read_metrics(recorded[0], STEP) is None


def test_baselines_are_not_recorded(recorded, tmp_path, monkeypatch):
    evaluation = recorded[1]
    monkeypatch.chdir(tmp_path)
    record_metrics(replace(evaluation, scores=evaluation.scores[1:]))
    assert not list(tmp_path.glob(f"constant*/{METRICS_FILE}"))
