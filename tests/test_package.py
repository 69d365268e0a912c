"""What ``import pix2pix_ilm`` offers, and what it costs."""

import subprocess
import sys
from pathlib import Path

import pytest
from torch import nn

import pix2pix_ilm


@pytest.mark.parametrize("name", pix2pix_ilm.__all__)
def test_public_names_are_those_of_their_modules(name):
    public = getattr(pix2pix_ilm, name)
    assert public.__name__ == name
    assert public is getattr(sys.modules[public.__module__], name)


def test_the_package_is_enough_to_convert_a_network():
    from pix2pix_ilm import ILMNorm2d, convert_norms

    network = convert_norms(nn.Sequential(nn.Conv2d(3, 16, 3), nn.GroupNorm(4, 16)))
    assert isinstance(network[1], ILMNorm2d)


def test_other_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="module 'pix2pix_ilm' has no attribute 'convert'"):
        pix2pix_ilm.convert  # noqa: B018


def test_importing_the_package_loads_no_torch():
    program = "import pix2pix_ilm, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_all_that_the_container_copies_is_there_and_not_ignored():
    root = Path(__file__).parents[1]
    lines = (root / "Dockerfile").read_text().splitlines()
    sources = [name for line in lines if line.startswith("COPY ") for name in line.split()[1:-1]]
    first, *rules = [
        line for line in (root / ".dockerignore").read_text().splitlines() if line[0] != "#"
    ]
    kept = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}
    assert first == "*"
    assert set(sources) == kept
    assert all((root / name).exists() for name in sources)
