"""Bodies of requests: counted while they arrive, and inspected before Gradio reads them."""

import json
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope

from pix2pix_ilm.web.error_handlers import Refusal
from pix2pix_ilm.web.painter import MAX_URL_LENGTH, URL_PREFIX
from pix2pix_ilm.web.uploads import is_upload

UPLOAD_PATH, LOGIN_PATH = "/gradio_api/upload", "/login"
MAX_JSON_BYTES = 1 << 20  # a drawing and 100 files have about half of it
MAX_UPLOAD_BYTES = 256 << 20  # of all files of one request; each may have 10 MB
MAX_LOGIN_BYTES = 8 << 10
FORMS = {
    UPLOAD_PATH: (MAX_UPLOAD_BYTES, ("multipart/form-data",)),
    LOGIN_PATH: (MAX_LOGIN_BYTES, ("multipart/form-data", "application/x-www-form-urlencoded")),
}
"""Path of a form -> most bytes, media types."""
MAX_VALUES = 20_000  # in the JSON of one request
MAX_TEXT = 200  # characters, of a model's name for example
MAX_FILE_TEXT = 2000  # characters of what names an upload: "path", "url", "orig_name"


async def inspect_body(scope: Scope, receive: Receive) -> Receive:
    """Count a body while it arrives; read and check all but an upload before it is handed on.

    Returns:
        Where to read the body from.

    Raises:
        Refusal: two lengths, too large, the wrong media type of a form, or refused by
            ``check_json``; for an upload, reading from what is returned raises it.
    """
    headers, path = Headers(scope=scope), scope["path"].rstrip("/")
    if "content-length" in headers and "transfer-encoding" in headers:
        raise Refusal(HTTPStatus.BAD_REQUEST, "The request states its length twice.")
    limit, forms = FORMS.get(path, (MAX_JSON_BYTES, ()))
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if forms and media_type not in forms and scope["method"] == "POST":
        raise Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Expected {' or '.join(forms)}.")
    if int(headers.get("content-length", 0)) > limit:
        raise too_large()
    receive = limit_body(receive, limit)
    if path == UPLOAD_PATH:
        return receive
    body = await read_body(receive)
    if not forms:
        check_json(body)
    return replay_body(body, receive)


def too_large() -> Refusal:
    """Return the answer to a body of too many bytes."""
    sentence = "The request is over the maximum allowed size."  # Gradio too makes it a 413
    return Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, sentence)


def limit_body(receive: Receive, limit: int) -> Receive:
    """Pass on a body of at most ``limit`` bytes; Refusal if it has more, or breaks off."""
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


async def read_body(receive: Receive) -> bytes:
    """Read a request's whole body."""
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return bytes(body)


def replay_body(body: bytes, receive: Receive) -> Receive:
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
    """Refuse what is not JSON, has more in it than the page sends, or names a foreign file.

    Raises:
        Refusal: with status 400 or 413.
    """
    try:
        for count, (key, value) in enumerate(walk_json(json.loads(body or b"null"))):
            if count >= MAX_VALUES or (
                isinstance(value, str) and len(value) > max_length(key, value)
            ):
                raise too_large()
            is_file = key == "path" and value is not None
            if is_file and not (isinstance(value, str) and is_upload(Path(value))):
                sentence = "A file must be uploaded before it is used."
                raise Refusal(HTTPStatus.BAD_REQUEST, sentence)
    except (ValueError, RecursionError):
        raise Refusal(HTTPStatus.BAD_REQUEST, "The request is not valid JSON.") from None


def walk_json(content: Any) -> Iterator[tuple[str, Any]]:
    """Yield every value, every key, and all that is nested in them, with the key of each."""
    left = [("", content)]
    while left:
        key, value = left.pop()
        yield key, value
        if isinstance(value, dict):
            yield from (("", name) for name in value)
            left += value.items()
        elif isinstance(value, list):
            left += (("", one) for one in value)


def max_length(key: str, text: str) -> int:
    """Return how many characters a string under this key may have."""
    if text.startswith(URL_PREFIX):
        return MAX_URL_LENGTH
    return MAX_FILE_TEXT if key in ("path", "url", "orig_name") else MAX_TEXT
