"""Stopping a run from outside, without losing anything."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType


class Interrupted(Exception):
    """Training was stopped by a signal, and saved.

    Attributes:
        folder: the run's folder.
        step: steps done.
    """

    def __init__(self, folder: Path, step: int) -> None:
        super().__init__(f"stopped and saved at step {step}")
        self.folder = folder
        self.step = step


@contextmanager
def noting_signals() -> Iterator[list[int]]:
    """Note signals to end in a list instead of ending; a second one ends the process at once.

    Those are SIGINT (Ctrl-C), SIGTERM and SIGHUP (the terminal is gone). One that is ignored stays
    so, as SIGHUP under nohup.
    """
    heard: list[int] = []
    previous = {}

    def note(number: int, _frame: FrameType | None) -> None:
        heard.append(number)
        signal.signal(number, previous[number])

    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            previous[number] = signal.signal(number, note)
    try:
        yield heard
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
