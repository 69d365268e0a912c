"""The middleware that every request must pass before it reaches the page's server."""

import asyncio
import logging
import re
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from ipaddress import ip_address
from pathlib import Path

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pix2pix_ilm.web.error_handlers import MISFIT, Refusal, shorten
from pix2pix_ilm.web.request_body import LOGIN_PATH, inspect_body
from pix2pix_ilm.web.uploads import is_upload

LOGIN_PAGE = Path(__file__).parent / "assets" / "login.html"
PUBLIC = re.compile(r"/|/login/?|/favicon\.ico|/gradio_api/startup-events")
"""Open before login; the last one is the health check."""
READABLE = re.compile(
    r"/(config|theme\.css|favicon\.ico|logout)?|/(assets|static)/.+"
    r"|/gradio_api/(app_id|info|openapi\.json|startup-events|theme\.css|upload_progress)"
    r"|/gradio_api/(heartbeat/[^/]+|queue/data|call/(v2/)?[^/]+/[^/]+|file=.+)"
)
WRITABLE = re.compile(r"/login/?|/gradio_api/(upload|queue/join|cancel|reset|call/(v2/)?[^/]+)/?")
ANY_ADDRESS = "any address"
"""Among a server's names: it is asked under this machine's addresses, whichever they are."""
FILE_PREFIX = "/gradio_api/file="
MAX_ADDRESS_BYTES = 4096
MAX_TRIES_PER_ADDRESS, MAX_TRIES = 4, 32  # passwords that wait, from one address and from all
AUTHORITY = re.compile(r"([\w.-]+|\[[0-9a-f:.]+\])(?::\d+)?", re.ASCII)
POLICY = "; ".join(
    (
        "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:",  # Gradio writes scripts
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
    )
)
HEADERS = {
    b"content-security-policy": POLICY.encode(),
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
}
logger = logging.getLogger(__name__)


