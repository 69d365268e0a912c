import pytest
import torch

from pix2pix_ilm.models.discriminator import PatchDiscriminator
from pix2pix_ilm.models.generator import GeneratorConfig, UNetGenerator
from pix2pix_ilm.training import runs
from pix2pix_ilm.training.config import TrainConfig
from pix2pix_ilm.training.step import Networks


@pytest.fixture
def make_checkpoint(tmp_path):
    """Write a checkpoint of random weights, large enough to make a difference in the output."""

    def make(in_channels: int = 3, out_channels: int = 3, direction: str = "BtoA"):
        generator_config = GeneratorConfig(
            ngf=4, norm="ilm-in", in_channels=in_channels, out_channels=out_channels
        )
        config = TrainConfig(image_size=32, generator=generator_config, direction=direction)
        generator = UNetGenerator(config.sized_generator)
        discriminator = PatchDiscriminator(config.discriminator, in_channels + out_channels)
        with torch.no_grad():
            for parameter in generator.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.2)
        optimizers = (torch.optim.Adam(n.parameters()) for n in (generator, discriminator))
        folder = tmp_path / "checkpoint"
        folder.mkdir()
        runs.save(folder, Networks(generator, discriminator, *optimizers), 7, config)
        return folder

    return make
