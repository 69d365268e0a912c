"""What is said where the page cannot do what was asked: one sentence, and no traceback."""

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
from pix2pix_ilm.web.uploads import shortened

MISFIT = "The request does not fit what this page can do."


class Refusal(MultiPartException):
    """An answer of one sentence instead of the page's.

    Gradio deletes what it has written of a broken upload after an exception of this kind alone.
    """

    def __init__(self, status: HTTPStatus, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


async def answer_http_error(_request: Request, error: Exception) -> JSONResponse:
    """Say what Gradio refuses, with little of what was asked."""
    assert isinstance(error, HTTPException)
    detail = shortened(error.detail) if isinstance(error.detail, str) else error.detail
    return JSONResponse({"detail": detail}, error.status_code, headers=error.headers)


async def answer_misfit(_request: Request, error: Exception) -> JSONResponse:
    """Say what is wrong with a request's JSON, without repeating it."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    return JSONResponse({"detail": shortened(f"{where}: {first['msg']}")}, 422)


EXCEPTION_HANDLERS = {HTTPException: answer_http_error, RequestValidationError: answer_misfit}


class Blocks(gr.Blocks):
    """Tells the visitor in one sentence what went wrong, and prints no traceback for it."""

    async def preprocess_data(self, *arguments: Any, **named: Any) -> Any:
        """As Gradio's, where any error means that the request does not fit the function."""
        try:
            return await super().preprocess_data(*arguments, **named)
        except Exception:  # every component raises its own
            raise gr.Error(MISFIT, print_exception=False) from None

    async def call_function(self, *arguments: Any, **named: Any) -> Any:
        """As Gradio's; what an action says is wrong is what the visitor reads."""
        try:
            return await super().call_function(*arguments, **named)
        except UserError as error:
            raise gr.Error(escape(str(error)), print_exception=False) from None
