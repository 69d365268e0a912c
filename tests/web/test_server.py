import asyncio
import os
import re
import runpy
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

import httpx
import pytest
from web.event_loop import run_apart

from pix2pix_ilm.checkpoints import SHIPPED_MODELS
from pix2pix_ilm.errors import SettingError
from pix2pix_ilm.web import server
from pix2pix_ilm.web.server import (
    delete_older,
    is_loopback,
    known_hosts,
    parse_auth,
    serve,
    temporary_uploads,
)

TIMEOUT = 600  # seconds for a program to start
OPEN = re.compile(r"open at http://localhost:(\d+)/")
ROOT = Path(__file__).parents[2]


def try_to_serve(tmp_path, **settings):
    defaults = {
        "host": "127.0.0.1",
        "port": None,
        "auth": None,
        "allowed_hosts": (),
        "share": False,
        "device": "cpu",
        "say": print,
    }
    serve(tmp_path, [], **(defaults | settings))


@pytest.mark.parametrize(
    "settings", [{"host": "0.0.0.0"}, {"host": "192.168.1.2"}, {"host": "::"}, {"share": True}]
)
def test_a_host_that_is_open_to_strangers_needs_a_password(tmp_path, settings):
    with pytest.raises(SettingError, match=r"^auth: .* since others could use this machine"):
        try_to_serve(tmp_path, **settings)


def test_a_space_is_public_under_its_own_names_only(tmp_path, monkeypatch):
    launched = {}

    def launch(_, **settings):
        launched.update(settings)
        raise InterruptedError

    monkeypatch.setattr("pix2pix_ilm.web.server.launch", launch)
    monkeypatch.setattr("pix2pix_ilm.web.server.Page", lambda *_, **__: SimpleNamespace(blocks=0))
    monkeypatch.setenv("SPACE_ID", "me/facades")
    monkeypatch.setenv("SPACE_HOST", "me-facades.hf.space,facades.example")
    with pytest.raises(InterruptedError):
        try_to_serve(tmp_path)
    assert launched["server_name"] == "0.0.0.0"
    assert launched["proxied"] == ["me-facades.hf.space", "facades.example"]
    assert "localhost" in launched["hosts"]
    assert "*" not in launched["hosts"]
    monkeypatch.delenv("SPACE_ID")
    with pytest.raises(SettingError, match="others could use this machine"):
        try_to_serve(tmp_path, host="0.0.0.0")


@pytest.mark.parametrize(("share", "avoided"), [(False, "*"), (True, "localhost")])
def test_checkpoints_are_fetched_through_the_users_proxy_and_the_page_is_asked_without(
    tmp_path, monkeypatch, share, avoided
):
    seen = []

    def look(*_, **__):
        seen.append(os.environ.get("no_proxy", "").split(","))
        return SimpleNamespace(blocks=0)

    def launch(*_, **__):
        look()
        raise InterruptedError

    monkeypatch.setenv("no_proxy", "intranet.example")
    monkeypatch.setattr(server, "find_shipped", lambda: look() and {})
    monkeypatch.setattr(server, "ModelStore", MagicMock())
    monkeypatch.setattr(server, "TranslationService", MagicMock())
    monkeypatch.setattr(server, "can_translate_live", lambda _: False)
    monkeypatch.setattr(server, "Page", look)
    monkeypatch.setattr(server, "launch", launch)
    with pytest.raises(InterruptedError):
        try_to_serve(tmp_path, share=share, auth="me:secret")
    models, _, page = seen
    assert models == ["intranet.example"]
    assert avoided in page
    assert ("intranet.example" in page) == share
    assert os.environ["no_proxy"] == "intranet.example"


@pytest.mark.parametrize("auth", ["", "user", "user:", ":password", ":"])
def test_half_a_login_is_refused(tmp_path, auth):
    with pytest.raises(SettingError, match=r"^auth: expected USER:PASSWORD, found") as refused:
        try_to_serve(tmp_path, auth=auth)
    assert not {"user", "password"} & set(re.findall("[a-z]+", str(refused.value)))


