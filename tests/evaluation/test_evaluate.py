from dataclasses import replace

import numpy as np
import pytest

from pix2pix_ilm.checkpoints import MODEL_CONFIG, read_model_config
from pix2pix_ilm.data.palette import FACADES_PALETTE, Palette
from pix2pix_ilm.errors import UserError
from pix2pix_ilm.evaluation.evaluate import (
    evaluate_checkpoints,
    evaluate_folders,
    fitted_and_evaluated,
    make_scorer,
)
from pix2pix_ilm.evaluation.scores import Sampling, Scorer, table_metrics
from pix2pix_ilm.evaluation.tables import best_row
from pix2pix_ilm.files import write_json
from pix2pix_ilm.models.generator import GeneratorConfig
from pix2pix_ilm.models.norms import NormOptions

QUICK = Scorer(columns=[m for m in table_metrics() if m.name in ("rmse", "rmse_rgb")])


def test_checkpoints_are_compared_on_the_same_images(make_checkpoint, drawn_pairs):
    folders = [make_checkpoint("a", norm="in"), make_checkpoint("b", norm="ilm-in")]
    evaluation = evaluate_checkpoints(folders, str(drawn_pairs), "train[:6]", QUICK)
    rows = [row.configuration for row in evaluation.summary.rows]
    assert rows == ["IN / IN", "ILM+IN / IN"]
    assert [c.metric for c in evaluation.summary.comparisons] == ["rmse_rgb", "rmse"]
    assert evaluation.scores[0].images == ("1", "2", "3", "4", "5", "6")
    assert len(evaluation.label_maps) == len(evaluation.targets) == 6
    assert list(evaluation.outputs) == [str(folder) for folder in folders]
    assert evaluation.protocol["images"] == 6


def test_titles_name_the_checkpoints_and_do_not_choose_among_them(make_checkpoint, drawn_pairs):
    folders = [make_checkpoint("a"), make_checkpoint("b")]
    titles = {folders[1]: "second", folders[0]: "first", "c": "not asked for"}
    rows = evaluate_checkpoints(folders, str(drawn_pairs), "val", QUICK, titles=titles).summary.rows
    assert [row.configuration for row in rows] == ["first", "second"]


def test_seeds_of_one_configuration_share_a_row(make_checkpoint, drawn_pairs):
    folders = [make_checkpoint(name, seed=seed) for seed, name in enumerate("ab")]
    [row] = evaluate_checkpoints(folders, str(drawn_pairs), "val", QUICK).summary.rows
    assert row.models == tuple(map(str, folders))
    assert row.seeds["rmse"].mean == pytest.approx(row.images["rmse"].mean)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"generator": GeneratorConfig(ngf=8, depth=5)}, ("ngf 4", "ngf 8")),
        ({"generator": GeneratorConfig(ngf=4, depth=4)}, ("depth 5", "depth 4")),
        (
            {"generator": GeneratorConfig(ngf=4, norm_options=NormOptions(affine=False))},
            ("affine True", "affine False"),
        ),
        ({"data": "elsewhere/photos"}, ("data facades", "data photos")),
    ],
    ids=["width", "depth", "norm options", "data"],
)
def test_other_architectures_and_data_are_no_seeds(make_checkpoint, drawn_pairs, change, told):
    """Two seeds of one configuration, and one of another with the same norms."""
    same = [make_checkpoint(name, norm="in", seed=seed) for seed, name in enumerate("ab")]
    other = make_checkpoint("c", norm="in", seed=2, **change)
    evaluation = evaluate_checkpoints([*same, other], str(drawn_pairs), "val", QUICK)
    first, second = evaluation.summary.rows
    assert [first.configuration, second.configuration] == [f"IN / IN, {what}" for what in told]
    assert (first.models, second.models) == (tuple(map(str, same)), (str(other),))
    assert evaluation.summary.comparisons


