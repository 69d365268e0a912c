import os
import shutil
import subprocess
import sys
import threading
import time
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from pix2pix_ilm.data import Direction, cache
from pix2pix_ilm.data.cache import PairedImages, content_hash, default_cache, load_pairs
from pix2pix_ilm.data.images import resize
from pix2pix_ilm.data.pairs import Pair, find_pairs
from pix2pix_ilm.data.palette import FACADES_PALETTE, Palette
from pix2pix_ilm.errors import UserError

SIZE = 8
COUNT = 3


@pytest.fixture
def root(tmp_path, noise, save):
    """Side-by-side images, 12x20 and therefore resized."""
    for seed in range(COUNT):
        save(tmp_path / "data" / "train" / f"{seed}.png", noise(seed, 12, 20))
    return tmp_path / "data"


@pytest.fixture
def store(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def decodings(monkeypatch):
    """The pairs decoded so far."""
    decoded = []
    read = Pair.read

    def counted(pair, *args):
        decoded.append(pair.name)
        return read(pair, *args)

    monkeypatch.setattr(Pair, "read", counted)
    return decoded


def load(root, store, size=SIZE, direction: Direction = "AtoB", **channels):
    pairs = find_pairs(root, "train")
    return load_pairs(pairs, size, direction=direction, cache=store, **channels)


def entries(store):
    return sorted(path for path in store.iterdir() if path.is_dir())


def contents(folder):
    """Every file below the folder with its time of change."""
    return {
        path.relative_to(folder): (path.stat().st_mtime_ns, path.is_file() and path.read_bytes())
        for path in folder.rglob("*")
    }


def expected_halves(noise, size=SIZE):
    halves = [np.hsplit(noise(seed, 12, 20), 2) for seed in range(COUNT)]
    sides = zip(*halves, strict=True)
    return [np.stack([resize(np.ascontiguousarray(half), size) for half in side]) for side in sides]


def error_of(work, *args, **kwargs):
    with pytest.raises(UserError) as caught:
        work(*args, **kwargs)
    return str(caught.value)


def test_loaded_images_are_the_decoded_and_resized_ones(root, store, noise):
    images = load(root, store)
    a, b = expected_halves(noise)
    np.testing.assert_array_equal(images.label_map.numpy(), a)
    np.testing.assert_array_equal(images.photo.numpy(), b)
    assert images.label_map.dtype == torch.uint8
    assert images.names == ("0", "1", "2")
    assert len(images) == COUNT


def test_both_directions_share_one_entry_with_the_sides_exchanged(root, store, decodings):
    forward = load(root, store, direction="AtoB")
    backward = load(root, store, direction="BtoA")
    assert torch.equal(forward.label_map, backward.photo)
    assert torch.equal(forward.photo, backward.label_map)
    assert len(entries(store)) == 1
    assert len(decodings) == COUNT


@pytest.mark.parametrize("direction", ["AtoB", "BtoA"])
def test_channels_belong_to_label_and_photo_in_either_direction(root, store, direction):
    images = load(root, store, direction=direction, label_channels=1)
    assert images.label_map.shape == (COUNT, SIZE, SIZE, 1)
    assert images.photo.shape == (COUNT, SIZE, SIZE, 3)


def test_a_second_loading_decodes_nothing(root, store, decodings):
    first, second = load(root, store), load(root, store)
    assert sorted(decodings) == ["0", "1", "2"]
    assert torch.equal(first.label_map, second.label_map)
    assert first.digest == second.digest


def test_other_sizes_and_channels_make_other_entries_of_the_same_digest(root, store):
    images = [load(root, store), load(root, store, size=9), load(root, store, photo_channels=1)]
    assert len(entries(store)) == 3
    assert len({each.digest for each in images}) == 1


def test_what_an_older_version_decoded_is_decoded_again(root, store, decodings, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(cache, "FORMAT", 1)
        older = load(root, store)
    assert load(root, store).digest == older.digest
    assert len(decodings) == 2 * COUNT


def change_pixels(root, noise, save):
    save(root / "train" / "1.png", noise(9, 12, 20))


def rename_file(root, *_):
    (root / "train" / "1.png").rename(root / "train" / "1b.png")  # in the same place


def exchange_files(root, *_):
    first, second, aside = (root / "train" / name for name in ("1.png", "2.png", "aside"))
    first.rename(aside)
    second.rename(first)
    aside.rename(second)


def remove_file(root, *_):
    (root / "train" / "1.png").unlink()


@pytest.mark.parametrize("change", [change_pixels, rename_file, exchange_files, remove_file])
def test_changed_files_make_another_entry(root, store, noise, save, change):
    before = load(root, store)
    change(root, noise, save)
    after = load(root, store)
    assert after.digest != before.digest
    assert len(entries(store)) == 2
    fresh = load(root, store.with_name("fresh"))
    assert torch.equal(after.label_map, fresh.label_map)
    assert after.names == fresh.names


def test_files_rewritten_with_their_size_and_time_of_change_set_back_are_read_again(
    root, store, monkeypatch
):
    monkeypatch.setattr(cache, "SETTLED", -(10**18))  # no file was changed too lately to tell
    store.mkdir()
    pairs, path = find_pairs(root, "train"), root / "train" / "1.png"
    digest, before = content_hash(pairs, store), path.stat()
    assert [file.suffix for file in store.iterdir()] == [".digest"]
    while path.stat().st_ctime_ns == before.st_ctime_ns:
        path.write_bytes(bytes(before.st_size))
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert content_hash(pairs, store) != digest


def test_the_same_contents_elsewhere_share_the_entry(root, store, decodings):
    load(root, store)
    shutil.copytree(root, root.with_name("copy"))
    load(root.with_name("copy"), store)
    assert len(decodings) == COUNT


def truncate(entry):
    array = entry / "a.npy"
    array.write_bytes(array.read_bytes()[:-100])


def overwrite(entry):
    with (entry / "b.npy").open("r+b") as file:
        file.seek(200)
        file.write(b"\0" * 50)
    os.utime(entry / "b.npy")  # a file system's clock may tick only every few milliseconds


def remove_array(entry):
    (entry / "a.npy").unlink()


def empty_array(entry):
    (entry / "b.npy").write_bytes(b"")


def remove_description(entry):
    (entry / "entry.json").unlink()


def garble_description(entry):
    (entry / "entry.json").write_bytes(b'{"digest": \xff\xfe')


def empty_description(entry):
    (entry / "entry.json").write_text("null")


def describe_another(entry):
    text = (entry / "entry.json").read_text()
    (entry / "entry.json").write_text(text.replace('"digest": "', '"digest": "0'))


def empty_entry(entry):
    shutil.rmtree(entry)
    entry.mkdir()


def leave_half_an_entry(entry):
    """As a process that was killed while writing does."""
    entry.rename(entry.with_suffix(".tmp"))


@pytest.mark.parametrize(
    "damage",
    [
        truncate,
        overwrite,
        remove_array,
        empty_array,
        remove_description,
        garble_description,
        empty_description,
        describe_another,
        empty_entry,
        leave_half_an_entry,
    ],
)
def test_damaged_entries_are_made_again(root, store, noise, decodings, damage):
    load(root, store)
    (entry,) = entries(store)
    time.sleep(0.01)  # so that a rewritten file has another time than the one recorded
    damage(entry)
    images = load(root, store)
    a, b = expected_halves(noise)
    np.testing.assert_array_equal(images.label_map.numpy(), a)
    np.testing.assert_array_equal(images.photo.numpy(), b)
    assert len(decodings) == 2 * COUNT
    load(root, store)
    assert len(decodings) == 2 * COUNT
    assert entries(store) == [entry]


def test_images_can_be_written_to_without_changing_the_cache(root, store):
    images = load(root, store)
    kept = images.label_map.clone()
    images.label_map.zero_()
    assert torch.equal(load(root, store).label_map, kept)


MAPS = Path("/proc/self/maps")


@pytest.mark.skipif(not MAPS.exists(), reason="only Linux lists what is memory-mapped")
def test_images_are_memory_mapped(root, store):
    images = load(root, store)
    (entry,) = entries(store)
    assert all(str(entry / side) in MAPS.read_text() for side in ("a.npy", "b.npy"))
    assert len(images) == COUNT


def test_images_stay_memory_mapped_on_the_cpu(root, store):
    images = load(root, store)
    moved = images.to(torch.device("cpu"))
    assert isinstance(moved, PairedImages)
    assert moved.label_map.data_ptr() == images.label_map.data_ptr()
    assert (moved.names, moved.digest) == (images.names, images.digest)


def test_the_data_folder_is_never_written_to(root, store):
    before = contents(root)
    for path in (*root.rglob("*"), root):
        path.chmod(0o555 if path.is_dir() else 0o444)
    load(root, store)
    load(root, store, size=5)
    assert contents(root) == before
    for path in (root, *root.rglob("*")):
        path.chmod(0o755)


def test_the_cache_is_where_the_environment_says(root, store, monkeypatch):
    monkeypatch.setenv("PIX2PIX_ILM_CACHE", str(store))
    assert default_cache() == store
    load(root, None)
    assert len(entries(store)) == 1


@pytest.mark.parametrize("value", [None, ""])
def test_the_cache_is_otherwise_the_users(tmp_path, monkeypatch, value):
    monkeypatch.delenv("PIX2PIX_ILM_CACHE")
    if value is not None:
        monkeypatch.setenv("PIX2PIX_ILM_CACHE", value)
    monkeypatch.setattr(cache, "user_cache_path", lambda name: tmp_path / name)
    assert default_cache() == tmp_path / "pix2pix-ilm"


def test_bad_images_are_listed_all_at_once_and_leave_no_entry(root, store, noise, save):
    for number in range(12):
        (root / "train" / f"bad{number}.png").write_bytes(b"")
    save(root / "train" / "abc.png", noise(0, 8, 15))
    lines = error_of(load, root, store).splitlines()
    assert lines[0] == "these images cannot be used (13):"
    assert lines[1].endswith("abc.png: a side-by-side image must have an even width, found 15")
    assert lines[2].endswith("bad0.png: cannot be read (not an image, or of an unknown kind)")
    assert len(lines) == 12
    assert lines[-1] == "  ... and 3 more"
    assert entries(store) == []


def test_files_that_vanished_are_listed_all_at_once(root, store):
    pairs = find_pairs(root, "train")
    (root / "train" / "0.png").unlink()
    (root / "train" / "2.png").unlink()
    lines = error_of(load_pairs, pairs, SIZE, direction="AtoB", cache=store).splitlines()
    assert lines == [
        "these images cannot be used (2):",
        f"  {root}/train/0.png: cannot be read (No such file or directory)",
        f"  {root}/train/2.png: cannot be read (No such file or directory)",
    ]


def test_names_in_any_encoding_are_loaded(root, store):
    try:
        (root / "train" / "1.png").rename(os.fsdecode(os.fsencode(root) + b"/train/caf\xe9.png"))
    except OSError:
        pytest.skip("this file system accepts UTF-8 names only")
    assert len(load(root, store)) == COUNT


def test_a_cache_that_cannot_be_written_is_one_error(root, tmp_path):
    (tmp_path / "file").touch()
    message = error_of(load, root, tmp_path / "file" / "cache")
    assert message.startswith(f"{tmp_path / 'file' / 'cache'}: the cache cannot be written (")
    assert "\n" not in message


def test_a_full_disk_is_one_error_and_not_a_crash(root, store, monkeypatch):
    usage = namedtuple("usage", "free")
    needed = COUNT * SIZE * SIZE * 6
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda _: usage(needed - 1))
    assert error_of(load, root, store).startswith(f"{store}: the cache needs 0 MiB, found 0 MiB")
    assert entries(store) == []
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda _: usage(needed))
    assert len(load(root, store)) == COUNT


