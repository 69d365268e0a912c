"""What every request must pass before it reaches the page's server."""

import json
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pix2pix_ilm.web.uploads import is_upload

LARGEST_JSON = 4 << 20  # bytes: a painted label map has some thousand
LARGEST_UPLOAD = 256 << 20  # bytes: of all files of one request; each may have 10 MB
FORMS = ("multipart/form-data", "application/x-www-form-urlencoded")
CLOSED = (
    "/dev/", "/monitoring", "/gradio_api/deep_link", "/gradio_api/dev/", "/gradio_api/process_rec",
    "/gradio_api/proxy=", "/gradio_api/run-history", "/gradio_api/runs", "/gradio_api/stream/",
    "/gradio_api/undo-vibe", "/gradio_api/vibe",
)  # fmt: skip
"""Gradio's own doors that this page does not use."""
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


class Guard:
    """Keeps the browser from asking other servers, and strangers from naming files of this one.

    Gradio lets a request name any file, or an address to fetch, as the value of an image. Here
    the one rule is: a file that a request names was uploaded before.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *HEADERS.items()]
            await send(message)

        refusal, replay = await self.inspect(scope, receive)
        app = refusal or self.app
        await app(scope, replay, send_with_headers)

    async def inspect(self, scope: Scope, receive: Receive) -> tuple[ASGIApp | None, Receive]:
        """An answer that refuses the request, or None, and where to read its body from."""
        if scope["path"].startswith(CLOSED):
            return refuse(HTTPStatus.NOT_FOUND, "There is nothing here."), receive
        if scope["method"] in ("GET", "HEAD", "OPTIONS"):
            return None, receive
        headers = Headers(scope=scope)
        length = headers.get("content-length", "")
        if not length.isdecimal():
            return refuse(HTTPStatus.LENGTH_REQUIRED, "The request must say its length."), receive
        is_form = headers.get("content-type", "").lower().startswith(FORMS)
        if int(length) > (LARGEST_UPLOAD if is_form else LARGEST_JSON):
            return refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The request is too large."), receive
        if is_form:
            return None, receive
        body = await read(receive)
        return refuse_body(body), replaying(body, receive)


def refuse(status: HTTPStatus, reason: str) -> JSONResponse:
    return JSONResponse({"detail": reason}, status_code=status)


def refuse_body(body: bytes) -> JSONResponse | None:
    """An answer to what is not JSON, or names a file that was not uploaded."""
    try:
        content = json.loads(body or b"null")
        names = list(named_files(content))
    except (ValueError, RecursionError):
        return refuse(HTTPStatus.BAD_REQUEST, "The request is not valid JSON.")
    if all(isinstance(name, str) and is_upload(Path(name)) for name in names):
        return None
    return refuse(HTTPStatus.BAD_REQUEST, "A file must be uploaded before it is used.")


def named_files(content: Any) -> Iterator[Any]:
    """Every value that stands under "path", or is nested in lists and objects."""
    if isinstance(content, dict):
        if content.get("path") is not None:
            yield content["path"]
        for value in content.values():
            yield from named_files(value)
    elif isinstance(content, list):
        for value in content:
            yield from named_files(value)


async def read(receive: Receive) -> bytes:
    """A request's whole body, whose length was checked."""
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return bytes(body)


def replaying(body: bytes, receive: Receive) -> Receive:
    """Hand out a body that was read already, then whatever follows."""
    sent = False

    async def replay() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
