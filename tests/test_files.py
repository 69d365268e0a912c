import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from pix2pix_ilm.errors import LockedError, UserError
from pix2pix_ilm.files import (
    filling_folder,
    is_folder,
    making_folder,
    read_bytes,
    read_json,
    take_lock,
    write_atomically,
    write_json,
)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("before", [None, b"an older and longer text"])
def test_exactly_the_written_bytes_are_left(tmp_path, before):
    target = tmp_path / "file.bin"
    if before is not None:
        target.write_bytes(before)
    write_atomically(target, lambda file: file.write(b"new"))
    assert target.read_bytes() == b"new"
    assert names(tmp_path) == ["file.bin"]


def test_a_reader_meets_the_old_contents_until_the_new_ones_are_whole(tmp_path):
    target = tmp_path / "file.bin"
    target.write_bytes(b"old")

    def write(file):
        file.write(b"half")
        file.flush()
        assert target.read_bytes() == b"old"
        file.write(b" and half")

    write_atomically(target, write)
    assert target.read_bytes() == b"half and half"


def test_the_bytes_are_on_the_disk_before_the_name_changes(tmp_path, monkeypatch):
    target = tmp_path / "file.bin"
    synced = []

    def fsync(descriptor):
        synced.append((os.fstat(descriptor).st_size, target.exists()))

    monkeypatch.setattr(os, "fsync", fsync)
    write_atomically(target, lambda file: file.write(b"12345"))
    assert synced == [(5, False)]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(28, "No space left on device"), "No space left on device"),
        (RuntimeError("unexpected pos 64 vs 0"), "unexpected pos 64 vs 0"),
    ],
)
def test_a_failed_write_keeps_what_was_there(tmp_path, error, reason):
    target = tmp_path / "file.bin"
    target.write_bytes(b"old")

    def fail(file):
        file.write(b"half")
        raise error

    with pytest.raises(UserError, match=reason) as caught:
        write_atomically(target, fail)
    assert str(target) in str(caught.value)
    assert target.read_bytes() == b"old"
    assert names(tmp_path) == ["file.bin"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_other_exceptions_pass_and_leave_nothing_behind(tmp_path, error):
    def stop(file):
        file.write(b"half")
        raise error

    with pytest.raises(error):
        write_atomically(tmp_path / "file.bin", stop)
    assert names(tmp_path) == []


def test_a_missing_folder_and_a_folder_in_the_way_are_reported(tmp_path):
    (tmp_path / "folder" / "inside").mkdir(parents=True)
    for target, problem in (("missing/file.bin", "cannot be written"), ("folder", "is a folder")):
        with pytest.raises(UserError, match=f"{tmp_path / target}: {problem}"):
            write_atomically(tmp_path / target, lambda file: file.write(b"new"))
    assert names(tmp_path) == ["folder"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pipes in folders")
def test_a_pipe_is_not_replaced_by_a_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match="pipe: is a device or a pipe; expected a file to write"):
        write_atomically(tmp_path / "pipe", lambda file: file.write(b"new"))
    assert (tmp_path / "pipe").is_fifo()
    assert names(tmp_path) == ["pipe"]


@pytest.mark.parametrize("target", ["folder/file", "nowhere", "link"])
def test_a_link_is_replaced_and_what_it_names_stays(tmp_path, target):
    """It may be shared, as the files of a cache are."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_bytes(b"old")
    (tmp_path / "link").symlink_to(target)
    write_atomically(tmp_path / "link", lambda file: file.write(b"new"))
    assert (tmp_path / "link").read_bytes() == b"new"
    assert (tmp_path / "folder" / "file").read_bytes() == b"old"
    assert names(tmp_path) == ["folder", "link"]


@dataclass(frozen=True)
class Note:
    """Something to write as JSON."""

    name: str


def test_names_of_every_script_are_read_as_they_were_written(tmp_path):
    note = Note("straße \N{HOUSE BUILDING} 屋.png")
    write_json(tmp_path / "note.json", note)
    assert read_json(tmp_path / "note.json", Note) == note
    assert note.name in (tmp_path / "note.json").read_text("utf-8")


def test_what_could_not_be_read_again_is_not_written(tmp_path):
    with pytest.raises(UserError, match=r"written, as it would name '.*caf\\udce9") as said:
        write_json(tmp_path / "note.json", Note(os.fsdecode(b"caf\xe9.png")))
    assert str(said.value).isascii()
    assert names(tmp_path) == []


@pytest.mark.parametrize("folder", [".", "/"])
def test_a_folder_without_a_name_of_its_own_is_no_file(folder):
    with pytest.raises(UserError, match=f"^{folder}: is a folder; expected a file to write"):
        write_atomically(Path(folder), lambda file: file.write(b"new"))


def test_folders_that_were_made_for_nothing_go_again(tmp_path):
    (tmp_path / "mine").mkdir()
    folder = tmp_path / "mine" / "a" / "b"

    def fail_after(work) -> None:
        with making_folder(folder):
            work()
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fail_after(lambda: names(folder))
    assert names(tmp_path / "mine") == []
    with pytest.raises(ValueError, match="no"):
        fail_after((tmp_path / "mine" / "a" / "kept").touch)
    assert names(tmp_path / "mine" / "a") == ["kept"]
    with (
        pytest.raises(UserError, match="cannot be made"),
        making_folder(tmp_path / "x" / ("n" * 300)),
    ):
        pass
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("name", ["a" * 247 + ".png", "\u65e5" * 81 + ".png", "x" * 254 + "y"])
def test_the_temporary_name_fits_where_the_final_one_does(tmp_path, name):
    write_atomically(tmp_path / name, lambda file: file.write(b"new"))
    assert names(tmp_path) == [name]
    with filling_folder(tmp_path / name[::-1]) as folder:
        (folder / "file").touch()
    assert len(names(tmp_path)) == 2


def test_a_folder_is_there_when_it_is_whole(tmp_path):
    with filling_folder(tmp_path / "new") as folder:
        (folder / "file").touch()
        assert not (tmp_path / "new").exists()
    assert names(tmp_path / "new") == ["file"]
    assert names(tmp_path) == ["new"]
    (tmp_path / "like-others").mkdir()
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "like-others").stat().st_mode


def test_a_folder_that_fails_to_be_filled_is_as_it_was(tmp_path):
    (tmp_path / "empty").mkdir()
    for name in ("empty", "new"):
        with pytest.raises(FileNotFoundError), filling_folder(tmp_path / name) as folder:
            (folder / "file").rename(folder / "missing" / "file")
    assert names(tmp_path) == ["empty"]
    assert names(tmp_path / "empty") == []


def test_an_empty_folder_or_a_link_to_one_is_filled_and_others_are_left_alone(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "empty")
    with filling_folder(tmp_path / "link") as folder:
        (folder / "file").touch()
    assert names(tmp_path / "empty") == ["file"]
    for taken in (tmp_path / "empty", tmp_path / "empty" / "file"):
        with pytest.raises(UserError, match="is not empty"), filling_folder(taken):
            pytest.fail("there is something")


def test_a_lock_is_held_until_its_context_ends(tmp_path):
    with take_lock(tmp_path / "lock"), pytest.raises(LockedError):
        take_lock(tmp_path / "lock")
    with take_lock(tmp_path / "lock"):
        pass


def test_a_lock_is_freed_when_its_process_is_killed(tmp_path):
    program = (
        "import sys\nfrom pathlib import Path\nfrom pix2pix_ilm.files import take_lock\n"
        "lock = take_lock(Path(sys.argv[1]))\nprint('held', flush=True)\nsys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(LockedError):
            take_lock(tmp_path / "lock")
        process.kill()
    with take_lock(tmp_path / "lock"):
        pass


def test_only_folders_that_can_be_seen_are_folders(tmp_path):
    (tmp_path / "file").touch()
    assert is_folder(tmp_path)
    for other in ("file", "missing", "file/below", "n" * 300):
        assert not is_folder(tmp_path / other)


def test_a_folder_behind_a_locked_door_is_none(tmp_path, monkeypatch):
    def refuse(*_args, **_kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "stat", refuse)
    monkeypatch.setattr(os.path, "isdir", lambda _: False)  # what Path.is_dir asks in Python 3.14
    assert not is_folder(tmp_path)


def test_contents_are_read_or_the_file_is_named(tmp_path):
    (tmp_path / "file").write_bytes(b"contents")
    assert read_bytes(tmp_path / "file") == b"contents"
    with pytest.raises(UserError, match=r"missing: cannot be read \(No such file or directory\)"):
        read_bytes(tmp_path / "missing")
