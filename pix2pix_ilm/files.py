"""Writing files so that a reader, or a crash, never meets half of one."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

from pix2pix_ilm.errors import UserError


def write_atomically(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Let ``write`` fill a temporary file beside ``path``, sync it, and rename it into place.

    Raises:
        UserError: the file cannot be written, e.g. because the disk is full; what was there
            under this name before is left as it was.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except (OSError, RuntimeError) as error:  # torch.save reports a full disk as RuntimeError
        reason = error.strerror if isinstance(error, OSError) else None
        raise UserError(
            f"{path}: cannot be written ({reason or error}); what was there before is intact"
        ) from None
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
