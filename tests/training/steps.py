"""Small trainings: their settings, events in the middle of them, and what they leave."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from pix2pix_ilm.models.discriminator import DiscriminatorConfig
from pix2pix_ilm.models.generator import GeneratorConfig
from pix2pix_ilm.seeds import STEP, derive_seed
from pix2pix_ilm.training import loop, run_folder
from pix2pix_ilm.training.config import TrainConfig


def small_training(data: Path, checkpoints: Path) -> TrainConfig:
    """Return the settings of three epochs of 8 steps, each saved and with samples."""
    return TrainConfig(
        name="run",
        checkpoints=checkpoints,
        data=str(data),
        train_split="train[:8]",
        image_size=32,
        generator=GeneratorConfig(ngf=4, norm="ilm-in"),
        discriminator=DiscriminatorConfig(ndf=4, norm="ilm-in", n_layers=2),
        epochs=3,
        device="cpu",
        log_every=5,
        sample_every=1,
        save_every=1,
        num_samples=2,
    )


def before_step(monkeypatch: pytest.MonkeyPatch, number: int, act: Callable[[int], object]) -> None:
    """Let trainings call ``act`` with the process right before a step, as they seed it."""

    def seeded(seed: int, purpose: int, *numbers: int) -> int:
        if purpose == STEP and numbers[1] == number:
            act(numbers[0])
        return derive_seed(seed, purpose, *numbers)

    monkeypatch.setattr(loop, "derive_seed", seeded)


def crash(_process: int) -> None:
    raise ZeroDivisionError


def state_of(folder: Path) -> dict[str, Any]:
    """Return all that a run saved to be resumed from."""
    return torch.load(folder / run_folder.STATE, weights_only=True)


def assert_same_training(folder: Path, other: Path) -> None:
    """Compare two runs' last saves to the bit."""
    torch.testing.assert_close(state_of(folder), state_of(other), rtol=0, atol=0)


def logged_losses(folder: Path) -> list[tuple[int, float, float]]:
    """Return step, discriminator's loss and L1 of every line of a run's log."""
    rows = map(json.loads, (folder / run_folder.METRICS).read_text().splitlines())
    return [(row["step"], row["discriminator"], row["l1"]) for row in rows]
