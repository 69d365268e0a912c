import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pix2pix_ilm.data import datasets
from pix2pix_ilm.data.datasets import data_folder
from pix2pix_ilm.data.pairs import find_pairs
from pix2pix_ilm.data.synthetic import dataset
from pix2pix_ilm.errors import UserError


@pytest.fixture
def store(tmp_path, monkeypatch):
    """A cache of its own, with few drawn pairs."""
    monkeypatch.setenv("PIX2PIX_ILM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(datasets, "SYNTHETIC_PAIRS", 10)
    return tmp_path / "cache"


@pytest.fixture
def drawings(monkeypatch):
    """The folders drawn so far."""
    drawn = []
    synthesize = datasets.synthesize

    def counted(folder, *args):
        drawn.append(folder)
        synthesize(folder, *args)

    monkeypatch.setattr(datasets, "synthesize", counted)
    return drawn


def error_of(*args):
    with pytest.raises(UserError) as caught:
        data_folder(*args)
    return str(caught.value)


def test_a_path_stands_for_itself(tmp_path):
    assert data_folder(str(tmp_path), 32) == tmp_path


def test_facades_lie_below_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    message = error_of("facades", 32)
    assert message.startswith("data/facades: no such folder")
    assert "pix2pix-ilm data download facades" in message
    (tmp_path / "data" / "facades").mkdir(parents=True)
    assert data_folder("facades", 32) == Path("data/facades")


@pytest.mark.parametrize("name", ["missing", "file", "file/below", "n" * 300])
def test_what_is_no_folder_is_refused(tmp_path, name):
    (tmp_path / "file").touch()
    message = error_of(str(tmp_path / name), 32)
    assert message.startswith(f"{tmp_path / name}: no such folder; expected a folder of image pa")
    assert "download" not in message  # which would fetch another data set
    assert "\n" not in message


def test_synthetic_pairs_are_drawn_once_at_the_size_asked_for(store, drawings):
    folder = data_folder("synthetic", 32)
    assert data_folder("synthetic", 32) == folder
    assert folder.parent == store
    assert len(drawings) == 1
    assert [len(find_pairs(folder, split)) for split in ("train", "val", "test")] == [8, 1, 1]
    assert find_pairs(folder, "train")[0].read()[0].shape == (32, 32, 3)
    larger = data_folder("synthetic", 64)
    assert larger != folder
    assert find_pairs(larger, "train")[0].read()[0].shape == (64, 64, 3)


def test_threads_that_start_at_once_draw_once(store, drawings):
    start = threading.Barrier(3)

    def work(_):
        start.wait()
        return data_folder("synthetic", 32)

    with ThreadPoolExecutor(3) as pool:
        folders = set(pool.map(work, range(3)))
    assert len(folders) == len(drawings) == 1
    assert folders.pop().parent == store


def test_an_interrupted_drawing_is_not_taken_for_a_whole_one(store, monkeypatch):
    write_pair = dataset.write_pair

    def stop_half_way(path, *arguments):
        if path.name == "5.png":
            raise KeyboardInterrupt
        write_pair(path, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(dataset, "write_pair", stop_half_way)
        with pytest.raises(KeyboardInterrupt):
            data_folder("synthetic", 32)
    assert len(find_pairs(data_folder("synthetic", 32), "train")) == 8
    assert not list(store.glob("*.tmp"))
    assert not list(store.glob(".*"))


def test_a_cache_that_cannot_be_written_is_one_error(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("PIX2PIX_ILM_CACHE", str(tmp_path / "file" / "cache"))
    message = error_of("synthetic", 32)
    assert message.startswith(f"{tmp_path / 'file' / 'cache'}: the cache cannot be written (")
