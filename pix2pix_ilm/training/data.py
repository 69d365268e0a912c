"""The images of a run: to train on, to draw samples from, and to validate on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from accelerate import PartialState

from pix2pix_ilm.data.cache import PairedImages, load_pairs
from pix2pix_ilm.data.check import check_colors, describe_training
from pix2pix_ilm.data.datasets import data_folder
from pix2pix_ilm.data.pairs import Pair, find_pairs
from pix2pix_ilm.devices import is_main_process
from pix2pix_ilm.errors import SettingError, UserError
from pix2pix_ilm.terminal import say
from pix2pix_ilm.training.config import TrainConfig
from pix2pix_ilm.training.validation import shown_split


@dataclass(frozen=True, kw_only=True)
class RunData:
    """The images of a run, on the CPU until a run takes them."""

    train: PairedImages
    """To train on, at the stored size."""
    samples: PairedImages
    """For the sample grids."""
    validation: PairedImages | None
    """The folder val, or None where nothing is validated."""
    val_names: list[str]
    """Names of all pairs of the split that samples come from."""

    def to(self, device: torch.device) -> "RunData":
        """Copy all images to a device; UserError where they do not fit into its memory."""
        sets = {"train": self.train, "samples": self.samples, "validation": self.validation}
        try:
            return replace(self, **{name: of and of.to(device) for name, of in sets.items()})
        except RuntimeError as error:  # on CUDA an OutOfMemoryError, on MPS none of its own
            if "out of memory" not in str(error):
                raise
            size = sum(of.bytes for of in sets.values() if of) / 1e9
            raise UserError(
                f"{device}: expected room for all {len(self.train)} images of the training, "
                f"{size:.1f} GB; choose a smaller --image-size, a part of them "
                "(--train-split 'train[:1000]'), or --device cpu"
            ) from None


def load_data(config: TrainConfig) -> RunData:
    """Return the pairs of a run, with the channels or classes of its networks.

    Nothing but the folder val is validated on: what is held out for a last look must not choose a
    generator.

    Raises:
        UserError: bad data, or a SettingError where a batch is larger than they are.
    """
    root = data_folder(config.data, config.image_size)
    train_pairs = find_pairs(root, config.train_split)
    val_split = shown_split(config)
    val_pairs = find_pairs(root, val_split)
    state = PartialState()
    if is_main_process():
        say(describe_training(root, config.train_split, val_split, train_pairs))
    if len(train_pairs) < config.batch_size * state.num_processes:
        of_all = f" divided by {state.num_processes} processes" if state.num_processes > 1 else ""
        expected = f"at most the {len(train_pairs)} training pairs{of_all}"
        raise SettingError("batch_size", expected, config.batch_size)
    step = max(1, len(val_pairs) // config.num_samples)
    chosen = val_pairs[::step][: config.num_samples]
    train = load_images(train_pairs, config.stored_size, config)
    if config.label_classes is not None:
        check_colors(train_pairs, config.label_classes, config.direction)
    validation = None
    if config.validate_every is not None:
        validated = val_pairs if val_split == "val" else find_pairs(root, "val")
        validation = load_images(validated, config.image_size, config)
    return RunData(
        train=train,
        samples=load_images(chosen, config.image_size, config),
        validation=validation,
        val_names=[pair.name for pair in val_pairs],
    )


def load_images(pairs: Sequence[Pair], size: int, config: TrainConfig) -> PairedImages:
    """Return pairs at a size, with the channels or classes of a training."""
    return load_pairs(
        pairs,
        size,
        direction=config.direction,
        label_channels=config.label_channels,
        photo_channels=config.generator.out_channels,
    )