def test_threads_that_start_at_once_decode_once(root, store, decodings):
    start = threading.Barrier(4)

    def work(_):
        start.wait()
        return load(root, store)

    with ThreadPoolExecutor(4) as pool:
        loaded = list(pool.map(work, range(4)))
    assert len(decodings) == COUNT
    assert all(torch.equal(images.label_map, loaded[0].label_map) for images in loaded)


TWO_PROCESSES = """
import os, sys
from pathlib import Path
from pix2pix_ilm.data.cache import load_pairs
from pix2pix_ilm.data.pairs import find_pairs

root, store = map(Path, sys.argv[1:])
pairs = find_pairs(root, "train")
waiting, go = os.pipe()
children = []
for _ in range(2):
    children.append(os.fork())
    if not children[-1]:
        os.close(go)
        os.read(waiting, 1)
        images = load_pairs(pairs, 64, direction="AtoB", cache=store)
        (array,) = store.glob("*/a.npy")
        line = f"{images.label_map.sum()} {images.photo.sum()} {array.stat().st_ino}\\n"
        os.write(1, line.encode())
        os._exit(0)
os.close(go)
assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="two processes after one import need fork")
def test_processes_that_start_at_once_make_one_whole_entry(tmp_path, store, noise, save):
    pictures = [noise(seed, 64, 128) for seed in range(60)]
    for seed, pixels in enumerate(pictures):
        save(tmp_path / "data" / "train" / f"{seed}.png", pixels)
    output = subprocess.run(
        [sys.executable, "-c", TWO_PROCESSES, tmp_path / "data", store],
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    a, b = np.stack(pictures).sum(axis=(0, 1, 3)).reshape(2, 64).sum(axis=1)
    (array,) = store.glob("*/a.npy")
    assert output == f"{a} {b} {array.stat().st_ino}\n" * 2
    assert not list(store.glob("*.tmp"))


def test_without_a_home_the_way_out_is_named(monkeypatch):
    for name in ("PIX2PIX_ILM_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.path.expanduser", lambda path: path)  # as where no user is known
    with pytest.raises(UserError, match=r"needs a home folder.*HOME.*PIX2PIX_ILM_CACHE"):
        default_cache()


def test_a_home_that_cannot_be_written_is_named_with_the_way_out(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.delenv("PIX2PIX_ILM_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(UserError, match=r"file/pix2pix-ilm: the cache .*HOME.*PIX2PIX_ILM_CACHE"):
        load_pairs([], 32, direction="AtoB")


@pytest.fixture
def drawn(tmp_path, noise, save):
    """A folder with classes as colors, one with them as indices, and the indices; 12x10."""
    indices = np.random.default_rng(0).integers(0, 12, (COUNT, 12, 10, 1)).astype(np.uint8)
    for number, of in enumerate(indices):
        for root, label_map in (("rgb", FACADES_PALETTE.paint(of)), ("gray", of[..., 0])):
            save(tmp_path / root / "A" / "train" / f"{number}.png", label_map)
            save(tmp_path / root / "B" / "train" / f"{number}.png", noise(number, 12, 10))
    return tmp_path / "rgb", tmp_path / "gray", indices


@pytest.mark.parametrize("direction", ["AtoB", "BtoA"])
def test_classes_are_found_at_the_files_size_and_resized_by_the_nearest_pixel(
    drawn, store, direction
):
    rgb, gray, indices = drawn
    if direction == "BtoA":
        for root in (rgb, gray):
            for old, new in (("A", "C"), ("B", "A"), ("C", "B")):
                (root / old).rename(root / new)
    rows, columns = ((2 * np.arange(SIZE) + 1) * side // (2 * SIZE) for side in (12, 10))
    expected = indices[:, rows][:, :, columns]
    photos = load(rgb, store, direction=direction).photo
    for root in (rgb, gray):
        images = load(root, store, direction=direction, label_channels=FACADES_PALETTE)
        assert np.array_equal(images.label_map.numpy(), expected)
        assert torch.equal(images.photo, photos)
        assert images.palette == images.to(torch.device("cpu")).palette == FACADES_PALETTE
        assert np.array_equal(images.painted_label_map, FACADES_PALETTE.paint(expected))


def test_every_palette_has_entries_of_its_own_and_none_the_old_ones(drawn, store, decodings):
    rgb, _, _ = drawn
    other = Palette(classes=FACADES_PALETTE.classes[::-1])
    digest = load(rgb, store).digest
    assert [entry.name for entry in entries(store)] == [f"{digest[:32]}-{SIZE}-33-v2"]
    first = load(rgb, store, label_channels=FACADES_PALETTE)
    second = load(rgb, store, label_channels=other)
    assert torch.equal(second.label_map, 11 - first.label_map)
    assert len(entries(store)) == 3
    assert first.digest == second.digest == digest
    done = len(decodings)
    load(rgb, store, label_channels=other)
    assert len(decodings) == done


def test_index_maps_with_other_values_are_listed_all_at_once(drawn, store, save):
    _, gray, _ = drawn
    for number, value in ((0, 12), (2, 255)):
        save(gray / "A" / "train" / f"{number}.png", np.full((12, 10), value, np.uint8))
    lines = error_of(load, gray, store, label_channels=FACADES_PALETTE).splitlines()
    assert lines[0] == "these images cannot be used (2):"
    assert lines[1].startswith(f"  {gray}/A/train/0.png: expected indices of the 12 label classes")
    assert "0 to 11, in a single-channel label map, found 12;" in lines[1]
    assert "2.png" in lines[2]
    assert "found 255;" in lines[2]
    assert entries(store) == []
