"""A data set decoded once into memory-mapped uint8 arrays.

An entry of the cache is a folder named after what is in it: the contents of the image files, the
size they were resized to, and their channels or the palette of their classes. Changed files
therefore make another entry, and the data set's own folder is never written to. An entry whose
files are not as they were written is made again. Deleting the cache is always safe.
"""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from jaxtyping import UInt8
from platformdirs import user_cache_path
from torch import Tensor

from pix2pix_ilm.data import Direction
from pix2pix_ilm.data.images import BICUBIC, NEAREST, Channels, resize
from pix2pix_ilm.data.pairs import Pair
from pix2pix_ilm.data.palette import Palette
from pix2pix_ilm.data.parallel import all_or_listing
from pix2pix_ilm.errors import UserError
from pix2pix_ilm.files import read_bytes, write_atomically

FORMAT = 2
"""To be raised whenever an image file is decoded to other pixels than before."""
SIDES = ("a.npy", "b.npy")
SETTLED = 2 * 10**9  # nanoseconds: no file system's clock ticks more coarsely
ELSEWHERE = "set HOME to a folder that can be written, or PIX2PIX_ILM_CACHE to one for the cache"


@dataclass(frozen=True)
class PairedImages:
    """Decoded pairs: label maps and photos, memory-mapped or on a device.

    ``digest`` identifies the files' names and contents. With a palette, label maps are indices of
    its classes.
    """

    names: tuple[str, ...]
    label_map: UInt8[Tensor, "n h w c1"]
    photo: UInt8[Tensor, "n h w c2"]
    digest: str
    palette: Palette | None = None

    def __len__(self) -> int:
        return len(self.names)

    @property
    def bytes(self) -> int:
        """Return the size of all images."""
        return self.label_map.nbytes + self.photo.nbytes

    def to(self, device: torch.device) -> "PairedImages":
        """Copy the images to a device; on the CPU they stay memory-mapped."""
        return replace(self, label_map=self.label_map.to(device), photo=self.photo.to(device))

    @property
    def painted_label_map(self) -> UInt8[Tensor, "n h w c"]:
        """Return the label maps to be looked at: with the classes' colors where they have some."""
        if self.palette is None:
            return self.label_map
        painted = self.palette.paint(self.label_map.cpu().numpy())
        return torch.from_numpy(painted).to(self.label_map.device)


def load_pairs(
    pairs: Sequence[Pair],
    size: int,
    *,
    direction: Direction,
    label_channels: Channels = 3,
    photo_channels: int = 3,
    cache: Path | None = None,
) -> PairedImages:
    """Decode pairs at size x size, or open what was decoded before.

    Args:
        pairs: what to read.
        size: height and width to resize both images to (bicubic; classes by the nearest pixel).
        direction: AtoB if A is the label map, BtoA if B is.
        label_channels: 3 for color, 1 for gray, or the palette of their classes.
        photo_channels: 3 or 1.
        cache: folder of the cache; by default the user's cache folder.

    Raises:
        UserError: some files cannot be used (the message lists them), or the disk is full.
    """
    a_to_b = direction == "AtoB"
    channels = (label_channels, photo_channels) if a_to_b else (photo_channels, label_channels)
    folder = cache or default_cache()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        digest = content_hash(pairs, folder)
        entry = folder / entry_name(digest, size, channels)
        with FileLock(entry.with_suffix(".lock")):
            if not is_intact(entry, digest):
                write_entry(entry, pairs, size, channels, digest)
    except OSError as error:
        raise unwritable(folder, error) from None
    a, b = (torch.from_numpy(np.load(entry / side, mmap_mode="c")) for side in SIDES)
    label_map, photo = (a, b) if a_to_b else (b, a)
    palette = label_channels if isinstance(label_channels, Palette) else None
    return PairedImages(tuple(pair.name for pair in pairs), label_map, photo, digest, palette)


def default_cache() -> Path:
    """Return the user's cache folder for this program, or the one that PIX2PIX_ILM_CACHE names.

    Raises:
        UserError: there is neither that nor a home folder.
    """
    named = os.environ.get("PIX2PIX_ILM_CACHE")
    if named:
        return Path(named)
    missing = UserError(f"the cache needs a home folder, found none; {ELSEWHERE}")
    try:
        folder = user_cache_path("pix2pix-ilm")
    except RuntimeError:  # of some versions of platformdirs; others return ~ as it is
        raise missing from None
    if not folder.is_absolute():
        raise missing
    return folder


def unwritable(folder: Path, error: OSError) -> UserError:
    """Return the error of a cache that cannot be written, with how to choose another."""
    return UserError(f"{folder}: the cache cannot be written ({error}); {ELSEWHERE}")


