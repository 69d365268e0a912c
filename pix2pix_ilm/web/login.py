"""Who may come in: the page that asks for a password, and how often one may be tried."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pix2pix_ilm.web.answers import Refusal

LOGIN_PAGE = Path(__file__).parent / "assets" / "login.html"
TRIES_WAITING, TRIES_IN_ALL = 4, 32  # from one address and from all


class LoginTries:
    """Lets each address try one wrong password a second, few of them in line."""

    def __init__(self) -> None:
        self.waiting: Counter[str] = Counter()
        self.locks: dict[str, asyncio.Lock] = {}

    async def answer(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
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
        """Wait until no other try of this address is going on."""
        if self.waiting[address] >= TRIES_WAITING or self.waiting.total() >= TRIES_IN_ALL:
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
    """Whether Gradio asks for no password, or gave this visitor the token of a right one."""
    app = scope["app"]
    if app.auth is None:
        return True
    cookies = Request(scope).cookies
    names = (f"access-token-{app.cookie_id}", f"access-token-unsecure-{app.cookie_id}")
    return any(cookies.get(name) in app.tokens for name in names)