def test_trainings_of_other_recipes_are_no_seeds_of_one_configuration(make_checkpoint, drawn_pairs):
    first = make_checkpoint("a", norm="in", seed=0)
    other = make_checkpoint("b", norm="in", seed=1, l1_weight=7.0, zoom=0.5)
    unknown = make_checkpoint("c", norm="in", seed=2)  # as an earlier version wrote it
    write_json(unknown / MODEL_CONFIG, replace(read_model_config(unknown), recipe=None))
    evaluation = evaluate_checkpoints([first, other, unknown], str(drawn_pairs), "val", QUICK)
    rows = [row.configuration for row in evaluation.summary.rows]
    assert rows == [
        "IN / IN, zoom 0.0, l1 weight 100.0",
        "IN / IN, zoom 0.5, l1 weight 7.0",
        "IN / IN",
    ]


def test_where_data_lie_does_not_tell_configurations_apart(make_checkpoint, drawn_pairs):
    folders = [
        make_checkpoint(name, seed=seed, data=f"{name}/facades") for seed, name in enumerate("ab")
    ]
    [row] = evaluate_checkpoints(folders, str(drawn_pairs), "val", QUICK).summary.rows
    assert row.configuration == "ILM+IN / IN"


def test_checkpoints_of_gray_and_color_photos_are_refused(make_checkpoint, drawn_pairs):
    folders = [make_checkpoint("a"), make_checkpoint("b", out_channels=1)]
    message = (
        f"^{folders[1]}: its number of photo channels is 1, that of {folders[0]} is 3; "
        "evaluate them apart$"
    )
    with pytest.raises(UserError, match=message):
        evaluate_checkpoints(folders, str(drawn_pairs), "val", QUICK)


def test_images_too_small_for_a_metric_are_refused(make_checkpoint, drawn_pairs):
    folder = make_checkpoint(generator=GeneratorConfig(ngf=4, depth=3))
    model_config = read_model_config(folder)
    write_json(folder / MODEL_CONFIG, replace(model_config, image_size=16))
    message = rf"^{folder}: LPIPS \(alex\) needs images of at least 31x31 pixels, found 16x16$"
    with pytest.raises(UserError, match=message):
        evaluate_checkpoints([folder], str(drawn_pairs), "val", Scorer(columns=table_metrics()))


def test_the_baselines_are_fitted_on_the_training_split(make_checkpoint, drawn_pairs):
    folder = make_checkpoint()
    evaluation = evaluate_checkpoints(
        [folder], str(drawn_pairs), "test", QUICK, baselines_from="train"
    )
    _, constant, per_class = evaluation.summary.rows
    assert (constant.configuration, per_class.configuration) == (
        "constant color",
        "per-class color",
    )
    assert per_class.images["rmse"].mean < constant.images["rmse"].mean
    assert evaluation.summary.comparisons == []  # with the one model: they are none
    assert best_row(evaluation.summary, QUICK.columns[0]) is None
    assert np.ptp(evaluation.outputs["constant color"][0], axis=(0, 1)).max() == 0


def test_the_same_inputs_give_the_same_evaluation(make_checkpoint, drawn_pairs):
    folder = make_checkpoint()
    first, second = (
        evaluate_checkpoints([folder], str(drawn_pairs), "val", QUICK) for _ in range(2)
    )
    assert first.scores == second.scores
    assert first.summary == second.summary


@pytest.mark.parametrize("setting", [{"image_size": 64}, {"direction": "AtoB"}])
def test_checkpoints_that_do_not_fit_one_another_are_refused(make_checkpoint, drawn_pairs, setting):
    folders = [make_checkpoint("a"), make_checkpoint("b", **setting)]
    with pytest.raises(UserError, match=r"b: its (image size|direction) is .*evaluate them apart"):
        evaluate_checkpoints(folders, str(drawn_pairs), "val", QUICK)


