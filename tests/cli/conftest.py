import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pix2pix_ilm import cli

TINY = ["--image-size", "32", "--generator.ngf", "4", "--discriminator.ndf", "4"]


def run_command(*arguments) -> int:
    """The exit code of a command, 0 if it returns."""
    try:
        cli.main([str(argument) for argument in arguments])
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 1
    return 0


@pytest.fixture
def run() -> Callable[..., int]:
    """Run a command in this process; returns its exit code."""
    return run_command


@pytest.fixture
def tiny() -> list[str]:
    """Flags of networks that train in seconds."""
    return TINY


def run_tiny(data: Path, checkpoints: Path) -> int:
    """Train one epoch on a folder of pairs, as a run named tiny; returns the exit code."""
    return run_command(
        "train", "facades", "--data", data, *TINY, "--epochs", 1, "--name", "tiny",
        "--checkpoints", checkpoints, "--device", "cpu",
    )  # fmt: skip


@pytest.fixture
def train_tiny() -> Callable[[Path, Path], int]:
    return run_tiny


@pytest.fixture(scope="session")
def tiny_run(drawn_pairs, tmp_path_factory) -> Path:
    """A run of one epoch, made from the command line."""
    checkpoints = tmp_path_factory.mktemp("checkpoints")
    assert run_tiny(drawn_pairs, checkpoints) == 0
    return checkpoints / "tiny"


@pytest.fixture
def trained(tiny_run, tmp_path) -> Path:
    """A copy of it to write into."""
    return shutil.copytree(tiny_run, tmp_path / "tiny")
