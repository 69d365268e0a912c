"""Files are read once, and again as soon as they may have changed."""

import os
import shutil

import pytest

from pix2pix_ilm.data import cache
from pix2pix_ilm.data.cache import content_hash
from pix2pix_ilm.data.pairs import find_pairs


@pytest.fixture
def pairs(tmp_path, noise, save):
    for seed in range(3):
        save(tmp_path / "data" / "train" / f"{seed}.png", noise(seed, 8, 16))
    return find_pairs(tmp_path / "data", "train")


@pytest.fixture
def readings(monkeypatch):
    """The files read so far; what was written just now counts as settled."""
    read, read_bytes = [], cache.read_bytes

    def counted(path):
        read.append(path)
        return read_bytes(path)

    monkeypatch.setattr(cache, "read_bytes", counted)
    monkeypatch.setattr(cache, "SETTLED", 0)
    return read


def exchange_keeping_time(path):
    """Other contents of the same size under the old time of change, as some copiers leave."""
    stat = path.stat()
    path.write_bytes(bytes(reversed(path.read_bytes())))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def replace(path):
    """Another file of the same size and times under the old name."""
    stat, other = path.stat(), path.with_suffix(".other")
    other.write_bytes(bytes(reversed(path.read_bytes())))
    os.utime(other, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    other.replace(path)


def test_files_are_read_once(pairs, tmp_path, readings):
    first = content_hash(pairs, tmp_path)
    assert len(readings) == 3
    assert content_hash(pairs, tmp_path) == first
    assert len(readings) == 3
    assert content_hash(pairs[:2], tmp_path) != first
    assert len(readings) == 5


@pytest.mark.parametrize("change", [exchange_keeping_time, replace])
def test_changed_files_are_read_again(pairs, tmp_path, readings, change):
    before = content_hash(pairs, tmp_path)
    change(tmp_path / "data" / "train" / "1.png")
    assert content_hash(pairs, tmp_path) != before
    assert len(readings) == 6


@pytest.mark.usefixtures("readings")
def test_exchanged_names_are_noticed(pairs, tmp_path):
    before = content_hash(pairs, tmp_path)
    folder = tmp_path / "data" / "train"
    (folder / "1.png").rename(folder / "x")
    (folder / "2.png").rename(folder / "1.png")
    (folder / "x").rename(folder / "2.png")
    assert content_hash(pairs, tmp_path) != before


def test_copies_elsewhere_have_the_same_digest(pairs, tmp_path, readings):
    shutil.copytree(tmp_path / "data", tmp_path / "copy")
    copies = find_pairs(tmp_path / "copy", "train")
    assert content_hash(copies, tmp_path) == content_hash(pairs, tmp_path)
    assert len(readings) == 6


def test_files_changed_just_now_are_not_remembered(pairs, tmp_path, readings, monkeypatch):
    monkeypatch.setattr(cache, "SETTLED", 10**12)
    assert content_hash(pairs, tmp_path) == content_hash(pairs, tmp_path)
    assert len(readings) == 6
    assert not list(tmp_path.glob("*.digest"))
