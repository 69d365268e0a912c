"""``pix2pix-ilm import-weights``: from another program's weights to a checkpoint."""

from dataclasses import dataclass
from pathlib import Path

import tyro
from tyro.conf import Positional

from pix2pix_ilm.data import Direction
from pix2pix_ilm.terminal import say


@dataclass(frozen=True, kw_only=True)
class ImportWeights:
    """Make a checkpoint of a generator that pytorch-CycleGAN-and-pix2pix or mmagic trained."""

    source: Positional[Path]
    """The generator's weights, such as latest_net_G.pth: a U-Net (unet_256, unet_128)."""
    out: Path
    """A new folder for the checkpoint, such as checkpoints/NAME."""
    direction: Direction = "BtoA"
    """Direction it was trained to translate in; the file does not say."""
    batch_statistics: bool = False
    """Normalize with each image's statistics instead of BatchNorm's running ones, as that project
    does unless it is run with --eval."""
    discriminator: Path | None = None
    """Weights of the discriminator, such as latest_net_D.pth, for 'train --init-from'; the
    training's --discriminator.norm, .ndf and .n-layers must be its."""
    bgr: bool = False
    """It was trained on images with blue first, as OpenCV reads them; the file does not say."""


def run(prog: str, arguments: list[str]) -> None:
    """Import a generator that pytorch-CycleGAN-and-pix2pix or mmagic trained."""
    options = tyro.cli(ImportWeights, prog=prog, args=arguments)
    from pix2pix_ilm.serving.discriminator_port import read_discriminator
    from pix2pix_ilm.serving.pix2pix_port import import_generator

    judge = None if options.discriminator is None else read_discriminator(options.discriminator)
    model_config = import_generator(
        options.source,
        options.out,
        direction=options.direction,
        batch_statistics=options.batch_statistics,
        bgr=options.bgr,
        discriminator=judge,
    )
    generator = model_config.generator
    say(
        f"Done: {options.out} (U-Net of {generator.num_downs} levels, ngf {generator.ngf}, norm "
        f"{generator.norm}, {model_config.direction})\n"
        f"  translate:   pix2pix-ilm translate LABEL_MAP... --checkpoint {options.out} "
        "--out outputs"
    )
