"""The names that stand for data sets, beside plain folders."""

from pathlib import Path

from filelock import FileLock

from pix2pix_ilm.data.cache import default_cache, unwritable
from pix2pix_ilm.data.downloads import KNOWN
from pix2pix_ilm.data.synthetic.dataset import synthesize
from pix2pix_ilm.errors import UserError
from pix2pix_ilm.files import is_folder

SYNTHETIC_PAIRS = 250
DATA = Path("data")
FACADES_DATA = ("facades", "synthetic")
"""Those whose label maps have the colors of CMP Facades."""


def data_folder(name: str, image_size: int) -> Path:
    """Return the folder that a data set's name stands for.

    Args:
        name: "facades", "maps" or "cityscapes" (in data/), "synthetic" (drawn once into the user's
            cache, at ``image_size``), or a path.
        image_size: height and width of what is drawn.

    Raises:
        UserError: there is no such folder, or the cache cannot be written.
    """
    if name == "synthetic":
        return synthetic_folder(image_size)
    folder = DATA / name if name in KNOWN else Path(name)
    if not is_folder(folder):
        expected = f"expected a folder of image pairs, or {', '.join(KNOWN)} or synthetic"
        if folder.name in KNOWN:
            expected = f"run 'pix2pix-ilm data download {folder.name}' first"
        raise UserError(f"{folder}: no such folder; {expected}")
    return folder


def named_path(data: str) -> str:
    """Return a data set's name or path so that its last part is a name, as that of "." is not."""
    return data if Path(data).name not in ("", "..") else str(Path(data).resolve())


def synthetic_folder(image_size: int) -> Path:
    """Return the embedded data set's folder; it is drawn when it is first asked for."""
    folder = default_cache() / f"synthetic-{image_size}-{SYNTHETIC_PAIRS}"
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_suffix(".lock")):
            if not folder.is_dir():
                synthesize(folder, SYNTHETIC_PAIRS, image_size)
    except OSError as error:
        raise unwritable(folder.parent, error) from None
    return folder
