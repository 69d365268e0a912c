"""CMP Facades, the data set of pix2pix: download and verification.

Source: Tylecek and Sara, "Spatial Pattern Templates for Recognition of Objects with Regular
Structure", GCPR 2013; the 606 side-by-side images (photo left, label map right) are those that
Isola et al. distribute with pix2pix.
"""

import hashlib
import os
import shutil
import tarfile
import tempfile
import zlib
from http import HTTPStatus
from pathlib import Path
from typing import IO, TYPE_CHECKING

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from pix2pix_ilm.errors import UserError
from pix2pix_ilm.files import read_bytes

if TYPE_CHECKING:
    import httpx

URL = "http://efrosgans.eecs.berkeley.edu/pix2pix/datasets/facades.tar.gz"
MANIFEST = "9a51aef74925252a751dadb7e80621885b842894441d6e136c879d7fb402839e"
CHUNK = 1 << 20


def download(folder: Path, url: str = URL, archive: Path | None = None) -> None:
    """Put the data set into ``folder``, complete and verified, or leave nothing there.

    An interrupted download goes on where it stopped. An intact copy is left as it is.

    Args:
        folder: where ``train``, ``val`` and ``test`` shall lie.
        url: address of the archive.
        archive: a local copy of the archive, used instead of the address.

    Raises:
        UserError: no network, a damaged archive, another data set, or something in the way.
    """
    try:
        put_into(folder.resolve(), url, archive)
    except OSError as error:
        raise UserError(f"{folder}: cannot be written ({error})") from None


def put_into(folder: Path, url: str, archive: Path | None) -> None:
    """Download, verify and unpack; errors of the disk as they come."""
    if folder.exists() and any(folder.iterdir()):
        verify(folder, folder)
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    if archive is not None:
        unpack(archive, folder)
        return
    fetched = folder.with_name(f"{folder.name}.tar.gz.part")
    fetch(url, fetched)
    unpack(fetched, folder)
    fetched.unlink()


def fetch(url: str, target: Path) -> None:
    """Download an address to a file, from where an earlier attempt stopped."""
    import httpx

    try:
        with httpx.Client(follow_redirects=True, timeout=30) as client:
            fetch_rest(client, url, target)
    except (httpx.HTTPError, httpx.InvalidURL, ImportError, ValueError) as error:
        # the last two: a proxy in the environment that httpx cannot use
        raise UserError(
            f"cannot download {url} ({first_line(error)}); fetch it elsewhere and run "
            f"'pix2pix-ilm data download facades --archive facades.tar.gz'"
        ) from None


def fetch_rest(client: "httpx.Client", url: str, target: Path) -> None:
    """Append what is still missing of an address to a file, with a progress bar."""
    done = target.stat().st_size if target.exists() else 0
    headers = {"Range": f"bytes={done}-", "Accept-Encoding": "identity"}
    with client.stream("GET", url, headers=headers) as response:
        if response.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return  # the file was complete already
        response.raise_for_status()
        resumed = response.status_code == HTTPStatus.PARTIAL_CONTENT
        done = done if resumed else 0
        length = response.headers.get("Content-Length")
        total = done + int(length) if length else None
        description = TextColumn("{task.description}", markup=False)
        columns = (description, BarColumn(), DownloadColumn(), TimeRemainingColumn())
        with Progress(*columns) as progress, target.open("ab" if resumed else "wb") as file:
            task = progress.add_task(f"Downloading {target.stem}", total=total, completed=done)
            for chunk in response.iter_bytes(CHUNK):
                file.write(chunk)
                progress.advance(task, len(chunk))


def unpack(archive: Path, folder: Path) -> None:
    """Unpack and verify the archive beside ``folder``, then rename the result into place."""
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".", suffix=".tmp") as temporary:
        try:
            with open_archive(archive) as file, tarfile.open(fileobj=file) as tar:
                tar.extractall(temporary, filter="data")  # refuses paths that lead outside
        except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
            raise UserError(
                f"{archive}: cannot be unpacked ({first_line(error)}); if the file is damaged, "
                "delete it and try again"
            ) from None
        unpacked = Path(temporary, "facades")
        verify(unpacked, archive)
        if folder.exists():
            folder.rmdir()
        shutil.move(unpacked, folder)


def open_archive(path: Path) -> IO[bytes]:
    """Open the archive; UserError if it cannot be read."""
    try:
        return path.open("rb")
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror}); expected a copy of facades.tar.gz"
        ) from None


def first_line(error: Exception) -> str:
    """Return what went wrong, without the advice that some libraries add."""
    return str(error).partition("\n")[0].rstrip(":")


def verify(folder: Path, source: Path) -> None:
    """Check every image against the content manifest; UserError about ``source`` if one differs."""
    found = manifest(folder)
    if found != MANIFEST:
        count = sum(1 for _ in folder.glob("**/*.jpg"))
        raise UserError(
            f"{source}: not the CMP Facades of pix2pix (606 images with manifest "
            f"{MANIFEST[:12]}, found {count} with {found[:12]}); move it away and try again"
        )


def manifest(folder: Path) -> str:
    """Return the SHA-256 over the sorted list of all JPEG files' names and SHA-256 sums.

    The same as ``find . -name '*.jpg' | LC_ALL=C sort | xargs sha256sum | sha256sum`` inside the
    folder, so independent of how the archive was packed.
    """
    paths = (path for path in folder.glob("**/*.jpg") if path.is_file())
    files = {os.fsencode(f"./{path.relative_to(folder).as_posix()}"): path for path in paths}
    lines = (
        hashlib.sha256(read_bytes(files[name])).hexdigest().encode() + b"  " + name + b"\n"
        for name in sorted(files)
    )
    return hashlib.sha256(b"".join(lines)).hexdigest()
