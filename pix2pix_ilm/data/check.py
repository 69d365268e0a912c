"""What a folder of image pairs holds, and every problem in it."""

from collections import Counter
from pathlib import Path

from pix2pix_ilm.data.facades import MANIFEST, manifest
from pix2pix_ilm.data.pairs import (
    SPLITS,
    Pair,
    find_whole_split,
    list_splits,
    listing,
)
from pix2pix_ilm.data.parallel import in_parallel
from pix2pix_ilm.errors import UserError


def check_folder(root: Path) -> str:
    """Decode every pair of every split; returns a line a split.

    Raises:
        UserError: listing what cannot be used, split by split, after the lines of the good ones.
    """
    lines, problems = [], []
    for split in list_splits(root) or SPLITS[:2]:
        try:
            pairs = find_whole_split(root, split)
        except UserError as error:
            problems.append(str(error))
            continue
        results = list(in_parallel(inspect, pairs))
        sizes = Counter(result for result in results if isinstance(result, tuple))
        bad = [result for result in results if isinstance(result, str)]
        lines.append(f"{split}: {sum(sizes.values())} good pairs ({describe_sizes(sizes)})")
        if bad:
            problems.append(listing(f"{split}: these images cannot be used", bad))
    if problems:
        raise UserError("\n".join([*lines, *dict.fromkeys(problems)]))
    if manifest(root) == MANIFEST:
        lines.append("this is CMP Facades as pix2pix distributes it, intact; use --direction BtoA")
    return "\n".join(lines)


def inspect(pair: Pair) -> tuple[int, int] | str:
    """Width and height of the pair's images, or what is wrong with it."""
    try:
        height, width, _ = pair.read()[0].shape
    except UserError as error:
        return str(error)
    return width, height


def describe_sizes(sizes: Counter[tuple[int, int]]) -> str:
    """The most common size, and how many others there are."""
    if not sizes:
        return "none"
    (width, height), _ = sizes.most_common(1)[0]
    others = len(sizes) - 1
    return f"{width}x{height}" + (f" and {others} other sizes" if others else "")
