import errno
import hashlib
import io
import os
import re
import shutil
import subprocess
import tarfile
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from PIL import Image

from pix2pix_ilm.data import downloads
from pix2pix_ilm.data.downloads import KNOWN, alone_at, download, fetch, manifest
from pix2pix_ilm.errors import UserError
from pix2pix_ilm.files import take_lock

EMPTY_SUM = hashlib.sha256().hexdigest()


class Server(HTTPServer):
    """Offers ``contents`` at every path; notes the Range header of every request."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.contents = b""
        self.ranges = []
        self.knows_ranges = True
        self.cut_after = None
        self.status = None
        self.tells_length = True

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/facades.tar.gz"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        assert isinstance(server, Server)
        asked = self.headers["Range"]
        server.ranges.append(asked)
        contents, start = server.contents, 0
        if server.status:
            return self.send_error(server.status)
        if server.knows_ranges and asked:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            if start >= len(contents):
                return self.send_error(416)
        self.send_response(206 if start else 200)
        if server.tells_length:
            self.send_header("Content-Length", str(len(contents) - start))
        self.end_headers()
        self.wfile.write(contents[start : server.cut_after])
        return None

    def log_message(self, format, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    for name in ("http_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(downloads, "CHUNK", 1000)
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def images(monkeypatch):
    """Contents of a small data set, whose manifest stands for the real one."""
    rng = np.random.default_rng(0)
    images = {f"{split}/{i}.jpg": rng.bytes(3000) for split in ("train", "val") for i in (1, 2, 10)}
    sums = sorted((f"./{name}", hashlib.sha256(data).hexdigest()) for name, data in images.items())
    lines = "".join(f"{digest}  {name}\n" for name, digest in sums)
    known = replace(KNOWN["facades"], manifest=hashlib.sha256(lines.encode()).hexdigest())
    monkeypatch.setitem(KNOWN, "facades", known)
    return images


def pack(files, *others, mode: Literal["w:gz", "w:"] = "w:gz"):
    """An archive of the files below facades/, and of whole members."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as tar:
        for name, data in files.items():
            tar.addfile(*member(f"facades/{name}", data))
        for other in others:
            tar.addfile(*other)
    return buffer.getvalue()


def member(name, data=b"", **fields):
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, io.BytesIO(data)


