"""How often a password may be tried."""

import asyncio

import pytest
from web.event_loop import run_apart

from pix2pix_ilm.web import login
from pix2pix_ilm.web.answers import Refusal
from pix2pix_ilm.web.login import TRIES_IN_ALL, TRIES_WAITING, LoginTries


async def refuse(_scope, _receive, send):
    await send({"type": "http.response.start", "status": 400})


async def settle() -> None:
    """Let every task go as far as it can."""
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.fixture
def crowd(monkeypatch):
    """Tries many wrong passwords at once from some addresses, each followed by an endless pause.

    Gives how many were answered before any pause ended, how many were turned away, and the rest
    after all pauses ended.
    """

    def try_from(addresses: list[str]) -> tuple[int, int, int]:
        answered = []

        async def send(message) -> None:
            answered.append(message)

        async def run() -> tuple[int, int, int]:
            over = asyncio.Event()
            monkeypatch.setattr(login, "pause", over.wait)
            tries = LoginTries()
            scopes = [{"client": (address, 1)} for address in addresses]
            tasks = [asyncio.ensure_future(tries.answer(refuse, s, None, send)) for s in scopes]
            await settle()
            at_once = len(answered)
            over.set()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert not tries.waiting
            assert not tries.locks
            away = [result for result in results if result is not None]
            assert all(isinstance(result, Refusal) and result.status == 429 for result in away)
            return at_once, len(away), len(answered) - at_once

        return run_apart(run())

    return try_from


def test_one_address_tries_one_password_at_a_time_and_a_crowd_of_it_is_turned_away(crowd):
    assert crowd(["a"] * 30) == (1, 30 - TRIES_WAITING, TRIES_WAITING - 1)


def test_another_address_need_not_wait(crowd):
    assert crowd(["a"] * 30 + ["b"]) == (2, 30 - TRIES_WAITING, TRIES_WAITING - 1)


def test_many_addresses_are_turned_away_too(crowd):
    assert crowd(list(map(str, range(100)))) == (TRIES_IN_ALL, 100 - TRIES_IN_ALL, 0)
