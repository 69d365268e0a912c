"""The middleware, in front of a server that answers with what it was sent; the login's throttle."""

import asyncio

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from web.event_loop import run_apart

from pix2pix_ilm.web import security
from pix2pix_ilm.web.error_handlers import MISFIT, Refusal
from pix2pix_ilm.web.security import (
    ANY_ADDRESS,
    MAX_TRIES,
    MAX_TRIES_PER_ADDRESS,
    LoginThrottle,
    SecurityMiddleware,
)

JOIN = "/gradio_api/queue/join"
UPLOAD = "/gradio_api/upload"
SERVER = "http://127.0.0.1:7860"
LOGIN = {"username": "me", "password": "secret"}


async def echo(request: Request) -> PlainTextResponse:
    if request.url.path == "/login":
        right = await request.body() == b"username=me&password=secret"
        return PlainTextResponse("", 200 if right else 400)
    if request.url.path == "/gradio_api/call/fail":
        raise KeyError("x" * 1000)
    names = ("x-forwarded-host", "x-gradio-server")
    kept = {name: request.headers[name] for name in names if name in request.headers}
    return PlainTextResponse(await request.body(), headers=kept)


@pytest.fixture
def app():
    """Make an application that is asked under a few names."""
    hosts = ["localhost", "127.0.0.1", "[::1]", "*.gradio.live", "photos.example"]
    middleware = Middleware(SecurityMiddleware, hosts=hosts, proxied=["photos.example"])
    app = Starlette(
        routes=[Route("/{path:path}", echo, methods=["GET", "POST", "PUT"])],
        middleware=[middleware],
    )
    app.auth, app.cookie_id, app.tokens = None, "id", {"token": "me"}
    return app


@pytest.mark.parametrize(
    ("host", "known"),
    [("192.168.1.20:7860", True), ("[2001:db8::1]:7860", True), ("evil.example", False),
     ("192.168.1.20.evil.example", False), ("999.1.1.1", False), ("", False)],
)  # fmt: skip
def test_addresses_are_known_where_others_can_connect(host, known):
    assert SecurityMiddleware(Starlette(), ["localhost", ANY_ADDRESS]).is_known(host) is known
    assert not SecurityMiddleware(Starlette(), ["localhost"]).is_known(host)


@pytest.fixture
def ask(app):
    """Ask the application; settings are those of httpx."""

    def request(method: str, path: str, **settings) -> httpx.Response:
        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url=SERVER) as client:
                return await client.request(method, path, **settings)

        return run_apart(send())

    return request


READ = ("/", "/config", "/theme.css", "/assets/index.js", "/static/img/logo.svg", "/favicon.ico",
        "/gradio_api/info", "/gradio_api/heartbeat/abc", "/gradio_api/queue/data",
        "/gradio_api/call/translate/abc", "/gradio_api/call/v2/translate/abc",
        "/gradio_api/startup-events", "/logout")  # fmt: skip
WRITTEN = (JOIN, "/gradio_api/call/translate", "/gradio_api/call/v2/translate",
           "/gradio_api/cancel", "/gradio_api/reset")  # fmt: skip


def test_what_the_page_needs_passes(ask):
    assert all(ask("GET", path).status_code == 200 for path in READ)
    assert all(ask("POST", path, json={}).status_code == 200 for path in WRITTEN)
    assert ask("POST", UPLOAD, files={"files": ("a.png", b"image")}).status_code == 200


@pytest.mark.parametrize(
    "path",
    ["/gradio_api/proxy=http://example.com", "/gradio_api/vibe-edit/", "/monitoring/summary",
     "/gradio_api/run-history/records", "/gradio_api/process_recording", "/gradio_api/token",
     "/gradio_api/component_server", "/gradio_api/run/translate", "/gradio_api/api/translate",
     "/gradio_api/stream/x", "/gradio_api/custom_component/a/client/b/c", "/gradio_api/file/etc",
     "/gradio_api/deep_link", "/docs", "/openapi.json", "//config", "/config%0a", "/CONFIG",
     "/gradio_api/file=/etc/passwd", "/gradio_api/file=http://example.com/a.png"],
)  # fmt: skip
def test_everything_else_is_closed(ask, path):
    for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"):
        assert ask(method, SERVER + path).status_code == 404


