import asyncio
import json

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from pix2pix_ilm.web.guard import LARGEST_JSON, LARGEST_UPLOAD, Guard

PATH = "/gradio_api/queue/join"


@pytest.fixture
def uploads(tmp_path, monkeypatch):
    folder = tmp_path / "uploads"
    folder.mkdir()
    (folder / "a.png").write_bytes(b"image")
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(folder))
    return folder


class Client:
    """Asks an application in this process."""

    def __init__(self, app):
        self.transport = httpx.ASGITransport(app)

    def request(self, method, path, **settings) -> httpx.Response:
        async def ask() -> httpx.Response:
            base = "http://test"
            async with httpx.AsyncClient(transport=self.transport, base_url=base) as client:
                return await client.request(method, path, **settings)

        return asyncio.run(ask())

    def get(self, path, **settings) -> httpx.Response:
        return self.request("GET", path, **settings)

    def post(self, path, **settings) -> httpx.Response:
        return self.request("POST", path, **settings)


@pytest.fixture
def client(uploads):  # noqa: ARG001
    """A server behind the guard that answers with what it was sent."""

    async def echo(request: Request) -> PlainTextResponse:
        return PlainTextResponse(await request.body())

    app = Starlette(routes=[Route("/{path:path}", echo, methods=["GET", "POST"])])
    return Client(Guard(app))


def test_harmless_requests_pass_unchanged(client, uploads):
    body = {"data": [{"path": str(uploads / "a.png")}, 1, None, "text"], "path": None}
    answer = client.post(PATH, json=body)
    assert answer.status_code == 200
    assert answer.json() == body
    assert client.get("/").status_code == 200
    assert client.post(PATH, content=b"").status_code == 200


@pytest.mark.parametrize(
    "file",
    [
        {"path": "/etc/passwd"},
        {"path": "/etc/passwd", "orig_name": "a.svg", "meta": {"_type": "gradio.FileData"}},
        {"path": "uploads/../../../etc/passwd"},
        {"path": "http://example.com/a.png", "meta": {"_type": "gradio.FileData"}},
        {"path": "https://example.com/a.png"},
        {"path": "file:///etc/passwd"},
        {"path": ""},
        {"path": ["/etc/passwd"]},
        {"path": {"path": "/etc/passwd"}},
        {"path": 3},
    ],
)
@pytest.mark.parametrize("wrap", [lambda f: f, lambda f: {"data": [[{"image": f}]]}])
def test_files_that_were_not_uploaded_are_refused(client, file, wrap):
    for content_type in ("application/json", "text/plain", ""):
        answer = client.post(
            PATH, content=json.dumps(wrap(file)), headers={"content-type": content_type}
        )
        assert answer.status_code == 400
        assert answer.json() == {"detail": "A file must be uploaded before it is used."}


@pytest.mark.parametrize("body", [b"nonsense", b"\xff\xfe", b"[" * 200_000])
def test_what_is_not_json_is_refused(client, body):
    assert client.post(PATH, content=body).status_code == 400


def test_large_requests_are_refused_by_their_stated_length(client):
    for content_type, limit in (
        ("application/json", LARGEST_JSON),
        ("multipart/form-data; boundary=x", LARGEST_UPLOAD),
    ):
        headers = {"content-type": content_type, "content-length": str(limit + 1)}
        assert client.post(PATH, headers=headers, content=b"").status_code == 413


def test_requests_must_state_their_length(client):
    async def chunks():
        yield b"[]"

    assert client.post(PATH, content=chunks()).status_code == 411


def test_forms_pass_unread(client):
    answer = client.post("/gradio_api/upload", files={"files": ("a.png", b"image")})
    assert b"image" in answer.content


@pytest.mark.parametrize(
    "path",
    ["/gradio_api/proxy=http://example.com", "/gradio_api/vibe-edit/", "/monitoring/summary",
     "/gradio_api/run-history/records", "/gradio_api/process_recording"],
)  # fmt: skip
def test_doors_that_the_page_does_not_use_are_closed(client, path):
    assert client.get(path).status_code == 404
    assert client.post(path, json={}).status_code == 404


def test_every_answer_forbids_the_browser_to_ask_other_servers(client):
    for answer in (client.get("/"), client.post(PATH, content=b"nonsense")):
        assert answer.headers["content-security-policy"].startswith("default-src 'self'")
        assert answer.headers["x-content-type-options"] == "nosniff"
