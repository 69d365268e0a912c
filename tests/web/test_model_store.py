import json
import os
import shutil

import pytest

from pix2pix_ilm.checkpoints import WEIGHTS
from pix2pix_ilm.data.palette import FACADES_PALETTE
from pix2pix_ilm.errors import UserError
from pix2pix_ilm.evaluation.record import METRICS_FILE, RecordedMetrics
from pix2pix_ilm.evaluation.statistics import Interval
from pix2pix_ilm.files import write_json
from pix2pix_ilm.web import model_store
from pix2pix_ilm.web.model_store import ModelStore


@pytest.fixture
def folder(make_checkpoint, tmp_path):
    """Make a folder of checkpoints of different ages."""
    for age, name in enumerate(("old", "new")):
        checkpoint = make_checkpoint(name)
        for file in checkpoint.iterdir():
            os.utime(file, (age, age))
    return tmp_path


def test_while_there_is_no_other_model_those_of_the_package_are_there(folder, tmp_path):
    of_package = [folder / "old"]
    store = ModelStore(tmp_path / "later", otherwise=of_package)
    assert list(store.catalog.models) == ["old"]
    shutil.copytree(folder / "new", tmp_path / "later" / "mine")
    assert list(store.scan().models) == ["mine"]
    (tmp_path / "later" / "mine" / "config.json").write_text("{")
    assert (list(store.scan().models), list(store.catalog.broken)) == (["old"], ["mine"])


def test_without_models_the_store_is_empty_and_says_so(tmp_path):
    for folder in (tmp_path, tmp_path / "missing"):
        store = ModelStore(folder)
        assert store.catalog.models == {}
        with pytest.raises(UserError, match="no trained model"):
            store.get(None)


def test_the_newest_model_comes_first(folder):
    assert list(ModelStore(folder).catalog.models) == ["new", "old"]


def test_the_shipped_model_comes_before_newer_ones(folder):
    (folder / "old").rename(folder / "facades-ilm")
    assert list(ModelStore(folder).catalog.models) == ["facades-ilm", "new"]


def test_a_chosen_model_comes_first_and_once(folder):
    store = ModelStore(folder, [str(folder / "old")])
    assert list(store.catalog.models) == ["old", "new"]
    assert store.get(None).name == "old"


def test_chosen_folders_of_one_name_are_both_there(folder):
    for name in ("old", "new"):
        shutil.copytree(folder / name, folder / f"{name}-run" / "best")
    chosen = [str(folder / run / "best") for run in ("old-run", "new-run")]
    names = list(ModelStore(folder, chosen).catalog.models)
    assert names[:2] == ["old-run-best", "new-run-best"]
    assert len(names) == 4

    for name in ("mine", "yours"):
        shutil.copytree(folder / "old-run", folder / name / "run")
    chosen = [str(folder / place / "best") for place in ("mine/run", "yours/run", "old-run")]
    names = list(ModelStore(folder, [*chosen, chosen[0]]).catalog.models)
    assert names[:3] == ["mine-run-best", "yours-run-best", "old-run-best"]
    assert len(names) == 5


def test_a_chosen_folder_that_is_no_checkpoint_is_refused(tmp_path):
    with pytest.raises(UserError, match="not a checkpoint"):
        ModelStore(tmp_path, [str(tmp_path)])


def test_other_folders_are_left_out(folder):
    (folder / "empty").mkdir()
    (folder / "gone").mkdir()
    (folder / "gone" / "config.json").symlink_to(folder / "nowhere")
    assert list(ModelStore(folder).catalog.models) == ["new", "old"]


@pytest.mark.parametrize(
    ("field", "value"),
    [("image_size", "wide"), ("image_size", None), ("generator", {"ngf": "many"}), ("step", [])],
)
def test_a_broken_model_is_told_apart_and_answers_in_one_sentence(folder, field, value):
    file = folder / "new" / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {field: value}))
    store = ModelStore(folder)
    catalog = store.catalog
    assert list(catalog.models) == ["old"]
    assert list(catalog.broken) == ["new"]
    assert catalog.broken["new"].startswith(f"{file}: ")
    assert store.get(None).name == "old"
    with pytest.raises(UserError, match=r"^The model 'new' is broken; choose another one\.$"):
        store.get("new")


@pytest.mark.parametrize("error", [ValueError, OverflowError, UserError])
def test_nothing_that_goes_wrong_with_one_model_hides_the_others(folder, monkeypatch, error):
    read = model_store.read_model_config

    def fail(checkpoint):
        if checkpoint.name == "new":
            raise error("odd")
        return read(checkpoint)

    monkeypatch.setattr(model_store, "read_model_config", fail)
    catalog = ModelStore(folder).catalog
    assert (list(catalog.models), catalog.broken) == (["old"], {"new": "odd"})


