from pathlib import Path

import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from pix2pix_ilm.checkpoints import resolve_checkpoint
from pix2pix_ilm.errors import UserError
from pix2pix_ilm.serving.translator import Translator


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A hub with a repository me/model; gives the names that were asked for."""
    asked = []

    def download(name, *, revision, allow_patterns):
        asked.append((name, revision, tuple(allow_patterns)))
        if name != "me/model":
            raise LocalEntryNotFoundError("not to be found\nand more")
        return str(tmp_path / "checkpoint")

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    return asked


def test_a_repository_is_fetched_without_what_is_not_needed(hub, make_checkpoint):
    folder = make_checkpoint()
    assert resolve_checkpoint("me/model", "v1") == folder
    files = ("config.json", "model.safetensors", "metrics.json")
    assert hub == [("me/model", "v1", files)]
    assert Translator.load("me/model", "cpu").config.image_size == 32


def test_folders_are_not_looked_for_on_the_hub(hub, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "checkpoints" / "a").mkdir(parents=True)
    for name in ("checkpoints/a", "checkpoints/misspelled", "name", "a/b/c", "/a", str(tmp_path)):
        assert resolve_checkpoint(name) == Path(name)
    assert hub == []


def test_what_is_nowhere_is_refused_in_one_line(hub):
    with pytest.raises(UserError, match=r"^me/other: no such folder, .* \(not to be found\)$"):
        resolve_checkpoint("me/other")
    assert len(hub) == 1
