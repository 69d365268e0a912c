"""Files: written so that a reader, or a crash, never meets half of one; read with clear errors."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

from pix2pix_ilm.errors import UserError


def is_folder(path: Path) -> bool:
    """``Path.is_dir``, but False where that raises: no permission to look, too long a name."""
    try:
        return path.is_dir()
    except OSError:
        return False


def list_folder(folder: Path) -> list[Path]:
    """Everything in a folder; UserError if it cannot be listed."""
    try:
        return list(folder.iterdir())
    except OSError as error:
        raise UserError(f"{folder}: cannot be listed ({error.strerror})") from None


def make_folder(folder: Path) -> None:
    """Make a folder and those above it where they are missing; UserError if that fails."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: cannot be made ({error.strerror})") from None


def read_bytes(path: Path) -> bytes:
    """The contents of a file; UserError if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None


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
        full = "" if isinstance(error, OSError) else "; is the disk full?"
        reason = getattr(error, "strerror", None) or f"{error}{full}"
        raise UserError(
            f"{path}: cannot be written ({reason}); what was there before is intact"
        ) from None
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
