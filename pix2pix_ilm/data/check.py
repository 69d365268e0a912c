"""Inspection of a folder of image pairs: content, left-out files and problems."""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from pix2pix_ilm.data import Direction
from pix2pix_ilm.data.downloads import KNOWN, manifest
from pix2pix_ilm.data.images import Channels, describe_left_out, is_image_file
from pix2pix_ilm.data.pairs import (
    SPLITS,
    UNSPLIT,
    Pair,
    find_whole_split,
    list_splits,
    name_folders,
    split_folders,
)
from pix2pix_ilm.data.palette import Palette
from pix2pix_ilm.data.palette_proposal import Counts, read_content
from pix2pix_ilm.data.parallel import in_parallel
from pix2pix_ilm.errors import SettingError, UserError
from pix2pix_ilm.files import list_folder, list_problems

LOOKED_AT = 8  # label maps whose colors are compared with their classes'
FAR = 80  # distance in RGB that neither compression nor smoothing makes in most pixels


def check_folder(root: Path, palette: Palette | None = None, direction: Direction = "BtoA") -> str:
    """Decode every pair of every split; returns a line a split, and one of what is left out.

    Args:
        root: the data set's folder.
        palette: of the label maps' classes, if index maps are to be checked against them.
        direction: AtoB if A is the label map, BtoA if B is.

    Raises:
        UserError: listing what cannot be used, split by split, after the lines of the good ones.
    """
    label_channels: Channels = palette or 3
    channels = (label_channels, 3) if direction == "AtoB" else (3, label_channels)
    lines, problems, counts = [], [], {}
    for split in list_splits(root) or SPLITS[:2]:
        try:
            pairs = find_whole_split(root, split)
        except UserError as error:
            problems.append(str(error))
            continue
        results = list(in_parallel(partial(inspect, channels=channels), pairs))
        sizes = Counter(result for result in results if isinstance(result, tuple))
        bad = [result for result in results if isinstance(result, str)]
        counts[split] = sum(sizes.values())
        lines.append(f"{split}: {counts[split]} good pairs ({describe_pair(root, split, sizes)})")
        if bad:
            problems.append(list_problems(f"{split}: these images cannot be used", bad))
    if lines:
        try:
            others = left_out(root)
            lines += [describe_left_out(others, root)] if others else []
        except UserError as error:
            problems.append(str(error))
    if problems:
        raise UserError("\n".join([*lines, *dict.fromkeys(problems)]))
    facades = KNOWN["facades"]
    if counts == facades.splits and manifest(root) == facades.manifest:
        lines.append("this is CMP Facades as pix2pix distributes it, intact; its direction is BtoA")
    return "\n".join(lines)


def check_colors(pairs: Sequence[Pair], palette: Palette, direction: Direction) -> None:
    """Refuse label maps in other colors than the classes have, after a look at a few of them.

    Args:
        pairs: of one split.
        palette: whose nearest classes their label maps are to be read as.
        direction: AtoB if A is the label map, BtoA if B is.

    Raises:
        SettingError: most pixels are far from every class's color, as a photo's are.
    """
    side = 0 if direction == "AtoB" else 1
    some = pairs[:: max(1, len(pairs) // LOOKED_AT)][:LOOKED_AT]
    contents = [read_content(pair, side) for pair in some]
    if any(content.is_index_map for content in contents):
        return
    seen = Counts.sum([content.every for content in contents])
    classes = palette.paint(palette.nearest(seen.colors.astype(np.uint8)))
    far = np.linalg.norm(seen.colors - classes, axis=1) > FAR
    share = seen.counts[far].sum() / seen.counts.sum()
    if share > 1 / 2:
        raise SettingError(
            "label_classes",
            f"classes whose colors the label maps, {direction[0]}, have ({share:.0%} of their "
            "pixels are far from these)",
            palette.title,
            "see --direction, or let 'pix2pix-ilm data palette' propose classes; or none",
        )


def describe_training(root: Path, split: str, val_split: str, pairs: Sequence[Pair]) -> str:
    """Say in one line what is trained on: pairs, what is taken for one, what is left out."""
    first = inspect(pairs[0])
    sizes = Counter([first] if isinstance(first, tuple) else [])
    kind = describe_pair(root, split.partition("[")[0], sizes)
    others = describe_left_out(left_out(root, split, val_split), root)
    return f"{root}: {len(pairs)} pairs ({kind})" + (f"; {others}" if others else "")


def inspect(pair: Pair, channels: tuple[Channels, Channels] = (3, 3)) -> tuple[int, int] | str:
    """Return width and height of the pair's images, or what is wrong with it."""
    try:
        str(pair.files[0]).encode()
        height, width, _ = pair.read(channels)[0].shape
    except UnicodeEncodeError:
        return f"{pair.files[0]}: its path is not UTF-8, so no training can note it; rename it"
    except UserError as error:
        return str(error)
    return width, height


def describe_pair(root: Path, split: str, sizes: Counter[tuple[int, int]]) -> str:
    """Say what is taken for a pair: "side by side in train, halves of 32x64"."""
    folders = split_folders(root, split) or split_folders(root, UNSPLIT) or (root,)
    halves = "" if len(folders) > 1 else "halves of "
    return f"{name_folders(root, folders)}, {halves}{describe_sizes(sizes)}"


def describe_sizes(sizes: Counter[tuple[int, int]]) -> str:
    """Return the most common size, and how many others there are."""
    if not sizes:
        return "none"
    (width, height), _ = sizes.most_common(1)[0]
    others = len(sizes) - 1
    return f"{width}x{height}" + (f" and {others} other sizes" if others else "")


def left_out(root: Path, *splits: str) -> list[Path]:
    """List what lies in a data set's folder but belongs to no pair.

    Args:
        root: the data set's folder.
        splits: those that are used, beside train, val and test.
    """
    named = {*list_splits(root), *(split.partition("[")[0] for split in splits)}
    used = {folder for split in named for folder in split_folders(root, split) or ()}
    used = used or {*(split_folders(root, UNSPLIT) or (root,))}
    above = {root / parent for folder in used for parent in folder.relative_to(root).parents}
    return [
        path
        for folder in used | above
        for path in list_folder(folder)
        if path not in used | above and not (folder in used and is_image_file(path))
    ]