def files_in(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def error_of(work, *args, **kwargs):
    with pytest.raises(UserError) as caught:
        work(*args, **kwargs)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_data_set_is_downloaded_unpacked_and_nothing_else_is_left(tmp_path, server, images):
    server.contents = pack(images)
    download("facades", tmp_path / "data" / "facades", server.url)
    assert files_in(tmp_path / "data" / "facades") == images
    assert os.listdir(tmp_path / "data") == ["facades"]  # noqa: PTH208
    assert len(server.ranges) == 1


def test_a_progress_bar_is_shown(tmp_path, server, images, capsys):
    server.contents = pack(images)
    download("facades", tmp_path / "facades", server.url)
    assert "Downloading facades.tar.gz" in capsys.readouterr().out


def test_an_interrupted_download_goes_on_where_it_stopped(tmp_path, server, images):
    server.contents = pack(images)
    server.cut_after = 7500
    part = tmp_path / "facades.tar.gz.part"
    assert server.url in error_of(download, "facades", tmp_path / "facades", server.url)
    assert not (tmp_path / "facades").exists()
    done = part.stat().st_size
    assert 6500 <= done <= 7500
    assert part.read_bytes() == server.contents[:done]
    server.cut_after = None
    download("facades", tmp_path / "facades", server.url)
    assert server.ranges[1] == f"bytes={done}-"
    assert files_in(tmp_path / "facades") == images
    assert not part.exists()


@pytest.mark.parametrize("tells_length", [True, False])
@pytest.mark.parametrize("knows_ranges", [True, False])
@pytest.mark.parametrize("done", [0, 1, 999, 5000])
def test_fetched_bytes_are_right_whatever_the_server_can(
    tmp_path, server, knows_ranges, tells_length, done
):
    server.contents = np.random.default_rng(1).bytes(5000)
    server.knows_ranges, server.tells_length = knows_ranges, tells_length
    target = tmp_path / "file.part"
    target.write_bytes(server.contents[:done])
    fetch("facades", server.url, target)
    assert target.read_bytes() == server.contents
    assert server.ranges == [f"bytes={done}-"]


def test_a_server_without_ranges_makes_the_download_start_again(tmp_path, server, images):
    server.contents, server.knows_ranges = pack(images), False
    (tmp_path / "facades.tar.gz.part").write_bytes(b"a part of something else")
    download("facades", tmp_path / "facades", server.url)
    assert files_in(tmp_path / "facades") == images


@pytest.mark.parametrize("status", [404, 500, 503])
def test_refusals_are_one_line_with_the_address_and_the_way_out(tmp_path, server, status):
    server.status = status
    message = error_of(download, "facades", tmp_path / "facades", server.url)
    assert message.startswith(f"cannot download {server.url} (")
    assert str(status) in message
    assert "--archive facades.tar.gz" in message
    assert not (tmp_path / "facades").exists()


def test_offline_is_one_line_with_the_address_and_the_way_out(tmp_path, server):
    server.server_close()  # nobody listens, as without a network
    message = error_of(download, "facades", tmp_path / "facades", server.url)
    assert re.match(rf"cannot download {server.url} \(.*(refused|connect).*\);", message)
    assert "pix2pix-ilm data download facades --archive facades.tar.gz" in message
    assert list(tmp_path.iterdir()) == []
    error_of(download, "facades", tmp_path / "data" / "facades", server.url)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:9", "nonsense://127.0.0.1:9"])
def test_an_unusable_proxy_is_one_line(tmp_path, server, monkeypatch, proxy):
    monkeypatch.setenv("ALL_PROXY", proxy)
    for exceptions in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(exceptions, raising=False)
    message = error_of(download, "facades", tmp_path / "facades", server.url)
    assert message.startswith(f"cannot download {server.url} (")
    assert "proxy" in message.lower()


@pytest.mark.parametrize("mode", ["w:gz", "w:"])
def test_a_local_copy_needs_no_network_and_is_kept(tmp_path, images, mode):
    archive = tmp_path / "copy.tar.gz"
    archive.write_bytes(pack(images, mode=mode))
    download("facades", tmp_path / "facades", "http://127.0.0.1:9/", archive)
    assert files_in(tmp_path / "facades") == images
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy.tar.gz", "facades"]


def test_an_empty_folder_is_filled_also_behind_a_link_and_from_within(
    tmp_path, images, monkeypatch
):
    (tmp_path / "copy.tar").write_bytes(pack(images))
    (tmp_path / "empty").mkdir()
    download("facades", tmp_path / "empty", archive=tmp_path / "copy.tar")
    assert files_in(tmp_path / "empty") == images
    (tmp_path / "disk" / "facades").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "facades")
    download("facades", tmp_path / "link", archive=tmp_path / "copy.tar")
    assert files_in(tmp_path / "disk" / "facades") == images
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    download("facades", Path(), archive=tmp_path / "copy.tar")
    assert files_in(tmp_path / "here") == images


def test_an_intact_copy_is_left_as_it_is(tmp_path, server, images):
    server.contents = pack(images)
    download("facades", tmp_path / "facades", server.url)
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    download("facades", tmp_path / "facades", server.url)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == times
    assert len(server.ranges) == 1


def test_a_second_download_into_the_same_folder_waits_for_nobody_and_breaks_nothing(
    tmp_path, server, images
):
    server.contents = pack(images)
    with alone_at(tmp_path / "facades"):
        said = error_of(download, "facades", tmp_path / "facades", server.url)
        assert said == (f"{tmp_path}/facades: another process puts a data set there; wait for it")
        assert not server.ranges
    download("facades", tmp_path / "facades", server.url)
    assert [path.name for path in tmp_path.iterdir()] == ["facades"]