def test_a_password_may_hold_colons():
    assert parse_auth("me:a:b") == ("me", "a:b")
    assert parse_auth(None) is None


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("localhost", True),
     ("0.0.0.0", False), ("::", False), ("10.0.0.1", False), ("example.com", False)],
)  # fmt: skip
def test_loopback(host, expected):
    assert is_loopback(host) is expected


def test_known_hosts():
    assert set(known_hosts("127.0.0.1")) == {"localhost", "127.0.0.1", "[::1]"}
    assert {"10.0.0.1", "localhost"} <= set(known_hosts("10.0.0.1"))
    assert "[fe80::1]" in known_hosts("fe80::1")


def test_uploads_lie_in_a_folder_that_is_gone_in_the_end(monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", "before")
    with temporary_uploads():
        folder = Path(os.environ["GRADIO_TEMP_DIR"])
        (folder / "a.png").write_bytes(b"image")
    assert not folder.exists()
    assert os.environ["GRADIO_TEMP_DIR"] == "before"


def test_old_files_and_folders_are_deleted_and_new_ones_kept(tmp_path):
    for name, age in (("old", 60), ("new", 10)):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "a.png").write_bytes(b"image")
        for path in (folder / "a.png", folder):
            os.utime(path, (time.time() - age,) * 2)
    delete_older(tmp_path, 50)
    assert not (tmp_path / "old" / "a.png").exists()
    assert (tmp_path / "new" / "a.png").exists()
    os.utime(tmp_path / "old", (0, 0))
    delete_older(tmp_path, 50)
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_the_server_looks_after_old_files_while_it_runs(monkeypatch, tmp_path):
    looked = []

    async def run() -> None:
        came = asyncio.Event()
        monkeypatch.setattr(server, "FILE_LIFETIME", 0)
        monkeypatch.setattr(server, "delete_older", lambda *given: looked.append(given))
        monkeypatch.setattr(asyncio, "to_thread", lambda work, *given: _call(work, given, came))
        async with server.delete_old_files(None):
            await came.wait()

    async def _call(work, given, came) -> None:
        work(*given)
        came.set()

    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    run_apart(run())
    assert looked[0] == (tmp_path, 0)


def test_the_space_serves_the_packages_models_until_it_is_told_to_stop_and_leaves_nothing_behind(
    tmp_path,
):
    """A Hugging Face Space is the program as it starts, with names of its own."""
    space = shutil.copytree(ROOT / "examples" / "space", tmp_path / "space")
    nowhere = dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9")
    environment = {"TMPDIR": str(tmp_path), "GRADIO_TEMP_DIR": "", "all_proxy": "socks5://[::1]:9"}
    environment |= nowhere | {"SPACE_ID": "me/facades", "SPACE_HOST": "me-facades.hf.space"}
    with subprocess.Popen(
        [sys.executable, "app.py"],
        stderr=subprocess.PIPE,
        text=True,
        cwd=space,
        env=os.environ | environment,
    ) as process:
        assert process.stderr is not None
        watchdog = threading.Timer(TIMEOUT, process.kill)  # nothing else ends a wait for a line
        watchdog.start()
        try:
            lines = iter(process.stderr.readline, "")
            found = next(filter(None, map(OPEN.search, lines)), None)
            assert found, "the program did not say where its page is"
            page = f"http://127.0.0.1:{found[1]}/config"
            shown = httpx.get(page, headers={"Host": "me-facades.hf.space"}, timeout=TIMEOUT)
            assert shown.status_code == 200
            assert all(name in shown.text for name in SHIPPED_MODELS)
            assert httpx.get(page, headers={"Host": "other.example"}).status_code == 400
            assert list(tmp_path.glob("pix2pix-ilm-*"))
        finally:
            process.terminate()
            process.wait()
            watchdog.cancel()
        assert process.returncode == 0
    assert not list(tmp_path.glob("pix2pix-ilm-*"))


def test_app_py_is_the_demo_command(monkeypatch):
    given = []
    monkeypatch.setattr("pix2pix_ilm.cli.main", given.append)
    monkeypatch.setattr(sys, "argv", ["app.py", "--port", "7"])
    runpy.run_path(str(ROOT / "app.py"), run_name="__main__")
    assert given == [["demo", "--port", "7"]]
