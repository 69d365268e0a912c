"""The bodies of requests: counted while they arrive, and read before Gradio reads them."""

import json
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope

from pix2pix_ilm.web.answers import Refusal
from pix2pix_ilm.web.canvas import LONGEST_URL, URL_START
from pix2pix_ilm.web.uploads import is_upload

UPLOAD, LOGIN = "/gradio_api/upload", "/login"
LARGEST_JSON = 1 << 20  # bytes: a drawing and 100 files have about half of it
LARGEST_UPLOAD = 256 << 20  # bytes: of all files of one request; each may have 10 MB
LARGEST_LOGIN = 8 << 10  # bytes
FORMS = {
    UPLOAD: (LARGEST_UPLOAD, ("multipart/form-data",)),
    LOGIN: (LARGEST_LOGIN, ("multipart/form-data", "application/x-www-form-urlencoded")),
}
"""Where forms are taken: most bytes, media types."""
MOST_VALUES = 20_000  # in the JSON of one request
LONGEST_TEXT = 200  # characters, of a model's name for example
LONGEST_OF_FILES = 2000  # characters of what names an upload: "path", "url", "orig_name"


async def inspect_body(scope: Scope, receive: Receive) -> Receive:
    """Count a body while it arrives; all but an upload is read and checked before it is handed on.

    Returns:
        Where to read the body from.
    """
    headers, path = Headers(scope=scope), scope["path"].rstrip("/")
    if "content-length" in headers and "transfer-encoding" in headers:
        raise Refusal(HTTPStatus.BAD_REQUEST, "The request states its length twice.")
    limit, forms = FORMS.get(path, (LARGEST_JSON, ()))
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if forms and media_type not in forms and scope["method"] == "POST":
        raise Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Expected {' or '.join(forms)}.")
    if int(headers.get("content-length", 0)) > limit:
        raise too_large()
    receive = counting(receive, limit)
    if path == UPLOAD:
        return receive
    body = await read(receive)
    if not forms:
        check_json(body)
    return replaying(body, receive)


def too_large() -> Refusal:
    sentence = "The request is over the maximum allowed size."  # Gradio too makes it a 413
    return Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, sentence)


def counting(receive: Receive, limit: int) -> Receive:
    """Pass on a body of at most so many bytes; Refusal if there are more, or it breaks off."""
    count, complete = 0, False

    async def receive_counted() -> Message:
        nonlocal count, complete
        message = await receive()
        count += len(message.get("body", b""))
        if count > limit:
            raise too_large()
        if message["type"] == "http.disconnect" and not complete:
            raise Refusal(HTTPStatus.BAD_REQUEST, "The request broke off.")
        complete = complete or not message.get("more_body", False)
        return message

    return receive_counted


async def read(receive: Receive) -> bytes:
    """A request's whole body."""
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


def check_json(body: bytes) -> None:
    """Refuse what is not JSON, has more in it than the page sends, or names a foreign file."""
    try:
        for count, (key, value) in enumerate(values(json.loads(body or b"null"))):
            if count >= MOST_VALUES or (
                isinstance(value, str) and len(value) > longest(key, value)
            ):
                raise too_large()
            is_file = key == "path" and value is not None
            if is_file and not (isinstance(value, str) and is_upload(Path(value))):
                sentence = "A file must be uploaded before it is used."
                raise Refusal(HTTPStatus.BAD_REQUEST, sentence)
    except (ValueError, RecursionError):
        raise Refusal(HTTPStatus.BAD_REQUEST, "The request is not valid JSON.") from None


def values(content: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Every value, every key, and everything nested in them, with the key that it stands under."""
    yield key, content
    if isinstance(content, dict):
        for name, value in content.items():
            yield "", name
            yield from values(value, name)
    elif isinstance(content, list):
        for value in content:
            yield from values(value)


def longest(key: str, text: str) -> int:
    """How many characters a string may have."""
    if text.startswith(URL_START):
        return LONGEST_URL
    return LONGEST_OF_FILES if key in ("path", "url", "orig_name") else LONGEST_TEXT