def test_what_another_process_put_there_meanwhile_is_taken(tmp_path, server, images):
    server.contents = pack(images)
    with pytest.MonkeyPatch.context() as patch:

        def wait_for_another(file):
            patch.undo()
            download("facades", tmp_path / "facades", server.url)
            server.ranges.clear()
            return take_lock(file)

        patch.setattr(downloads, "take_lock", wait_for_another)
        download("facades", tmp_path / "facades", server.url)
    assert not server.ranges
    assert [path.name for path in tmp_path.iterdir()] == ["facades"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EFBIG])
def test_a_full_disk_while_unpacking_is_not_the_archives_fault(
    tmp_path, images, monkeypatch, number
):
    def fail(*_, **__):
        raise OSError(number, os.strerror(number))

    (tmp_path / "f.tar.gz").write_bytes(pack(images))
    monkeypatch.setattr(tarfile.TarFile, "extractall", fail)
    said = error_of(download, "facades", tmp_path / "new" / "f", archive=tmp_path / "f.tar.gz")
    assert said.startswith(f"{tmp_path}/new/f: cannot be written ")
    assert os.strerror(number) in said
    assert [path.name for path in tmp_path.iterdir()] == ["f.tar.gz"]


def test_another_folder_in_the_way_is_left_as_it_is(tmp_path, server, images):
    server.contents = pack(images)
    (tmp_path / "facades" / "train").mkdir(parents=True)
    (tmp_path / "facades" / "train" / "1.jpg").write_bytes(b"mine")
    message = error_of(download, "facades", tmp_path / "facades", server.url)
    assert message.startswith(f"{tmp_path / 'facades'}: not the CMP Facades")
    assert files_in(tmp_path / "facades") == {"train/1.jpg": b"mine"}
    assert server.ranges == []


@pytest.mark.parametrize(
    ("where", "problem"),
    [
        ("file", "file: cannot be written ("),
        ("file/facades", "file: cannot be made ("),
        ("file/below/facades", "file/below: cannot be made ("),
    ],
)
def test_a_file_in_the_way_is_one_error(tmp_path, images, where, problem):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "copy.tar").write_bytes(pack(images))
    message = error_of(download, "facades", tmp_path / where, archive=tmp_path / "copy.tar")
    assert message.startswith(f"{tmp_path}/{problem}")
    assert (tmp_path / "file").read_text() == "mine"


def test_a_full_disk_while_downloading_is_one_error(tmp_path, server, images, monkeypatch):
    server.contents = pack(images)

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(downloads.Progress, "advance", fail)
    message = error_of(download, "facades", tmp_path / "facades", server.url)
    assert message.startswith(f"{tmp_path / 'facades'}: cannot be written (")
    assert "No space left on device" in message


@pytest.mark.parametrize(
    ("name", "reason"),
    [("missing.tar.gz", "No such file or directory"), ("folder", "Is a directory")],
)
def test_an_archive_that_is_no_file_is_named(tmp_path, name, reason):
    (tmp_path / "folder").mkdir()
    message = error_of(download, "facades", tmp_path / "facades", archive=tmp_path / name)
    start = f"{tmp_path / name}: cannot be read ({reason})"
    assert message == f"{start}; expected a copy of facades.tar.gz"


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: b"",
        lambda _: b"<html>please log in</html>",
        lambda packed: packed[: len(packed) // 2],
        lambda packed: packed[:-1000],
    ],
    ids=["empty", "portal", "half", "short"],
)
def test_damaged_archives_are_one_error_and_leave_nothing(tmp_path, images, damage):
    archive = tmp_path / "copy.tar.gz"
    archive.write_bytes(damage(pack(images)))
    message = error_of(download, "facades", tmp_path / "facades", archive=archive)
    assert message.startswith(f"{archive}: cannot be unpacked (")
    assert "delete it and try again" in message
    assert list(tmp_path.iterdir()) == [archive]


