"""Events in the middle of trainings, and what these leave."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from pix2pix_ilm.seeds import STEP, derive_seed
from pix2pix_ilm.training import loop, run_folder


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
