import shutil
from pathlib import Path

import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from pix2pix_ilm.checkpoints import (
    SHIPPED_MODELS,
    download_checkpoint,
    find_shipped,
    load_generator,
    resolve_checkpoint,
)
from pix2pix_ilm.errors import UserError
from pix2pix_ilm.serving.translator import Translator


@pytest.fixture
def hub(monkeypatch, make_checkpoint):
    """A hub with a repository me/model; gives its local copy and the names that were asked for."""
    copy, asked = make_checkpoint("copy"), []
    download_checkpoint.cache_clear()

    def download(name, *, revision, allow_patterns):
        asked.append((name, revision, tuple(allow_patterns)))
        if name != "me/model":
            raise LocalEntryNotFoundError("not to be found\nand more")
        return str(copy)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    return copy, asked


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """Work in a folder that is no clone of the project."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def test_a_repository_is_fetched_without_what_is_not_needed(hub):
    copy, asked = hub
    files = ("config.json", "model.safetensors", "metrics.json", "discriminator.safetensors")
    assert resolve_checkpoint("me/model", "v1") == copy
    assert resolve_checkpoint("me/model@v2") == copy
    assert resolve_checkpoint("me/model@refs/pr/1") == copy
    assert resolve_checkpoint("me/model") == copy
    revisions = ("v1", "v2", "refs/pr/1", None)
    assert asked == [("me/model", revision, files) for revision in revisions]
    assert Translator.load("me/model", "cpu").config.image_size == 32
    assert len(asked) == len(revisions)  # what was found is found again without the hub


@pytest.mark.usefixtures("elsewhere")
def test_a_model_of_the_package_is_found_from_any_folder():
    shipped = find_shipped()
    assert tuple(shipped) == SHIPPED_MODELS
    for name, folder in shipped.items():
        assert resolve_checkpoint(name) == folder
        assert load_generator(name)[1].data == "facades"


def test_ones_own_checkpoints_come_before_those_of_the_package(elsewhere, make_checkpoint):
    name = SHIPPED_MODELS[0]
    own = make_checkpoint()
    shutil.copytree(own, elsewhere / "checkpoints" / name)
    assert resolve_checkpoint(name) == Path("checkpoints") / name
    shutil.copytree(own, elsewhere / name)
    assert resolve_checkpoint(name) == Path(name)
    shutil.copytree(own, elsewhere / "checkpoints" / "mine")
    assert resolve_checkpoint("mine") == Path("checkpoints/mine")
    assert resolve_checkpoint("checkpoints/mine") == Path("checkpoints/mine")


def test_folders_are_not_looked_for_on_the_hub(hub, elsewhere):
    (elsewhere / "checkpoints" / "a").mkdir(parents=True)
    for name in ("checkpoints/misspelled", "name", "a/b/c", "/a", Path("me/model")):
        with pytest.raises(UserError, match="no such checkpoint; expected a folder with config"):
            resolve_checkpoint(name)
    for name in ("checkpoints/a", str(elsewhere)):
        with pytest.raises(UserError, match=r"not a checkpoint \(no config.json in it\)"):
            resolve_checkpoint(name)
    assert hub[1] == []


def test_what_is_nowhere_is_refused_in_one_line(hub):
    with pytest.raises(UserError, match=r"^me/other: no such folder, .* \(not to be found\)$"):
        resolve_checkpoint("me/other")
    assert len(hub[1]) == 1