def test_a_changed_byte_anywhere_is_one_error_and_leaves_nothing(tmp_path, images):
    text = {name: data.hex().encode() for name, data in images.items()}  # can be compressed
    packed, archive = pack(text), tmp_path / "copy.tar.gz"
    messages = []
    for position in range(20, len(packed), 500):
        changed = bytes([packed[position] ^ 0xFF])
        archive.write_bytes(packed[:position] + changed + packed[position + 1 :])
        messages.append(error_of(download, "facades", tmp_path / "facades", archive=archive))
        assert list(tmp_path.iterdir()) == [archive]
    assert all(message.startswith(f"{archive}: ") for message in messages)
    assert any("while decompressing data" in message for message in messages)


def change(images):
    images["val/10.jpg"] = b"changed"


def remove(images):
    del images["val/10.jpg"]


def add(images):
    images["val/11.jpg"] = b"one more"


def rename(images):
    images["val/11.jpg"] = images.pop("val/10.jpg")


@pytest.mark.parametrize("alter", [change, remove, add, rename, dict.clear])
def test_other_contents_are_refused_and_leave_nothing(tmp_path, images, alter):
    alter(images)
    archive = tmp_path / "copy.tar.gz"
    archive.write_bytes(pack(images))
    message = error_of(download, "facades", tmp_path / "facades", archive=archive)
    assert message.startswith(f"{archive}: not the CMP Facades of pix2pix (606 images")
    assert f"found {len(images)} with" in message
    assert list(tmp_path.iterdir()) == [archive]


def test_wrong_contents_from_the_network_name_the_file_to_move_away(tmp_path, server, images):
    server.contents = pack({"train/1.jpg": b"other"})
    part = tmp_path / "facades.tar.gz.part"
    for _ in range(2):
        assert error_of(download, "facades", tmp_path / "facades", server.url).startswith(
            f"{part}: not the"
        )
    part.unlink()
    server.contents = pack(images)
    download("facades", tmp_path / "facades", server.url)
    assert files_in(tmp_path / "facades") == images


def link(name, target, kind):
    return member(name, type=kind, linkname=target)


