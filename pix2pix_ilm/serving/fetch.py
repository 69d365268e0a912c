"""Checkpoints by name: folders here, repositories on the Hugging Face hub."""

from pathlib import Path

from pix2pix_ilm.errors import UserError
from pix2pix_ilm.files import is_folder
from pix2pix_ilm.training.runs import MODEL_CONFIG, WEIGHTS

FILES = [MODEL_CONFIG, WEIGHTS, "metrics.json"]


def checkpoint_folder(name: str | Path, revision: str | None = None) -> Path:
    """The folder of a checkpoint: the one of this name, or a copy of a repository of the hub.

    Args:
        name: a folder, or OWNER/NAME on the hub, from where it is downloaded once.
        revision: branch, tag or commit there.

    Raises:
        UserError: there is neither, or the hub cannot be reached.
    """
    owner, _, rest = str(name).partition("/")
    if is_folder(Path(name)) or not owner or not rest or "/" in rest or is_folder(Path(owner)):
        return Path(name)  # whoever reads it says if it is no checkpoint
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(str(name), revision=revision, allow_patterns=FILES))
    except (OSError, HFValidationError, LocalEntryNotFoundError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(
            f"{name}: no such folder, and no such repository to be had from the Hugging Face hub "
            f"({reason})"
        ) from None
