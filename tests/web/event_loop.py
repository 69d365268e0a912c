"""Coroutines in tests that may share a process with Playwright, whose own loop runs on there."""

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

TIMEOUT = 60  # seconds


def run_apart(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine to its end, for a minute at most, in a thread that has no other loop."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, asyncio.wait_for(coroutine, TIMEOUT)).result()