def test_only_broken_models_are_no_model(folder):
    for name in ("new", "old"):
        (folder / name / "config.json").write_text("{")
    with pytest.raises(UserError, match="no trained model"):
        ModelStore(folder).get(None)


def test_a_model_that_was_trained_meanwhile_is_there(folder, make_checkpoint):
    store = ModelStore(folder)
    make_checkpoint("later")
    assert next(iter(store.scan().models)) == "later"


def test_title_and_summary_tell_norms_data_and_metrics(folder):
    value = Interval(mean=61.25, low=60.0, high=62.5)
    record = RecordedMetrics(
        protocol={"split": "test"}, step=7, metrics={"rmse_rgb": value, "lpips": value}
    )
    write_json(folder / "new" / METRICS_FILE, record)
    models = ModelStore(folder).catalog.models.values()
    assert {model.title for model in models} == {"new: ILM+IN / IN", "old: ILM+IN / IN"}
    assert {model.name: model.summary for model in models} == {
        "new": "ILM+IN / IN, trained on facades at 32x32, RMSE (RGB) 61.2, LPIPS 61.250",
        "old": "ILM+IN / IN, trained on facades at 32x32",
    }


def test_the_summary_does_not_tell_where_the_data_lie(make_checkpoint, tmp_path):
    make_checkpoint("private", data="/home/alice/pairs")
    summary = ModelStore(tmp_path).get("private").summary
    assert summary == "ILM+IN / IN, trained on pairs at 32x32"


def test_metrics_of_other_weights_are_not_shown(folder):
    record = RecordedMetrics(
        protocol={}, step=6, metrics={"rmse_rgb": Interval(mean=1.0, low=1.0, high=1.0)}
    )
    write_json(folder / "new" / METRICS_FILE, record)
    assert "RMSE" not in ModelStore(folder).get("new").summary


def test_an_unknown_name_is_refused_with_those_that_there_are(folder):
    with pytest.raises(UserError, match="no model 'other'; choose one of new, old"):
        ModelStore(folder).get("other")


def test_little_of_a_long_name_is_repeated(folder):
    with pytest.raises(UserError) as refusal:
        ModelStore(folder).get("x" * 1000)
    assert len(str(refusal.value)) < 150


def test_a_model_is_loaded_once_and_again_when_it_was_trained_on(folder):
    store = ModelStore(folder)
    first = store.load(store.get("new"))
    assert store.load(store.get("new")) is first
    os.utime(folder / "new" / WEIGHTS, (9, 9))
    assert store.load(store.get("new")) is not first


def test_a_model_that_cannot_be_loaded_is_named_without_its_folder(folder):
    store = ModelStore(folder)
    model = store.get("new")
    (model.folder / WEIGHTS).write_bytes(b"nonsense")
    with pytest.raises(UserError, match=r"^The model 'new' cannot be loaded; choose another one"):
        store.load(model)
    shutil.rmtree(model.folder)
    with pytest.raises(UserError, match=r"^The model 'new' cannot be loaded; choose another one"):
        store.load(model)


@pytest.mark.parametrize("error", [ValueError, OverflowError, OSError])
def test_a_model_that_fails_in_an_odd_way_answers_in_one_sentence(folder, monkeypatch, error):
    def fail(*_):
        raise error("odd")

    monkeypatch.setattr(model_store, "load_translator", fail)
    store = ModelStore(folder)
    with pytest.raises(UserError, match=r"^The model 'new' cannot be loaded; choose another one"):
        store.load(store.get("new"))


def test_a_chosen_model_hides_none_of_its_name(folder, tmp_path):
    shutil.copytree(folder / "old", tmp_path / "elsewhere" / "old")
    store = ModelStore(folder, [str(tmp_path / "elsewhere" / "old")])
    assert list(store.catalog.models) == ["old", "new", f"{folder.name}-old"]
    assert store.get("old").folder != store.get(f"{folder.name}-old").folder


def test_label_maps_are_painted_only_for_models_that_read_them(make_checkpoint, tmp_path):
    for name, direction in (("to-photo", "BtoA"), ("to-labels", "AtoB")):
        make_checkpoint(name, data="facades", direction=direction)
    models = ModelStore(tmp_path).catalog.models
    assert models["to-photo"].painted_classes == FACADES_PALETTE
    assert models["to-labels"].painted_classes is None
