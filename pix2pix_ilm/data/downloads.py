"""Data sets that are distributed with pix2pix: download and verification.

All hold side-by-side images, photo left and label map right, as Isola et al. distribute them. CMP
Facades is from Tylecek and Sara, "Spatial Pattern Templates for Recognition of Objects with Regular
Structure", GCPR 2013; Cityscapes from Cordts et al., "The Cityscapes Dataset for Semantic Urban
Scene Understanding", CVPR 2016.
"""

import hashlib
import os
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import IO, TYPE_CHECKING

from PIL import Image, UnidentifiedImageError
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from pix2pix_ilm.data.cache import default_cache
from pix2pix_ilm.errors import LockedError, UserError
from pix2pix_ilm.files import (
    make_folder,
    making_folder,
    read_bytes,
    take_lock,
    write_atomically,
)

if TYPE_CHECKING:
    import httpx

URL = "http://efrosgans.eecs.berkeley.edu/pix2pix/datasets/{name}.tar.gz"
CHUNK = 1 << 20


@dataclass(frozen=True, kw_only=True)
class KnownDataSet:
    """Contents of a data set, as its archive must hold them."""

    title: str
    splits: Mapping[str, int]
    """Split -> number of images."""
    size: tuple[int, int]
    """Width and height of every image."""
    manifest: str | None = None
    """Of all images; None: that of the first download is remembered."""


KNOWN = {
    "facades": KnownDataSet(
        title="CMP Facades",
        splits={"train": 400, "val": 100, "test": 106},
        size=(512, 256),
        manifest="9a51aef74925252a751dadb7e80621885b842894441d6e136c879d7fb402839e",
    ),
    "maps": KnownDataSet(
        title="aerial photos and maps", splits={"train": 1096, "val": 1098}, size=(1200, 600)
    ),
    "cityscapes": KnownDataSet(
        title="Cityscapes", splits={"train": 2975, "val": 500}, size=(512, 256)
    ),
}


def download(name: str, folder: Path, url: str = URL, archive: Path | None = None) -> None:
    """Put a data set into ``folder``, complete and verified, or leave nothing there.

    An interrupted download goes on where it stopped. An intact copy is left as it is.

    Args:
        name: one of ``KNOWN``.
        folder: where its splits shall lie.
        url: address of the archive, with {name} for the name.
        archive: a local copy of the archive, used instead of the address.

    Raises:
        UserError: no network, a damaged archive, another data set, or something in the way.
    """
    try:
        put_into(name, folder.resolve(), url.format(name=name), archive)
    except OSError as error:
        raise UserError(f"{folder}: cannot be written ({error})") from None


def put_into(name: str, folder: Path, url: str, archive: Path | None) -> None:
    """Download, verify and unpack; errors of the disk as they come."""
    with making_folder(folder.parent), alone_at(folder):
        if folder.exists() and any(folder.iterdir()):
            verify(name, folder, folder)
            return
        if archive is not None:
            unpack(name, archive, folder)
            return
        fetched = folder.with_name(f"{folder.name}.tar.gz.part")
        fetch(name, url, fetched)
        unpack(name, fetched, folder)
        fetched.unlink()


@contextmanager
def alone_at(folder: Path) -> Iterator[None]:
    """Refuse a folder that another process puts a data set into."""
    file = folder.with_name(f".{folder.name}.lock")
    try:
        lock = take_lock(file)
    except LockedError:
        raise UserError(f"{folder}: another process puts a data set there; wait for it") from None
    with lock:
        try:
            yield
        finally:
            with suppress(OSError):  # Windows keeps files that are open
                file.unlink(missing_ok=True)


def fetch(name: str, url: str, target: Path) -> None:
    """Download an address to a file, from where an earlier attempt stopped."""
    import httpx

    try:
        with httpx.Client(follow_redirects=True, timeout=30) as client:
            fetch_rest(client, url, target)
    except (httpx.HTTPError, httpx.InvalidURL, ImportError, ValueError) as error:
        # the last two: a proxy in the environment that httpx cannot use
        raise UserError(
            f"cannot download {url} ({first_line(error)}); fetch it elsewhere and run "
            f"'pix2pix-ilm data download {name} --archive {name}.tar.gz'"
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


def unpack(name: str, archive: Path, folder: Path) -> None:
    """Unpack and verify the archive beside ``folder``, then rename the result into place."""
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".", suffix=".tmp") as temporary:
        try:
            with open_archive(name, archive) as file, tarfile.open(fileobj=file) as tar:
                tar.extractall(temporary, filter="data")  # refuses paths that lead outside
        except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # of the disk, not of the archive
            raise UserError(
                f"{archive}: cannot be unpacked ({first_line(error)}); if the file is damaged, "
                "delete it and try again"
            ) from None
        unpacked = Path(temporary, name)
        verify(name, unpacked, archive)
        if folder.exists():
            folder.rmdir()
        shutil.move(unpacked, folder)


def open_archive(name: str, path: Path) -> IO[bytes]:
    """Open the archive; UserError if it cannot be read."""
    try:
        return path.open("rb")
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror}); expected a copy of {name}.tar.gz"
        ) from None


def first_line(error: Exception) -> str:
    """Return what went wrong, without the advice that some libraries add."""
    return str(error).partition("\n")[0].rstrip(":")


def verify(name: str, folder: Path, source: Path) -> None:
    """Check every image against what is known of a data set; UserError about ``source``."""
    known, found = KNOWN[name], manifest(folder)
    if known.manifest is None:
        check_structure(known, folder, source)
        compare_with_first(name, found, source)
    elif found != known.manifest:
        count, expected = sum(1 for _ in folder.glob("**/*.jpg")), sum(known.splits.values())
        raise UserError(
            f"{source}: not the {known.title} of pix2pix ({expected} images with manifest "
            f"{known.manifest[:12]}, found {count} with {found[:12]}); move it away and try again"
        )


def check_structure(known: KnownDataSet, folder: Path, source: Path) -> None:
    """Count the images of each split, and look at the size of each."""
    counts = {split: len(list(folder.glob(f"{split}/*.jpg"))) for split in known.splits}
    if counts != known.splits:
        expected, found = (
            ", ".join(f"{count} in {split}" for split, count in of.items())
            for of in (known.splits, counts)
        )
        raise UserError(
            f"{source}: not the {known.title} of pix2pix (images: {expected}; found {found}); move "
            "it away and try again"
        )
    expected = "{}x{}".format(*known.size)
    for path in sorted(folder.glob("*/*.jpg")):
        try:
            with Image.open(path) as image:
                found = "{}x{}".format(*image.size)
        except UnidentifiedImageError:
            found = "no image"
        if found != expected:
            name = path.relative_to(folder)
            raise UserError(f"{source}: {name}: expected {expected}, found {found}")


def compare_with_first(name: str, found: str, source: Path) -> None:
    """Compare a manifest with that of the first download, or note it as such."""
    note = default_cache() / "downloads" / f"{name}.sha256"
    if not note.exists():
        make_folder(note.parent)
        write_atomically(note, lambda file: file.write(found.encode()))
    elif (first := read_bytes(note).decode("ascii", errors="replace").strip()) != found:
        raise UserError(
            f"{source}: its images are not those of the first download (manifest {first[:12]}, "
            f"found {found[:12]}); move it away, or delete {note} if they were meant to change"
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
