"""What every request must pass before it reaches the page's server."""

import logging
import re
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path

from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pix2pix_ilm.web.answers import MISFIT, Refusal
from pix2pix_ilm.web.login import LOGIN_PAGE, LoginTries, is_logged_in
from pix2pix_ilm.web.request_body import LOGIN, inspect_body
from pix2pix_ilm.web.uploads import is_upload, shortened

OPEN = re.compile(r"/|/login/?|/favicon\.ico|/gradio_api/startup-events")
"""What answers before login; the last one is the health check."""
READABLE = re.compile(
    r"/(config|theme\.css|favicon\.ico|logout)?|/(assets|static)/.+"
    r"|/gradio_api/(app_id|info|openapi\.json|startup-events|theme\.css|upload_progress)"
    r"|/gradio_api/(heartbeat/[^/]+|queue/data|call/(v2/)?[^/]+/[^/]+|file=.+)"
)
WRITABLE = re.compile(r"/login/?|/gradio_api/(upload|queue/join|cancel|reset|call/(v2/)?[^/]+)/?")
FILE = "/gradio_api/file="
LONGEST_ADDRESS = 4096  # bytes
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


class Guard:
    """Admits what the page and its API need, and nothing else.

    Gradio lets a request name any file, or an address to fetch, as the value of an image. Here
    the one rule is: a file that a request names was uploaded before, or made here.

    Args:
        app: the page's server.
        hosts: names under which it is asked, or ``*.`` and a domain.
        proxied: those among them that stand for a proxy, whose port the server does not know.
    """

    def __init__(self, app: ASGIApp, hosts: Sequence[str], proxied: Sequence[str] = ()) -> None:
        self.app = app
        self.hosts = [host.lower() for host in hosts]
        self.proxied = [host.lower() for host in proxied]
        self.tries = LoginTries()

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
            place = shortened(f"{scope['method']} {scope['path']!r}")
            logger.warning("%s: %s", place, shortened(f"{type(error).__name__}: {error!s}"))
            answer = JSONResponse({"detail": MISFIT}, HTTPStatus.BAD_REQUEST)
        if started:
            await send({"type": "http.response.body", "body": b""})
        else:
            await answer(scope, receive, send_with_headers)

    async def admit(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; Refusal if it is not let through."""
        scope = {**scope, "headers": self.check_names(Headers(scope=scope))}
        check_route(scope)
        self.check_origin(scope)
        if not is_logged_in(scope):
            if not OPEN.fullmatch(scope["path"]):
                raise Refusal(HTTPStatus.UNAUTHORIZED, "Log in first.")
            if scope["path"] == "/":
                await HTMLResponse(LOGIN_PAGE.read_bytes())(scope, receive, send)
                return
        receive = await inspect_body(scope, receive)
        if scope["method"] == "POST" and scope["path"].rstrip("/") == LOGIN:
            await self.tries.answer(self.app, scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def check_names(self, headers: Headers) -> list[tuple[bytes, bytes]]:
        """The headers without names under which this server is not asked.

        A page of another name could lead a visitor's browser here (DNS rebinding).
        """
        if not self.serves(headers.get("host", "")):
            raise Refusal(HTTPStatus.BAD_REQUEST, "There is no page of that name here.")
        dropped = {b"x-gradio-server"}  # which Gradio takes for its own address
        if not self.serves(forwarded_host(headers)):
            dropped.add(b"x-forwarded-host")
        return [(name, value) for name, value in headers.raw if name not in dropped]

    def serves(self, authority: str) -> bool:
        """Whether NAME:PORT is under one of this server's names."""
        name = name_of(authority)
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
            same = without_port(authority) in map(without_port, filter(None, asked))
            foreign = not (same or name_of(authority) in self.proxied)
        if foreign:
            raise Refusal(HTTPStatus.FORBIDDEN, "Another site's page must not ask for this.")


def check_route(scope: Scope) -> None:
    """Refuse what neither the page nor its API needs."""
    path, method = scope["path"], scope["method"]
    if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > LONGEST_ADDRESS:
        raise Refusal(HTTPStatus.REQUEST_URI_TOO_LONG, "The address is too long.")
    allowed = {"GET": READABLE, "HEAD": READABLE, "POST": WRITABLE}.get(method)
    named = path.removeprefix(FILE) if path.startswith(FILE) else None
    if not (allowed and allowed.fullmatch(path)) or (named and not is_upload(Path(named))):
        raise Refusal(HTTPStatus.NOT_FOUND, "There is nothing here.")


def name_of(authority: str) -> str:
    """The name in NAME or NAME:PORT, in lower case; empty if it is neither."""
    found = AUTHORITY.fullmatch(authority.lower())
    return found[1] if found else ""


def without_port(authority: str) -> str:
    """NAME:PORT without a port that browsers leave out."""
    return authority.removesuffix(":80").removesuffix(":443")


def forwarded_host(headers: Headers) -> str:
    """The name under which a proxy was asked, as it says."""
    return headers.get("x-forwarded-host", "").partition(",")[0].strip().lower()