@pytest.mark.parametrize(
    "evil",
    [
        lambda _: [member("../escaped.txt", b"evil")],
        lambda _: [member("facades/../../escaped.txt", b"evil")],
        lambda _: [link("facades/link", "../../outside", tarfile.SYMTYPE)],
        lambda outside: [link("facades/link", str(outside), tarfile.SYMTYPE)],
        lambda outside: [link("facades/link", str(outside / "kept.txt"), tarfile.LNKTYPE)],
        lambda _: [
            link("facades/link", "../../outside", tarfile.SYMTYPE),
            member("facades/link/escaped.txt", b"evil"),
        ],
        lambda _: [member("facades/device", type=tarfile.CHRTYPE)],
        lambda _: [member("facades/pipe", type=tarfile.FIFOTYPE)],
    ],
    ids=["parent", "below", "symlink", "absolute link", "hard link", "through", "device", "pipe"],
)
def test_archives_that_lead_outside_are_refused(tmp_path, images, evil):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept.txt").write_text("kept")
    archive = tmp_path / "evil.tar.gz"
    archive.write_bytes(pack(images, *evil(outside)))
    assert "cannot be unpacked" in error_of(
        download, "facades", tmp_path / "facades", archive=archive
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["evil.tar.gz", "outside"]
    assert files_in(outside) == {"kept.txt": b"kept"}


def test_absolute_paths_lose_their_root(tmp_path, images):
    outside = tmp_path / "outside"
    outside.mkdir()
    archive = tmp_path / "evil.tar.gz"
    archive.write_bytes(pack(images, member(f"{outside}/escaped.txt", b"evil")))
    download("facades", tmp_path / "facades", archive=archive)
    assert files_in(tmp_path / "facades") == images
    assert list(outside.iterdir()) == []


@pytest.fixture
def drawn(tmp_path):
    """A folder whose names sort differently by bytes, by folder and by locale."""
    names = ["a.jpg", "a/b.jpg", "a-b.jpg", "B.jpg", "ä.jpg", "10.jpg", "9.jpg", ".x.jpg", "c.JPG"]
    for name in [*names, "a/deep/er/z z.jpg", "other.png"]:
        path = tmp_path / "drawn" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return tmp_path / "drawn"


@pytest.mark.skipif(not all(map(shutil.which, ("find", "xargs", "sha256sum"))), reason="no shell")
def test_the_manifest_is_that_of_the_shell(drawn):
    pipeline = (
        "find . -name '*.jpg' | LC_ALL=C sort | tr '\\n' '\\0' | xargs -0 sha256sum | sha256sum"
    )
    shell = subprocess.run(
        pipeline, shell=True, cwd=drawn, capture_output=True, check=True, text=True
    )
    assert manifest(drawn) == shell.stdout.split()[0]


def test_the_manifest_depends_on_names_and_contents_of_jpegs_alone(drawn):
    before = manifest(drawn)
    shutil.copytree(drawn, drawn.with_name("copy"))
    (drawn / "other.png").write_text("changed")
    (drawn / "folder.jpg").mkdir()
    (drawn / "gone.jpg").symlink_to("nowhere")
    assert manifest(drawn) == manifest(drawn.with_name("copy")) == before
    (drawn / "9.jpg").rename(drawn / "8.jpg")
    renamed = manifest(drawn)
    (drawn / "8.jpg").write_text("changed")
    assert len({before, renamed, manifest(drawn)}) == 3


def test_the_manifest_of_nothing_is_the_sum_of_nothing(tmp_path):
    assert manifest(tmp_path) == manifest(tmp_path / "missing") == EMPTY_SUM


def test_the_manifest_of_names_in_any_encoding_is_that_of_their_bytes(tmp_path):
    name = b"caf\xe9.jpg"
    try:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(b"")
    except OSError:
        pytest.skip("this file system accepts UTF-8 names only")
    line = EMPTY_SUM.encode() + b"  ./" + name + b"\n"
    assert manifest(tmp_path) == hashlib.sha256(line).hexdigest()


@pytest.fixture
def small_maps(monkeypatch, tmp_path):
    """Expect three images of 8x4 of the data set maps, whose first download is not known."""
    known = replace(KNOWN["maps"], splits={"train": 2, "val": 1}, size=(8, 4))
    monkeypatch.setitem(KNOWN, "maps", known)
    monkeypatch.setenv("PIX2PIX_ILM_CACHE", str(tmp_path / "cache"))
    return {
        f"{name}.jpg": jpeg(level) for level, name in enumerate(("train/1", "train/2", "val/1"))
    }


def jpeg(level: int, size=(8, 4)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, (40 * level, 0, 0)).save(file, "JPEG")
    return file.getvalue()


def as_maps(files) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, data in files.items():
            tar.addfile(*member(f"maps/{name}", data))
    return buffer.getvalue()


def test_a_data_set_of_unknown_contents_is_compared_with_its_first_download(
    tmp_path, server, small_maps
):
    server.contents = as_maps(small_maps)
    download("maps", tmp_path / "maps", server.url)
    assert files_in(tmp_path / "maps") == small_maps
    download("maps", tmp_path / "again", server.url)
    server.contents = as_maps(small_maps | {"val/1.jpg": jpeg(5)})
    message = error_of(download, "maps", tmp_path / "other", server.url)
    assert "its images are not those of the first download" in message
    assert not (tmp_path / "other").exists()
    (tmp_path / "cache" / "downloads" / "maps.sha256").unlink()
    download("maps", tmp_path / "other", server.url)
    assert error_of(download, "maps", tmp_path / "maps").startswith(
        f"{tmp_path / 'maps'}: its images"
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train/3.jpg": jpeg(1)}, "images: 2 in train, 1 in val; found 3 in train, 1 in val"),
        ({"val/1.jpg": jpeg(1, (4, 4))}, "val/1.jpg: expected 8x4, found 4x4"),
        ({"val/1.jpg": b"text"}, "val/1.jpg: expected 8x4, found no image"),
    ],
)
def test_a_data_set_of_another_structure_is_refused(tmp_path, small_maps, change, message):
    archive = tmp_path / "maps.tar.gz"
    archive.write_bytes(as_maps(small_maps | change))
    assert message in error_of(download, "maps", tmp_path / "maps", archive=archive)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["maps.tar.gz"]
