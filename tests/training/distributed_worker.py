"""One process of a training in float64 without random crops, flips and dropout.

So two processes of batch 1 must do exactly what one of batch 2 does. Started by torchrun:

    torchrun --nproc-per-node 2 distributed_worker.py DATA CHECKPOINTS NORM EPOCHS [resume|die]
"""

import os
import sys
from pathlib import Path
from unittest.mock import patch

import torch

from pix2pix_ilm.cli.process import leave_process_group
from pix2pix_ilm.data import augment, images
from pix2pix_ilm.errors import UserError
from pix2pix_ilm.models.discriminator import DiscriminatorConfig
from pix2pix_ilm.models.generator import GeneratorConfig
from pix2pix_ilm.seeds import STEP, derive_seed
from pix2pix_ilm.training import loop
from pix2pix_ilm.training.config import TrainConfig

to_model_range = augment.to_model_range


def settings(data: str, checkpoints: str, norm: str, epochs: str) -> TrainConfig:
    return TrainConfig(
        name="run",
        checkpoints=Path(checkpoints),
        data=data,
        image_size=32,
        load_size=32,
        flip=False,
        generator=GeneratorConfig(ngf=4, norm=norm, dropout=0),
        discriminator=DiscriminatorConfig(ndf=4, norm=norm, n_layers=2),
        epochs=int(epochs),
        decay_epochs=0,
        batch_size=2 // int(os.environ.get("WORLD_SIZE", "1")),
        device="cpu",
        tracker="none",
        log_every=3,
        save_every=1,
        sample_every=1,
        num_samples=2,
    )


def die_in_step_4(seed: int, purpose: int, *numbers: int) -> int:
    """Derive a seed; end the second process for good, as a crash or a kill does."""
    if (purpose, *numbers) == (STEP, 1, 4):
        os._exit(9)
    return derive_seed(seed, purpose, *numbers)


def to_double(pixels):
    return to_model_range(pixels).double()


def train(data: str, checkpoints: str, norm: str, epochs: str, how: str = "") -> None:
    config = settings(data, checkpoints, norm, epochs)
    with (
        patch.object(augment, "to_model_range", to_double),  # of photos
        patch.object(images, "to_model_range", to_double),  # of label maps
        patch.object(loop, "derive_seed", die_in_step_4 if how == "die" else derive_seed),
    ):
        loop.resume(config.checkpoints / "run") if how == "resume" else loop.train(config)


def main(*arguments: str) -> None:
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    try:
        train(*arguments)
        leave_process_group()
    except UserError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main(*sys.argv[1:])
