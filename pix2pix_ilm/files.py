"""Files: written so that a reader, or a crash, never meets half of one; JSON of dataclasses."""

import json
import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, TYPE_CHECKING, Any, TypeVar

from filelock import FileLock, Timeout

from pix2pix_ilm.errors import LockedError, SettingError, UserError, shorten

if TYPE_CHECKING:
    from pydantic import ValidationError

TEMPORARY = ".tmp"
LISTED_PROBLEMS = 10
Record = TypeVar("Record")


def is_folder(path: Path) -> bool:
    """Return ``Path.is_dir``, or False where that raises: no permission, too long a name."""
    try:
        return path.is_dir()
    except OSError:
        return False


def list_folder(folder: Path) -> list[Path]:
    """List everything in a folder; UserError if that cannot be done."""
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


@contextmanager
def making_folder(folder: Path) -> Iterator[None]:
    """Make a folder and those above it; if the block fails, those that are still empty go again."""
    made = [place for place in (folder, *folder.parents) if not os.path.lexists(place)]
    try:
        make_folder(folder)
        yield
    except BaseException:
        for place in made:
            with suppress(OSError):  # it is not empty
                place.rmdir()
        raise


@contextmanager
def filling_folder(folder: Path) -> Iterator[Path]:
    """Give a temporary folder to fill, which becomes ``folder`` when the block ends well.

    Args:
        folder: a new or empty one; complete afterwards, or as it was.

    Raises:
        UserError: there is something in it, or it cannot be made.
    """
    place = folder.resolve()
    check_fillable(folder)
    make_folder(place.parent)
    with temporary_folder(place) as parent:
        filled = Path(parent) / "filled"  # with the permissions of an ordinary folder
        filled.mkdir()
        yield filled
        try:
            with suppress(FileNotFoundError):
                place.rmdir()
            filled.rename(place)
        except OSError as error:
            raise UserError(f"{folder}: cannot be made ({error.strerror})") from None


def check_fillable(folder: Path) -> None:
    """Raise UserError where a folder has something in it, or cannot be put into place whole."""
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UserError(f"{folder}: is not empty; choose a new folder")
        if folder.is_mount():
            raise UserError(f"{folder}: is a mount point; choose a new folder in it")
    except OSError as error:
        raise UserError(f"{folder}: cannot be read ({error.strerror})") from None


def temporary_folder(folder: Path) -> "TemporaryDirectory[str]":
    """Make a temporary folder beside another one."""
    try:
        return TemporaryDirectory(prefix=".", suffix=TEMPORARY, dir=folder.parent)
    except OSError as error:
        raise UserError(f"{folder}: cannot be made ({error.strerror})") from None


def take_lock(path: Path) -> AbstractContextManager[object]:
    """Lock a file until the returned context ends, or the process does, however it does.

    Raises:
        LockedError: another process has it.
        UserError: the file cannot be written.
    """
    try:
        return FileLock(path).acquire(blocking=False)
    except Timeout:
        raise LockedError(f"{path}: another process holds this lock") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror})") from None


def read_bytes(path: Path) -> bytes:
    """Read the contents of a file; UserError if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None


def describe_first(error: "ValidationError") -> str:
    """Return the first problem of some JSON in one line: where it stands, and what was found."""
    first = error.errors()[0]
    where = ".".join(shorten(part).strip("'") for part in first["loc"]) or "content"
    if first["type"] in ("missing", "json_invalid"):
        return f"{where}: {first['msg']}"
    return f"{where}: {first['msg']}, found {shorten(first['input'])}"


def write_atomically(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Let ``write`` fill a temporary file beside ``path``, sync it, and rename it into place.

    Raises:
        UserError: the file cannot be written, e.g. because the disk is full, or is a folder, a
            device or a pipe; what was there under this name before is left as it was.
    """
    refuse_special(path)
    # a name of its own, short enough wherever the final one fits
    temporary = path.with_name(f".{secrets.token_hex(8)}{TEMPORARY}")
    try:
        with temporary.open("xb") as file:
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


def refuse_special(path: Path) -> None:
    """Raise UserError where something that is no file has the name of a file to write."""
    try:
        special = not path.name or (path.exists() and not path.is_file())
        found = "folder" if path.is_dir() else "device or a pipe"
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror})") from None
    if special:
        raise UserError(f"{path}: is a {found}; expected a file to write")


def write_json(path: Path, record: Any) -> None:  # noqa: ANN401
    """Write a dataclass as JSON.

    Raises:
        UserError: as in ``write_atomically``, or a file's name in it is not UTF-8, as JSON is.
    """
    text = json.dumps(asdict(record), indent=2, default=str, ensure_ascii=False) + "\n"
    try:
        content = text.encode()
    except UnicodeEncodeError as error:
        line = text[: error.start].rpartition("\n")[2] + text[error.start :].partition("\n")[0]
        raise UserError(
            f"{path}: cannot be written, as it would name {line.strip(' ,')!a}, which is not "
            "UTF-8; rename it"
        ) from None
    write_atomically(path, lambda file: file.write(content))


def read_json(path: Path, record: type[Record]) -> Record:
    """Read a dataclass from JSON: all of its names, no others, and of the types that it declares.

    Raises:
        UserError: no such file, or not what the dataclass expects; names the file and the setting.
    """
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(record).validate_json(read_bytes(path), strict=True, extra="forbid")
    except SettingError as error:
        raise UserError(f"{path}: {error}") from None
    except ValidationError as error:
        raise UserError(f"{path}: {describe_first(error)}") from None


def list_problems(headline: str, problems: Iterable[object]) -> str:
    """Return a headline with the number of problems, the first ten, and how many more there are."""
    problems = [str(problem) for problem in problems]
    shown = problems[:LISTED_PROBLEMS]
    if len(problems) > len(shown):
        shown.append(f"... and {len(problems) - len(shown)} more")
    return "\n  ".join([f"{headline} ({len(problems)}):", *shown])