def test_reading_and_writing_are_told_apart(ask):
    assert ask("POST", "/config").status_code == ask("PUT", JOIN).status_code == 404
    assert ask("GET", JOIN).status_code == 404


def test_only_uploads_are_handed_out(ask, tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    (tmp_path / "a.png").write_bytes(b"image")
    assert ask("GET", f"/gradio_api/file={tmp_path}/a.png").status_code == 200
    assert ask("GET", f"/gradio_api/file={tmp_path}/../a.png").status_code == 404


@pytest.mark.parametrize(
    ("host", "status"),
    [("127.0.0.1:7860", 200), ("LOCALHOST", 200), ("[::1]:7860", 200), ("a.gradio.live", 200),
     ("photos.example:8443", 200), ("evil.example", 400), ("127.0.0.1.evil.example", 400),
     ("gradio.live", 400), ("evilgradio.live", 400), ("evil@localhost", 400), ("", 400),
     ("localhost, evil.example", 400), ("localhost/evil", 400)],
)  # fmt: skip
def test_a_page_of_another_name_gets_nothing(ask, host, status):
    assert ask("GET", "/", headers={"host": host}).status_code == status


@pytest.mark.parametrize(
    ("forwarded", "counts"),
    [("photos.example", True), ("photos.example:8443, inner", True), ("evil.example", False),
     ("evil.example, photos.example", False), ('localhost/"><script>', False), ("", False)],
)  # fmt: skip
def test_a_forwarded_host_counts_only_if_it_is_allowed(ask, forwarded, counts):
    answer = ask("GET", "/", headers={"x-forwarded-host": forwarded})
    assert answer.status_code == 200
    assert ("x-forwarded-host" in answer.headers) is counts
    assert "x-gradio-server" not in ask("GET", "/", headers={"x-gradio-server": SERVER}).headers


@pytest.mark.parametrize(
    "headers",
    [{"origin": "http://evil.example"}, {"origin": "null"}, {"origin": ""},
     {"origin": "http://127.0.0.1:3000"}, {"origin": "http://localhost:7860"},
     {"origin": "http://photos.example.evil.example"}, {"sec-fetch-site": "cross-site"},
     {"origin": SERVER, "sec-fetch-site": "cross-site"},
     {"host": "a.gradio.live", "origin": "https://b.gradio.live"},
     {"origin": "http://evil.example", "x-forwarded-host": "evil.example"}],
)  # fmt: skip
def test_the_page_of_another_site_changes_nothing(ask, headers):
    for path in (JOIN, UPLOAD, "/login"):
        answer = ask("POST", path, headers=headers, json={})
        assert answer.status_code == 403
        assert answer.json() == {"detail": "Another site's page must not ask for this."}


@pytest.mark.parametrize(
    "headers",
    [{}, {"origin": SERVER}, {"origin": SERVER, "sec-fetch-site": "same-origin"},
     {"host": "photos.example", "origin": "https://photos.example"},
     {"host": "photos.example", "origin": "https://photos.example:8443"},
     {"host": "photos.example:443", "origin": "https://photos.example"},
     {"host": "127.0.0.1:443", "origin": "https://127.0.0.1"},
     {"host": "127.0.0.1", "origin": "http://127.0.0.1:80"},
     {"origin": "https://photos.example"},
     {"origin": "https://a.gradio.live", "x-forwarded-host": "a.gradio.live"}],
)  # fmt: skip
def test_the_pages_own_origin_passes_also_behind_a_proxy(ask, headers):
    assert ask("POST", JOIN, headers=headers, json={}).status_code == 200


def test_a_link_from_another_site_may_open_the_page_but_not_log_out(ask):
    headers = {"sec-fetch-site": "cross-site"}
    assert ask("GET", "/", headers=headers).status_code == 200
    assert ask("GET", "/logout", headers=headers).status_code == 403
    assert ask("GET", "/config", headers={"origin": "http://evil.example"}).status_code == 403


def test_before_login_nothing_but_the_login_and_the_health_check_answers(app, ask):
    app.auth = {"me": "secret"}
    for path in {*READ} - {"/", "/favicon.ico", "/gradio_api/startup-events"}:
        assert ask("GET", path).status_code == 401
    assert ask("GET", "/gradio_api/startup-events").status_code == 200
    assert "Password" in ask("GET", "/").text
    for path in (*WRITTEN, UPLOAD):
        assert ask("POST", path, content=b"x" * 20_000_000).status_code == 401
    for name in ("access-token-id", "access-token-unsecure-id"):
        assert ask("GET", "/config", headers={"cookie": f"{name}=token"}).status_code == 200
        assert ask("GET", "/config", headers={"cookie": f"{name}=other"}).status_code == 401


def test_a_wrong_password_is_answered_and_a_right_one_waits_for_nothing(ask, monkeypatch):
    pauses = []

    async def pause() -> None:
        pauses.append(1)

    monkeypatch.setattr(security, "pause", pause)
    assert ask("POST", "/login", data=LOGIN).status_code == 200
    assert not pauses
    assert ask("POST", "/login", data=LOGIN | {"password": "x"}).status_code == 400
    assert pauses


def test_an_error_is_one_sentence_and_one_short_line_of_the_log(ask, caplog):
    answer = ask("POST", "/gradio_api/call/fail", json={})
    assert (answer.status_code, answer.json()) == (400, {"detail": MISFIT})
    (record,) = caplog.records
    assert record.exc_info is None
    assert len(record.getMessage()) <= 170


def test_long_addresses_are_refused(ask):
    assert ask("GET", "/?a=" + "a" * 5000).status_code == 414
    assert ask("GET", "/assets/" + "a" * 5000).status_code == 414


def test_every_answer_forbids_the_browser_to_ask_other_servers(ask):
    for answer in (ask("GET", "/"), ask("POST", JOIN, content=b"nonsense"), ask("GET", "/x")):
        assert answer.headers["content-security-policy"].startswith("default-src 'self'")
        assert answer.headers["x-content-type-options"] == "nosniff"


async def refuse(_scope, _receive, send):
    await send({"type": "http.response.start", "status": 400})


async def settle() -> None:
    """Let every task go as far as it can."""
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.fixture
def crowd(monkeypatch):
    """Try many wrong passwords at once from some addresses, each followed by an endless pause.

    Gives how many were answered before any pause ended, how many were turned away, and the rest
    after all pauses ended.
    """

    def try_from(addresses: list[str]) -> tuple[int, int, int]:
        answered = []

        async def send(message) -> None:
            answered.append(message)

        async def run() -> tuple[int, int, int]:
            over = asyncio.Event()
            monkeypatch.setattr(security, "pause", over.wait)
            throttle = LoginThrottle()
            scopes = [{"client": (address, 1)} for address in addresses]
            tasks = [asyncio.ensure_future(throttle.forward(refuse, s, None, send)) for s in scopes]
            await settle()
            at_once = len(answered)
            over.set()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert not throttle.waiting
            assert not throttle.locks
            away = [result for result in results if result is not None]
            assert all(isinstance(result, Refusal) and result.status == 429 for result in away)
            return at_once, len(away), len(answered) - at_once

        return run_apart(run())

    return try_from


def test_one_address_tries_one_password_at_a_time_and_a_crowd_of_it_is_turned_away(crowd):
    assert crowd(["a"] * 30) == (1, 30 - MAX_TRIES_PER_ADDRESS, MAX_TRIES_PER_ADDRESS - 1)


def test_another_address_need_not_wait(crowd):
    assert crowd(["a"] * 30 + ["b"]) == (2, 30 - MAX_TRIES_PER_ADDRESS, MAX_TRIES_PER_ADDRESS - 1)


def test_many_addresses_are_turned_away_too(crowd):
    assert crowd(list(map(str, range(100)))) == (MAX_TRIES, 100 - MAX_TRIES, 0)