class SecurityMiddleware:
    """Admit what the page and its API need, and nothing else.

    Gradio lets a request name any file, or an address to fetch, as the value of an image. Here
    the one rule is: a file that a request names was uploaded before, or made here.

    Args:
        app: the page's server.
        hosts: names under which it is asked, or ``*.`` and a domain, or ``ANY_ADDRESS``.
        proxied: those among them that stand for a proxy, whose port the server does not know.
    """

    def __init__(self, app: ASGIApp, hosts: Sequence[str], proxied: Sequence[str] = ()) -> None:
        self.app = app
        self.hosts = [host.lower() for host in hosts]
        self.proxied = [host.lower() for host in proxied]
        self.login_throttle = LoginThrottle()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, endless = False, "transfer-encoding" in Headers(scope=scope)

        async def send_with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = [*message["headers"], *HEADERS.items()]
                if endless and message["status"] >= HTTPStatus.BAD_REQUEST:
                    message["headers"].append((b"connection", b"close"))  # read no more of it
            await send(message)

        try:
            await self.admit(scope, receive, send_with_headers)
            return
        except Refusal as refusal:
            answer = JSONResponse({"detail": refusal.message}, refusal.status)
        except Exception as error:  # Gradio raises nearly anything for odd requests
            place = shorten(f"{scope['method']} {scope['path']!r}")
            logger.warning("%s: %s", place, shorten(f"{type(error).__name__}: {error!s}"))
            answer = JSONResponse({"detail": MISFIT}, HTTPStatus.BAD_REQUEST)
        if started:
            await send({"type": "http.response.body", "body": b""})
        else:
            await answer(scope, receive, send_with_headers)

    async def admit(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; Refusal if it is not let through."""
        scope = {**scope, "headers": self.check_host(Headers(scope=scope))}
        check_route(scope)
        self.check_origin(scope)
        if not is_logged_in(scope):
            if not PUBLIC.fullmatch(scope["path"]):
                raise Refusal(HTTPStatus.UNAUTHORIZED, "Log in first.")
            if scope["path"] == "/":
                await HTMLResponse(LOGIN_PAGE.read_bytes())(scope, receive, send)
                return
        receive = await inspect_body(scope, receive)
        if scope["method"] == "POST" and scope["path"].rstrip("/") == LOGIN_PATH:
            await self.login_throttle.forward(self.app, scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def check_host(self, headers: Headers) -> list[tuple[bytes, bytes]]:
        """Return the headers without names under which this server is not asked.

        A page of another name could lead a visitor's browser here (DNS rebinding).

        Raises:
            Refusal: the request asks for a host of another name.
        """
        if not self.is_known(headers.get("host", "")):
            raise Refusal(HTTPStatus.BAD_REQUEST, "There is no page of that name here.")
        dropped = {b"x-gradio-server"}  # which Gradio takes for its own address
        if not self.is_known(forwarded_host(headers)):
            dropped.add(b"x-forwarded-host")
        return [(name, value) for name, value in headers.raw if name not in dropped]

    def is_known(self, authority: str) -> bool:
        """Return whether NAME:PORT is under one of this server's names."""
        name = host_of(authority)
        if ANY_ADDRESS in self.hosts and is_address(name):
            return True
        return any(
            name == host or (host.startswith("*.") and name.endswith(host[1:]))
            for host in self.hosts
        )

    def check_origin(self, scope: Scope) -> None:
        """Refuse what the page of another site asks a visitor's browser to send.

        Programs send no Origin. A link from another site to this page is fine.
        """
        headers = Headers(scope=scope)
        reads = scope["method"] != "POST" and scope["path"] != "/logout"
        foreign = headers.get("sec-fetch-site") == "cross-site" and not reads
        if "origin" in headers and not foreign:
            authority = headers["origin"].partition("://")[2].lower()
            asked = (headers.get("host", "").lower(), forwarded_host(headers))
            same = strip_default_port(authority) in map(strip_default_port, filter(None, asked))
            foreign = not (same or host_of(authority) in self.proxied)
        if foreign:
            raise Refusal(HTTPStatus.FORBIDDEN, "Another site's page must not ask for this.")


class LoginThrottle:
    """Let each address try one wrong password a second, few of them in line."""

    def __init__(self) -> None:
        self.waiting: Counter[str] = Counter()
        self.locks: dict[str, asyncio.Lock] = {}

    async def forward(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the server check a password, and keep the line waiting if it was wrong."""
        status = None

        async def note_status(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        async with self.turn((scope.get("client") or ("",))[0]):
            await app(scope, receive, note_status)
            if status != HTTPStatus.OK:
                await pause()

    @asynccontextmanager
    async def turn(self, address: str) -> AsyncIterator[None]:
        """Wait until no other try of this address is going on; Refusal if too many wait."""
        if self.waiting[address] >= MAX_TRIES_PER_ADDRESS or self.waiting.total() >= MAX_TRIES:
            raise Refusal(HTTPStatus.TOO_MANY_REQUESTS, "Too many tries at once; wait a moment.")
        self.waiting[address] += 1
        try:
            async with self.locks.setdefault(address, asyncio.Lock()):
                yield
        finally:
            self.waiting[address] -= 1
            if not self.waiting[address]:
                del self.waiting[address], self.locks[address]


async def pause() -> None:
    await asyncio.sleep(1)


def is_logged_in(scope: Scope) -> bool:
    """Return whether Gradio asks for no password, or this visitor has the token of a right one."""
    app = scope["app"]
    if app.auth is None:
        return True
    cookies = Request(scope).cookies
    names = (f"access-token-{app.cookie_id}", f"access-token-unsecure-{app.cookie_id}")
    return any(cookies.get(name) in app.tokens for name in names)


def check_route(scope: Scope) -> None:
    """Refuse what neither the page nor its API needs."""
    path, method = scope["path"], scope["method"]
    if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > MAX_ADDRESS_BYTES:
        raise Refusal(HTTPStatus.REQUEST_URI_TOO_LONG, "The address is too long.")
    allowed = {"GET": READABLE, "HEAD": READABLE, "POST": WRITABLE}.get(method)
    file = path.removeprefix(FILE_PREFIX) if path.startswith(FILE_PREFIX) else None
    if not (allowed and allowed.fullmatch(path)) or (file and not is_upload(Path(file))):
        raise Refusal(HTTPStatus.NOT_FOUND, "There is nothing here.")


def host_of(authority: str) -> str:
    """Return the name in NAME or NAME:PORT, in lower case; empty if it is neither."""
    found = AUTHORITY.fullmatch(authority.lower())
    return found[1] if found else ""


def is_address(host: str) -> bool:
    """Return whether a host is an IP address: no page elsewhere could have it for its name."""
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def strip_default_port(authority: str) -> str:
    """Return NAME:PORT without a port that browsers leave out."""
    return authority.removesuffix(":80").removesuffix(":443")


def forwarded_host(headers: Headers) -> str:
    """Return the name under which a proxy was asked, as it says."""
    return headers.get("x-forwarded-host", "").partition(",")[0].strip().lower()
