"""How much a request may bring, and what its JSON may say."""

import json
import sys
from types import FrameType

import pytest
from gradio.route_utils import GradioMultiPartParser
from starlette.datastructures import Headers
from starlette.requests import Request
from web.event_loop import run_apart

from pix2pix_ilm.web.error_handlers import Refusal
from pix2pix_ilm.web.painter import MAX_URL_LENGTH, URL_PREFIX
from pix2pix_ilm.web.request_body import (
    FORMS,
    MAX_JSON_BYTES,
    MAX_LOGIN_BYTES,
    inspect_body,
    walk_json,
)

JOIN, UPLOAD, LOGIN = "/gradio_api/queue/join", "/gradio_api/upload", "/login"
MAX_UPLOAD_BYTES = 3 << 20
MULTIPART = "multipart/form-data; boundary=x"
PART = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\nimage'


@pytest.fixture
def uploads(tmp_path, monkeypatch):
    folder = tmp_path / "uploads"
    folder.mkdir()
    (folder / "a.png").write_bytes(b"image")
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(folder))
    return folder


@pytest.fixture(autouse=True)
def _small_uploads(monkeypatch):
    """Reach the limit of uploads with less to write."""
    monkeypatch.setitem(FORMS, UPLOAD, (MAX_UPLOAD_BYTES, FORMS[UPLOAD][1]))


class Body:
    """Send chunks, then end, break off, or (at None) never end, and count what was taken."""

    def __init__(self, *chunks: bytes, end: str | None = "http.request"):
        self.chunks, self.end, self.taken = list(chunks), end, 0

    async def receive(self):
        self.taken += 1
        if self.chunks:
            return {"type": "http.request", "body": self.chunks.pop(0), "more_body": True}
        if self.end is None:
            return {"type": "http.request", "body": bytes(1 << 20), "more_body": True}
        return {"type": self.end}


def scope_of(path: str, headers: dict[str, str], method: str = "POST") -> dict:
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http", "method": method, "path": path, "headers": raw}


def inspect(path: str, body: Body, method: str = "POST", **headers: str) -> bytes:
    """Return what is handed on of a request; Refusal if nothing is."""
    scope = scope_of(path, {key.replace("_", "-"): value for key, value in headers.items()}, method)

    async def hand_on() -> bytes:
        return await Request(scope, await inspect_body(scope, body.receive)).body()

    return run_apart(hand_on())


def refused(path: str, body: Body, method: str = "POST", **headers: str) -> int:
    """Return the status of the refusal."""
    with pytest.raises(Refusal) as refusal:
        inspect(path, body, method, **headers)
    assert len(refusal.value.message) <= 80
    return refusal.value.status


def as_body(content: object) -> Body:
    return Body(json.dumps(content).encode())


@pytest.mark.usefixtures("uploads")
def test_harmless_requests_pass_unchanged(uploads):
    content = {"data": [{"path": str(uploads / "a.png")}, 1, None, "text"], "path": None}
    assert json.loads(inspect(JOIN, as_body(content))) == content
    assert inspect(JOIN, Body()) == b""
    assert inspect("/config", Body(), "GET") == b""


@pytest.mark.parametrize(
    "file",
    [
        {"path": "/etc/passwd"},
        {"path": "/etc/passwd", "orig_name": "a.svg", "meta": {"_type": "gradio.FileData"}},
        {"path": "uploads/../../../etc/passwd"},
        {"path": "http://example.com/a.png", "meta": {"_type": "gradio.FileData"}},
        {"path": "file:///etc/passwd"},
        {"path": ""},
        {"path": ["/etc/passwd"]},
        {"path": {"path": "/etc/passwd"}},
        {"path": 3},
        {"path": "\0"},
    ],
)
@pytest.mark.parametrize("wrap", [lambda f: f, lambda f: {"data": [[{"image": f}]]}])
@pytest.mark.parametrize(
    "content_type",
    ["application/json", "text/plain", "", "application/x-www-form-urlencoded", MULTIPART,
     "application/x-www-form-urlencoded+json", "multipart/form-data+json"],
)  # fmt: skip
@pytest.mark.usefixtures("uploads")
def test_files_that_were_not_uploaded_are_refused_whatever_the_type(file, wrap, content_type):
    assert refused(JOIN, as_body(wrap(file)), content_type=content_type) == 400


