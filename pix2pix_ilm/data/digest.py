"""A data set's files as one digest, which does not read again what it has read before."""

import hashlib
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from pix2pix_ilm.data.pairs import Pair
from pix2pix_ilm.data.parallel import all_or_listing
from pix2pix_ilm.errors import UserError
from pix2pix_ilm.files import read_bytes, write_atomically

SETTLED = 2 * 10**9  # nanoseconds: no file system's clock ticks more coarsely


def digest_files(pairs: Sequence[Pair], memory: Path) -> str:
    """SHA-256 over the names and contents of all files, in order.

    Args:
        pairs: whose files.
        memory: folder that keeps digests, under what the system says of the files that they are
            of. Files are read again as soon as one of them was changed, moved or replaced.

    Raises:
        UserError: some files cannot be read (the message lists them).
    """
    stamp = stamp_files(pairs)
    known = memory / f"{stamp}.digest"
    with suppress(OSError):
        return known.read_text()
    digest = read_and_digest(pairs)
    if stamp and stamp == stamp_files(pairs):
        with suppress(UserError):  # a full disk: they are read again next time
            write_atomically(known, lambda file: file.write(digest.encode()))
    return digest


def stamp_files(pairs: Sequence[Pair]) -> str:
    """SHA-256 over the place, size and times of all files, in order.

    Empty if a file is missing, or was changed so lately that another change could go unnoticed.
    """
    stamp, settled = hashlib.sha256(), time.time_ns() - SETTLED
    for pair in pairs:
        for path in pair.files:
            try:
                stat = path.stat()
            except OSError:
                return ""
            if max(stat.st_mtime_ns, stat.st_ctime_ns) > settled:
                return ""
            facts = (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
            stamp.update(os.fsencode(f"{pair.name}\0{facts}\0"))
    return stamp.hexdigest()


def read_and_digest(pairs: Sequence[Pair]) -> str:
    """The digest, of what is in the files now."""

    def digest(pair: Pair) -> bytes:
        contents = b"".join(hashlib.sha256(read_bytes(path)).digest() for path in pair.files)
        return os.fsencode(pair.name) + b"\0" + contents

    return hashlib.sha256(b"".join(all_or_listing(digest, pairs))).hexdigest()
