"""Standard output and error as every command uses them: what breaks them never breaks the work."""

import io
import os
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer
    from rich.console import Console


def prepare_streams(*, announce: bool) -> None:
    """Make the process's standard output and error ones that take any text and never fail.

    Characters that the terminal cannot show become "?" or escapes. A stream whose reader is gone
    (``| head -1``, a closed terminal) or whose disk is full is dropped, and the work goes on.

    Args:
        announce: whether to say on standard error that standard output was lost.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:  # closed: the next file to be opened would take its place
            silence(descriptor)
    if sys.stderr is sys.__stderr__:  # else somebody, such as a test, captures it
        sys.stderr = lasting(sys.stderr, 2, "backslashreplace", announce=False)
    if sys.stdout is sys.__stdout__:
        if sys.stdout is None and announce:
            say_lost("it is closed")
        sys.stdout = lasting(sys.stdout, 1, "replace", announce=announce)


def say(line: str) -> None:
    """Print a line beside the command's output."""
    print(line, file=sys.stderr)  # noqa: T201


def make_console(*, quiet: bool = False) -> "Console":
    """Return a console that prints text as it is: paths and names are neither markup nor emoji."""
    from rich.console import Console

    return Console(markup=False, emoji=False, highlight=False, quiet=quiet)


def lasting(
    stream: TextIO | None, descriptor: int, errors: str, *, announce: bool
) -> io.TextIOWrapper:
    """Return a text stream like the one that Python opened on a descriptor, but one that lasts."""
    raw = LastingFile(descriptor, announce=announce)
    write_through = getattr(stream, "write_through", False)  # PYTHONUNBUFFERED is set
    return io.TextIOWrapper(
        raw if write_through else io.BufferedWriter(raw),
        encoding=stream.encoding if stream else "utf-8",
        errors=errors,
        line_buffering=getattr(stream, "line_buffering", True),
        write_through=write_through,
    )


class LastingFile(io.FileIO):
    """A file descriptor that swallows what is written once it cannot be written.

    Args:
        descriptor: is left open when this object goes.
        announce: whether to say on standard error when that happens.
    """

    def __init__(self, descriptor: int, *, announce: bool) -> None:
        super().__init__(descriptor, "wb", closefd=False)
        self.announce = announce

    def write(self, data: "ReadableBuffer", /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            silence(self.fileno())
            if self.announce:
                say_lost(error.strerror or str(error))
            return memoryview(data).nbytes


def say_lost(reason: str) -> None:
    say(f"standard output cannot be written ({reason}); going on without it")


def silence(descriptor: int) -> None:
    """Let a descriptor, open or not, lead nowhere."""
    null = os.open(os.devnull, os.O_RDWR)
    if null != descriptor:
        os.dup2(null, descriptor)
        os.close(null)