@pytest.mark.parametrize("body", [b"nonsense", b"\xff\xfe", b"[" * 200_000, b"9" * 5000, b"a=b"])
def test_what_is_not_json_is_refused(body):
    assert refused(JOIN, Body(body)) == 400


@pytest.mark.parametrize(
    ("content", "passes"),
    [
        ("a" * 200, True),
        ("a" * 201, False),
        ({"path": None, "url": "a" * 2000, "orig_name": "a" * 2000}, True),
        ({"url": "a" * 2001}, False),
        ({"a" * 201: 1}, False),
        ({"url": {"a": "a" * 201}}, False),
        (URL_PREFIX + "a" * (MAX_URL_LENGTH - len(URL_PREFIX)), True),
        (URL_PREFIX + "a" * MAX_URL_LENGTH, False),
        ([0] * 19_990, True),
        ([0] * 20_000, False),
    ],
)
def test_strings_and_values_are_bounded(content, passes):
    body = as_body({"data": [content]})
    if passes:
        inspect(JOIN, body)
    else:
        assert refused(JOIN, body) == 413


FORM = {"content_type": "application/x-www-form-urlencoded"}
PLACES = [(JOIN, MAX_JSON_BYTES, {}), (LOGIN, MAX_LOGIN_BYTES, FORM),
          (UPLOAD, MAX_UPLOAD_BYTES, {"content_type": MULTIPART})]  # fmt: skip


@pytest.mark.parametrize(("path", "limit", "headers"), PLACES)
def test_a_large_body_is_refused_before_it_is_read_or_while_it_is(path, limit, headers):
    body = Body(end=None)
    assert refused(path, body, content_length=str(limit + 1), **headers) == 413
    assert body.taken == 0
    for stated in ({"content_length": "5"}, {"transfer_encoding": "chunked"}):
        body = Body(end=None)
        assert refused(path, body, **stated, **headers) == 413
        assert body.taken == (limit >> 20) + 1


def test_the_body_of_a_reading_request_is_bounded_too():
    assert refused("/config", Body(end=None), "GET") == 413


@pytest.mark.parametrize(("path", "limit", "headers"), PLACES)
def test_two_lengths_are_refused(path, limit, headers):  # noqa: ARG001
    both = {"content_length": "5", "transfer_encoding": "chunked"}
    body = Body(end=None)
    assert refused(path, body, **both, **headers) == 400
    assert body.taken == 0


@pytest.mark.parametrize(
    "content_type",
    ["", "application/json", "multipart/form-data+json", "multipart/form-data-x", "text/plain",
     "application/json; multipart/form-data"],
)  # fmt: skip
def test_uploads_and_logins_are_forms(content_type):
    for path in (UPLOAD, LOGIN, f"{UPLOAD}/", f"{LOGIN}/"):
        assert refused(path, Body(b"{}"), content_type=content_type) == 415


def test_an_upload_is_handed_on_while_it_arrives():
    body = Body(b"one", b"two")
    scope = scope_of(UPLOAD, {"content-type": "Multipart/Form-Data ; boundary=x"})

    async def first() -> bytes:
        receive = await inspect_body(scope, body.receive)
        assert body.taken == 0
        return (await receive())["body"]

    assert run_apart(first()) == b"one"
    assert body.taken == 1


@pytest.mark.parametrize("body", [Body(PART, end=None), Body(PART, end="http.disconnect")])
def test_gradio_deletes_an_upload_that_is_too_large_or_breaks_off(body, tmp_path):
    scope = scope_of(UPLOAD, {"content-type": MULTIPART})

    async def parse() -> None:
        request = Request(scope, await inspect_body(scope, body.receive))
        headers = Headers(scope=scope)
        parser = GradioMultiPartParser(
            headers, request.stream(), upload_dir=tmp_path, max_file_size=1e9
        )
        await parser.parse()

    with pytest.raises(Refusal):
        run_apart(parse())
    assert not list(tmp_path.iterdir())


def test_the_work_of_looking_through_json_does_not_grow_with_its_depth():
    """Steps of Python's generators, which are resumed once for each level if they are nested."""
    steps = 0

    def count(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal steps
        steps += event == "call"

    deep: object = [0] * 100
    for _ in range(300):
        deep = [deep]
    sys.setprofile(count)
    try:
        found = sum(1 for _ in walk_json(deep))
    finally:
        sys.setprofile(None)
    assert found == 401
    assert steps < 4 * found
