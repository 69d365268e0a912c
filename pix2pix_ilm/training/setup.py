"""What a run is made of: device and processes, data, networks."""

import torch
from accelerate import Accelerator, PartialState

from pix2pix_ilm.data.cache import PairedImages, load_pairs
from pix2pix_ilm.data.pairs import find_pairs, validation_split
from pix2pix_ilm.data.sources import data_folder
from pix2pix_ilm.devices import pick_device
from pix2pix_ilm.errors import UserError
from pix2pix_ilm.models.discriminator import PatchDiscriminator
from pix2pix_ilm.models.generator import UNetGenerator
from pix2pix_ilm.training.config import TrainConfig
from pix2pix_ilm.training.seeds import INIT, derive_seed
from pix2pix_ilm.training.step import Networks


def make_accelerator(config: TrainConfig) -> Accelerator:
    """Device, precision and processes, as configured and as torchrun set them."""
    return Accelerator(
        cpu=pick_device(config.device).type == "cpu",  # or processes do not find one another
        mixed_precision="bf16" if config.precision == "bf16" else "no",
        log_with="tensorboard",
        project_dir=config.checkpoints,
    )


def is_main_process() -> bool:
    """Whether this process is the one that speaks and writes."""
    return PartialState().is_main_process


def load_data(config: TrainConfig) -> tuple[PairedImages, PairedImages]:
    """Training pairs at the stored size, and the validation pairs to draw samples from."""
    root = data_folder(config.data, config.image_size)
    train_pairs = find_pairs(root, config.train_split)
    val_pairs = find_pairs(root, config.val_split or validation_split(root))
    if len(train_pairs) < config.batch_size:
        raise UserError(
            f"--batch-size: expected at most the {len(train_pairs)} training pairs, "
            f"found {config.batch_size}"
        )
    step = max(1, len(val_pairs) // config.num_samples)
    chosen = val_pairs[::step][: config.num_samples]
    train_images, val_images = (
        load_pairs(
            pairs,
            size,
            direction=config.direction,
            label_channels=config.generator.in_channels,
            photo_channels=config.generator.out_channels,
        )
        for pairs, size in ((train_pairs, config.stored_size), (chosen, config.image_size))
    )
    return train_images, val_images


def build_networks(config: TrainConfig, accelerator: Accelerator) -> Networks:
    """Freshly initialised networks and optimisers, on the device."""
    torch.manual_seed(derive_seed(config.seed, INIT))
    channels = config.generator.in_channels + config.generator.out_channels
    networks = (
        UNetGenerator(config.sized_generator),
        PatchDiscriminator(config.discriminator, channels),
    )
    for network in networks:
        network.to(accelerator.device)
        if config.accelerate_step == "compile":
            network.compile()
    betas = (config.beta1, config.beta2)
    optimizers = (torch.optim.Adam(n.parameters(), config.lr, betas, fused=True) for n in networks)
    return Networks(*accelerator.prepare(*networks, *optimizers))
