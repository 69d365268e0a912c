"""What `uv build` packs: the package, all of it, and nothing else."""

import os
import shutil
import subprocess
import tarfile
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "pix2pix_ilm"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def distributions(tmp_path_factory) -> Path:
    """A folder with the wheel and the source distribution."""
    uv = shutil.which("uv")
    if uv is None and "CI" not in os.environ:
        pytest.skip("uv is not on the PATH")
    out = tmp_path_factory.mktemp("dist")
    command = [uv or "uv", "build", "--wheel", "--sdist", "--out-dir", out]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="module")
def wheel(distributions):
    with ZipFile(next(distributions.glob("*.whl"))) as archive:
        yield archive


@pytest.fixture(scope="module")
def sources(distributions) -> set[str]:
    """Paths in the source distribution, below its one folder."""
    with tarfile.open(next(distributions.glob("*.tar.gz"))) as archive:
        return {name.partition("/")[2] for name in archive.getnames()}


def package_files() -> set[str]:
    """Every file of the package that is not left behind by running it."""
    files = (path for path in PACKAGE.rglob("*") if path.is_file())
    return {str(path.relative_to(ROOT)) for path in files if "__pycache__" not in path.parts}


def test_the_wheel_is_the_package_and_its_description(wheel):
    packed = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert packed == package_files()
    for file in packed:
        assert wheel.read(file) == (ROOT / file).read_bytes(), file


def test_the_wheel_has_what_is_not_python(wheel):
    names = set(wheel.namelist())
    assert "pix2pix_ilm/py.typed" in names  # or type checkers ignore the annotations
    assert "pix2pix_ilm/metrics/weights/alexnet_features.safetensors" in names
    for folder in ("web", "evaluation"):
        assert any(name.startswith(f"pix2pix_ilm/{folder}/assets/") for name in names)


def test_the_wheel_brings_the_command_and_the_license(wheel):
    (entry_points,) = (name for name in wheel.namelist() if name.endswith("/entry_points.txt"))
    assert wheel.read(entry_points).decode().split() == [
        "[console_scripts]", "pix2pix-ilm", "=", "pix2pix_ilm.cli:main",
    ]  # fmt: skip
    assert any(name.endswith("/licenses/LICENSE") for name in wheel.namelist())


def test_the_sources_have_what_a_clone_has(sources):
    assert package_files() <= sources
    for path in ("app.py", "evaluate.py", "examples", "benchmarks", "docs", "tests"):
        files = (ROOT / path).rglob("*") if (ROOT / path).is_dir() else [ROOT / path]
        for file in files:
            if file.is_file() and "__pycache__" not in file.parts:
                assert str(file.relative_to(ROOT)) in sources


def test_no_data_and_no_runs_are_packed(sources):
    for folder in ("data", "checkpoints"):
        packed = {name for name in sources if name.startswith(f"{folder}/")}
        assert packed == {f"{folder}/README.md"}
