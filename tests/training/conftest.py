import pytest

from pix2pix_ilm.models.discriminator import DiscriminatorConfig
from pix2pix_ilm.models.generator import GeneratorConfig
from pix2pix_ilm.training.config import TrainConfig


@pytest.fixture
def config(drawn_pairs, tmp_path):
    """A training of 16 steps an epoch, saved after each."""
    return TrainConfig(
        name="run",
        checkpoints=tmp_path,
        data=str(drawn_pairs),
        image_size=32,
        generator=GeneratorConfig(ngf=4, norm="ilm-in"),
        discriminator=DiscriminatorConfig(ndf=4, norm="ilm-in", n_layers=2),
        epochs=2,
        device="cpu",
        tracker="none",
        save_every=1,
        num_samples=2,
    )
