"""Errors in front of a server that raises them."""

import httpx
import pytest
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel
from web.event_loop import run_apart

from pix2pix_ilm.web.error_handlers import (
    EXCEPTION_HANDLERS,
    shorten,
)


class Answer(BaseModel):
    number: int


@pytest.fixture
def app():
    app = FastAPI(exception_handlers=EXCEPTION_HANDLERS)

    @app.post("/number")
    async def number(answer: Answer) -> int:
        return answer.number

    @app.get("/fail")
    async def fail() -> None:
        raise HTTPException(403, "x" * 1000, {"x-why": "because"})

    return app


def ask(app: FastAPI, method: str, path: str, **settings) -> httpx.Response:
    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.request(method, path, **settings)

    return run_apart(send())


def test_little_of_a_long_text_is_repeated():
    assert shorten("a" * 80) == "a" * 80
    assert shorten("a" * 81) == "a" * 77 + "..."


def test_an_http_error_keeps_its_status_and_headers(app):
    answer = ask(app, "GET", "/fail")
    assert (answer.status_code, answer.headers["x-why"]) == (403, "because")
    assert answer.json() == {"detail": "x" * 77 + "..."}


def test_invalid_json_is_named_by_its_field_and_not_repeated(app):
    assert ask(app, "POST", "/number", json={"number": 3}).json() == 3
    answer = ask(app, "POST", "/number", json={"number": "secret" * 100})
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("body.number: ")
    assert "secret" not in answer.text
