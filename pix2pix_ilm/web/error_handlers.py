"""Errors as visitors read them: one sentence, little of what they sent, and no traceback."""

from html import escape
from http import HTTPStatus
from typing import Any

import gradio as gr
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import Request
from starlette.responses import JSONResponse

from pix2pix_ilm.errors import UserError

MISFIT = "The request does not fit what this page can do."
MAX_ECHO = 80  # characters


class Refusal(MultiPartException):
    """Answer a request with a status and one sentence.

    Gradio deletes what it has written of a broken upload after an exception of this kind alone.
    """

    def __init__(self, status: HTTPStatus, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


def shorten(text: str) -> str:
    """Return at most 80 characters of what a visitor sent."""
    return text if len(text) <= MAX_ECHO else f"{text[: MAX_ECHO - 3]}..."


async def answer_http_error(_request: Request, error: Exception) -> JSONResponse:
    """Say what Gradio refuses, with little of what was asked."""
    assert isinstance(error, HTTPException)
    detail = shorten(error.detail) if isinstance(error.detail, str) else error.detail
    return JSONResponse({"detail": detail}, error.status_code, headers=error.headers)


async def answer_invalid_json(_request: Request, error: Exception) -> JSONResponse:
    """Say what is wrong with a request's JSON, without repeating it."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    field = ".".join(map(str, first["loc"]))
    return JSONResponse({"detail": shorten(f"{field}: {first['msg']}")}, 422)


EXCEPTION_HANDLERS = {HTTPException: answer_http_error, RequestValidationError: answer_invalid_json}


class QuietBlocks(gr.Blocks):
    """Tell the visitor in one sentence what went wrong, and print no traceback for it."""

    async def preprocess_data(self, *arguments: Any, **named: Any) -> Any:
        """Do as Gradio does, where any error means that the request does not fit the function."""
        try:
            return await super().preprocess_data(*arguments, **named)
        except Exception:  # every component raises its own
            raise gr.Error(MISFIT, print_exception=False) from None

    async def call_function(self, *arguments: Any, **named: Any) -> Any:
        """Do as Gradio does; the visitor reads the message of a UserError."""
        try:
            return await super().call_function(*arguments, **named)
        except UserError as error:
            raise gr.Error(escape(str(error)), print_exception=False) from None
