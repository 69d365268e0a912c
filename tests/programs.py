"""Programs of the repository that are no part of the package, imported from where they lie."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]


@contextmanager
def imported(program: str) -> Iterator[ModuleType]:
    """Import a program by its path in the repository, such as examples/draw_pairs.py."""
    spec = spec_from_file_location(f"{Path(program).stem}_program", ROOT / program)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, spec.name, module)  # where dataclasses look for it
        spec.loader.exec_module(module)
        yield module
