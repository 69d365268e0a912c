"""The process of a command: how its threads wait, what it warns of, how it ends."""

import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SPINS = "2000"  # as fast as GNU OpenMP's default where nothing else runs (docs/performance.md)


def tune_process() -> None:
    """Have idle threads sleep soon, and Pillow keep its warnings; before PyTorch is loaded.

    Threads of GNU OpenMP, PyTorch's on Linux, else spin for milliseconds when they wait for work,
    which makes training many times slower once another program wants a core. What the environment
    says of them is left alone. Files that Pillow cannot read are errors.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
    warnings.filterwarnings("ignore", module=r"PIL\.")


@contextmanager
def ending_in_order() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the process as an exception does, so that temporary files go."""
    previous = {}
    main = threading.current_thread() is threading.main_thread()  # which alone gets signals
    for name in ("SIGTERM", "SIGHUP") if main else ():
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            previous[number] = signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def end(number: int, _frame: FrameType | None) -> None:
    """Exit as a shell reports the signal."""
    sys.exit(128 + number)


def leave_process_group() -> None:
    """Part with torchrun's other processes, if there are any: left to its exit, one may abort."""
    distributed = sys.modules.get("torch.distributed")  # loaded where processes could meet
    if distributed and distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()