def entry_name(digest: str, size: int, channels: tuple[Channels, Channels]) -> str:
    """Return the folder's name of one decoded split at one size."""
    a, b = (c.content_hash if isinstance(c, Palette) else c for c in channels)
    return f"{digest[:32]}-{size}-{a}{b}-v{FORMAT}"


def is_intact(entry: Path, digest: str) -> bool:
    """Return True if the entry's arrays are the very files that were written, untouched since."""
    try:
        written = json.loads((entry / "entry.json").read_text())
        return written == describe_entry(entry, digest)
    except (OSError, ValueError):
        return False


def describe_entry(entry: Path, digest: str) -> dict[str, str | list[int]]:
    """Return the content of ``entry.json``: the data's digest, every array's size and time."""
    description: dict[str, str | list[int]] = {"digest": digest}
    for side in SIDES:
        stat = (entry / side).stat()
        description[side] = [stat.st_size, stat.st_mtime_ns]
    return description


def write_entry(
    entry: Path,
    pairs: Sequence[Pair],
    size: int,
    channels: tuple[Channels, Channels],
    digest: str,
) -> None:
    """Decode all pairs into a temporary folder, then rename it into place."""
    temporary = entry.with_suffix(".tmp")  # the lock makes it ours; a killed process may leave one
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        decode_all(temporary, pairs, size, channels)
        (temporary / "entry.json").write_text(json.dumps(describe_entry(temporary, digest)))
        shutil.rmtree(entry, ignore_errors=True)
        temporary.rename(entry)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def decode_all(
    folder: Path, pairs: Sequence[Pair], size: int, channels: tuple[Channels, Channels]
) -> None:
    """Decode and resize every pair into the arrays of a new entry."""
    depths = [1 if isinstance(c, Palette) else c for c in channels]
    expect_space(folder, len(pairs) * size * size * sum(depths))
    arrays = [
        np.lib.format.open_memmap(folder / side, "w+", np.uint8, (len(pairs), size, size, depth))
        for side, depth in zip(SIDES, depths, strict=True)
    ]
    resampling = [NEAREST if isinstance(c, Palette) else BICUBIC for c in channels]

    def decode(position: int) -> None:
        images = pairs[position].read(channels)
        for array, image, how in zip(arrays, images, resampling, strict=True):
            array[position] = resize(image, size, how)

    all_or_listing(decode, range(len(pairs)), "Decoding images")
    for array in arrays:
        array.flush()


def expect_space(folder: Path, needed: int) -> None:
    """Refuse a memory map that would outgrow the disk, which would end the process by a signal."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise UserError(
            f"{folder.parent}: the cache needs {needed >> 20} MiB, found {free >> 20} MiB free; "
            "PIX2PIX_ILM_CACHE can name another folder"
        )


def content_hash(pairs: Sequence[Pair], hash_cache: Path) -> str:
    """Return SHA-256 over the names and contents of all files, in order.

    Args:
        pairs: whose files.
        hash_cache: folder that keeps hashes, under the fingerprint of the files that they are of.
            Files are read again as soon as one of them was changed, moved or replaced.

    Raises:
        UserError: some files cannot be read (the message lists them).
    """
    fingerprint = stat_fingerprint(pairs)
    known = hash_cache / f"{fingerprint}.digest"
    with suppress(OSError):
        return known.read_text()
    digest = read_and_hash(pairs)
    if fingerprint and fingerprint == stat_fingerprint(pairs):
        with suppress(UserError):  # a full disk: they are read again next time
            write_atomically(known, lambda file: file.write(digest.encode()))
    return digest


def stat_fingerprint(pairs: Sequence[Pair]) -> str:
    """Return SHA-256 over the place, size and times of all files, in order.

    Empty if a file is missing, or was changed so lately that another change could go unnoticed.
    """
    fingerprint, settled = hashlib.sha256(), time.time_ns() - SETTLED
    for pair in pairs:
        for path in pair.files:
            try:
                stat = path.stat()
            except OSError:
                return ""
            if max(stat.st_mtime_ns, stat.st_ctime_ns) > settled:
                return ""
            facts = (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
            fingerprint.update(os.fsencode(f"{pair.name}\0{facts}\0"))
    return fingerprint.hexdigest()


def read_and_hash(pairs: Sequence[Pair]) -> str:
    """Return the content hash of what is in the files now."""

    def hash_pair(pair: Pair) -> bytes:
        contents = b"".join(hashlib.sha256(read_bytes(path)).digest() for path in pair.files)
        return os.fsencode(pair.name) + b"\0" + contents

    return hashlib.sha256(b"".join(all_or_listing(hash_pair, pairs))).hexdigest()
