"""Ends of a run that come from outside: signals, and other processes that are gone."""

import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from accelerate import Accelerator

from pix2pix_ilm.errors import UserError

LOST = re.compile("by peer|remote worker|ncclRemoteError|NCCL communicator was aborted")
"""Words of gloo and NCCL when a process is gone."""


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
def catch_signals() -> Iterator[list[int]]:
    """Note signals to end in a list instead of ending; a second one ends the process at once.

    Those are SIGINT (Ctrl-C), SIGTERM and SIGHUP (the terminal is gone). One that is ignored stays
    so, as SIGHUP under nohup.
    """
    heard: list[int] = []
    previous = {}

    def note(number: int, _frame: FrameType | None) -> None:
        heard.append(number)
        signal.signal(number, previous[number] if number == signal.SIGINT else signal.SIG_DFL)

    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            previous[number] = signal.signal(number, note)
    try:
        yield heard
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def report_lost_peers(
    folder: Path, accelerator: Accelerator, tell_last_save: Callable[[], str]
) -> Iterator[None]:
    """Say in one line that another process of the training is gone.

    Args:
        folder: the run's.
        accelerator: of the training.
        tell_last_save: returns which steps are kept.
    """
    try:
        yield
    except RuntimeError as error:
        if accelerator.num_processes == 1 or not LOST.search(str(error)):
            raise
        raise UserError(
            f"{folder}: another process of this training ended, so this one ends too "
            f"({tell_last_save()}); its own message says why; then resume with all processes"
        ) from None
