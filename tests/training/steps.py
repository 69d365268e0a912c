"""Events in the middle of trainings."""

from collections.abc import Callable

import pytest

from pix2pix_ilm.seeds import STEP, derive_seed
from pix2pix_ilm.training import loop


def before_step(monkeypatch: pytest.MonkeyPatch, number: int, act: Callable[[int], object]) -> None:
    """Let trainings call ``act`` with the process right before a step, as they seed it."""

    def seeded(seed: int, purpose: int, *numbers: int) -> int:
        if purpose == STEP and numbers[1] == number:
            act(numbers[0])
        return derive_seed(seed, purpose, *numbers)

    monkeypatch.setattr(loop, "derive_seed", seeded)


def crash(_process: int) -> None:
    raise ZeroDivisionError