@pytest.mark.parametrize(
    ("data", "split", "message"),
    [
        ("nowhere", "val", "nowhere: no such folder"),
        (None, "holdout", "no split 'holdout'"),
        (None, "train[99:]", "is empty"),
        (None, "paper", r"train\[200:400\].* is empty"),
        (None, "train[:1]", "has 1 pair; expected at least 2, since intervals are over images"),
    ],
)
def test_missing_data_is_named(make_checkpoint, drawn_pairs, data, split, message):
    with pytest.raises(UserError, match=message):
        evaluate_checkpoints([make_checkpoint()], data or str(drawn_pairs), split, QUICK)


def test_the_papers_split_stands_for_its_two_halves():
    assert fitted_and_evaluated("paper") == ("train[:200]", "train[200:400]")
    assert fitted_and_evaluated("val") == ("train", "val")


def test_what_is_no_checkpoint_is_named(drawn_pairs):
    with pytest.raises(UserError, match="not a checkpoint"):
        evaluate_checkpoints([drawn_pairs], str(drawn_pairs), "val", QUICK)


def test_a_checkpoint_is_recognized_under_another_spelling(make_checkpoint, drawn_pairs, tmp_path):
    checkpoint = make_checkpoint()
    (tmp_path / "link").symlink_to(checkpoint)
    with pytest.raises(UserError, match="a checkpoint was given twice"):
        evaluate_checkpoints([checkpoint, tmp_path / "link"], str(drawn_pairs), "val", QUICK)


def test_what_baselines_are_fitted_on_is_looked_for_before_models_are_scored(
    make_checkpoint, drawn_pairs, monkeypatch
):
    monkeypatch.setattr(Scorer, "checkpoint", pytest.fail)
    with pytest.raises(UserError, match="no split 'nowhere'"):
        evaluate_checkpoints(
            [make_checkpoint()], str(drawn_pairs), "val", QUICK, baselines_from="nowhere"
        )


def test_folders_have_no_label_maps(drawn_pairs):
    folder = drawn_pairs / "val"
    evaluation = evaluate_folders(folder, folder, QUICK)
    assert evaluation.label_maps == []
    assert evaluation.summary.rows[0].images["rmse"].mean == 0


def test_a_scorer_uses_the_device_that_is_asked_for():
    scorer = make_scorer(Sampling(), "alex", "cpu", 4)
    assert (scorer.device.type, scorer.batch_size) == ("cpu", 4)


def test_models_of_classes_of_color_and_of_gray_are_compared_each_with_its_label_maps(
    make_checkpoint, drawn_pairs
):
    kinds = {
        "color": {},
        "gray": {"in_channels": 1},
        "classes": {"label_classes": FACADES_PALETTE},
        "other": {"label_classes": Palette(classes=FACADES_PALETTE.classes[::-1])},
    }
    folders = [make_checkpoint(name, norm="in", **kind) for name, kind in kinds.items()]
    evaluation = evaluate_checkpoints(
        folders, str(drawn_pairs), "val", QUICK, baselines_from="train"
    )
    titles = [row.configuration for row in evaluation.summary.rows]
    other = kinds["other"]["label_classes"].title
    assert titles[:4] == [
        f"IN / IN, label maps {kind}" for kind in ("color", "gray", "facades", other)
    ]
    assert titles[4:] == ["constant color", "per-class color"]
    for folder in folders:
        alone = evaluate_checkpoints([folder], str(drawn_pairs), "val", QUICK)
        assert np.array_equal(alone.outputs[str(folder)], evaluation.outputs[str(folder)])
        if folder != folders[1]:  # gray
            assert np.array_equal(alone.label_maps, evaluation.label_maps)  # in their colors


def test_each_class_of_a_palette_has_its_baseline(make_checkpoint, drawn_pairs):
    known = make_checkpoint("facades", label_classes=FACADES_PALETTE)
    colored = make_checkpoint("colored")
    by_palette, by_color = (
        evaluate_checkpoints([folder], str(drawn_pairs), "val", QUICK, baselines_from="train")
        for folder in (known, colored)
    )
    name = "per-class color"
    assert np.array_equal(by_palette.outputs[name], by_color.outputs[name])
