import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import jaxtyping
import pytest
import torch
from accelerate.state import AcceleratorState, GradientState

from pix2pix_ilm.data.synthetic.dataset import synthesize
from pix2pix_ilm.models.discriminator import DiscriminatorConfig, PatchDiscriminator
from pix2pix_ilm.models.generator import GeneratorConfig, UNetGenerator
from pix2pix_ilm.training import run_folder
from pix2pix_ilm.training.config import TrainConfig
from pix2pix_ilm.training.settings import describe_generator
from pix2pix_ilm.training.step import Networks

WORKER = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
os.environ["GRADIO_SERVER_PORT"] = str(7860 + 100 * int(WORKER))  # or workers take one another's


def pytest_xdist_auto_num_workers() -> int:
    """Run one for each core: the page's tests keep a core busy with their browser and server."""
    return min(os.cpu_count() or 1, 4)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run pages first: with one of their long files last, one worker would be left alone."""
    items.sort(key=lambda item: item.get_closest_marker("browser") is None)


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    """On tensors this small, threads mostly wait for one another."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _fixed_seed():
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _fresh_accelerator():
    """Let every test choose its own device and precision."""
    yield
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()


@contextmanager
def leaving_out_checks() -> Iterator[None]:
    """Leave out the tests' checks of shapes and types, so that the package's own see wrong ones."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", before)


@pytest.fixture
def unchecked():
    with leaving_out_checks():
        yield


@pytest.fixture(scope="session", autouse=True)
def _environment(tmp_path_factory):
    """Keep the user's cache out of the tests, also in the processes that they start.

    These have one thread each: beside other tests, more would spend their time waiting. And they
    keep what they compile, or each would spend ten seconds on PyTorch's sources.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIX2PIX_ILM_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        yield


@pytest.fixture(scope="session")
def drawn_pairs(tmp_path_factory) -> Path:
    """A small data set: 16 training pairs and 2 each to validate and test, 32x32."""
    folder = tmp_path_factory.mktemp("drawn")
    synthesize(folder, 20, 32)
    return folder


@pytest.fixture
def make_checkpoint(tmp_path):
    """Write a checkpoint of random weights, large enough to make a difference in the output."""
    return partial(write_checkpoint, tmp_path)


def write_checkpoint(
    parent: Path,
    name: str = "checkpoint",
    *,
    in_channels: int = 3,
    out_channels: int = 3,
    norm: str = "ilm-in",
    **settings,
) -> Path:
    generator_config = GeneratorConfig(
        ngf=4, norm=norm, in_channels=in_channels, out_channels=out_channels
    )
    config = TrainConfig(
        **{"image_size": 32, "generator": generator_config} | settings,
        discriminator=DiscriminatorConfig(ndf=4),
    )
    generator = UNetGenerator(config.sized_generator)
    channels = config.sized_generator.in_channels + out_channels
    discriminator = PatchDiscriminator(config.discriminator, channels)
    with torch.no_grad():
        for parameter in generator.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    optimizers = (torch.optim.Adam(n.parameters()) for n in (generator, discriminator))
    folder = parent / name
    folder.mkdir()
    run_folder.save_run(
        folder, Networks(generator, discriminator, *optimizers), 7, describe_generator(config)
    )
    return folder


@pytest.fixture(scope="session")
def two_models(tmp_path_factory) -> Path:
    """A folder with a model of ILM+IN and one of IN, both of random weights, for 64x64."""
    folder = tmp_path_factory.mktemp("checkpoints")
    write_checkpoint(folder, "facades-ilm", image_size=64)
    write_checkpoint(folder, "facades-in", norm="in", image_size=64)
    return folder


class OnCpu(torch.Tensor):
    """What was brought to the CPU, and all that is computed from it."""


@pytest.fixture
def without_float64(monkeypatch):
    """Let every tensor be as on Apple's GPUs: without float64 until it is brought to the CPU."""
    double, to = torch.Tensor.double, torch.Tensor.to

    def on_cpu_only(values):
        if isinstance(values, OnCpu):
            return double(values)
        raise TypeError("the MPS framework doesn't support float64")

    def convert(values, *arguments, **named):
        if torch.float64 in (*arguments, *named.values()):
            return on_cpu_only(values)
        return to(values, *arguments, **named)

    monkeypatch.setattr(torch.Tensor, "to", convert)
    monkeypatch.setattr(torch.Tensor, "cpu", lambda values: values.as_subclass(OnCpu))
    monkeypatch.setattr(torch.Tensor, "double", on_cpu_only)
