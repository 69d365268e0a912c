"""What `uv build` packs: the package and its trained models, all of it, and nothing else."""

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from PIL import Image

from pix2pix_ilm import Translator
from pix2pix_ilm.checkpoints import SHIPPED_MODELS
from pix2pix_ilm.web.painter import draw_facade

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "pix2pix_ilm"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def distributions(tmp_path_factory) -> Path:
    """A folder with the source distribution, and the wheel that is built from it."""
    uv = shutil.which("uv")
    if uv is None and "CI" not in os.environ:
        pytest.skip("uv is not on the PATH")
    out = tmp_path_factory.mktemp("dist")
    command = [uv or "uv", "build", "--out-dir", out]
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


def shipped_files() -> set[str]:
    """Every file of the trained models that come with the package."""
    folders = (ROOT / "checkpoints" / name for name in SHIPPED_MODELS)
    return {str(path.relative_to(ROOT)) for folder in folders for path in folder.iterdir()}


def test_the_wheel_is_the_package_with_its_models_and_its_description(wheel):
    packed = {name for name in wheel.namelist() if ".dist-info/" not in name}
    origins = {file: file for file in package_files()}
    origins |= {
        file.replace("checkpoints/", "pix2pix_ilm/shipped/"): file for file in shipped_files()
    }
    assert packed == set(origins)
    for file, origin in origins.items():
        assert wheel.read(file) == (ROOT / origin).read_bytes(), file


def test_the_wheel_is_small_enough_for_the_package_index(distributions):
    [wheel] = distributions.glob("*.whl")
    assert wheel.stat().st_size < 95e6


def test_what_the_wheel_holds_translates_anywhere(wheel, tmp_path):
    site, work = tmp_path / "site", tmp_path / "work"
    wheel.extractall(site)
    work.mkdir()
    label_map = draw_facade(1)
    Image.fromarray(label_map).save(work / "map.png")
    environment = os.environ | {"PYTHONPATH": str(site)}
    command = [sys.executable, "-m", "pix2pix_ilm", "translate", "map.png", "--device", "cpu"]
    done = subprocess.run(
        command, cwd=work, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    [photo] = Translator.from_pretrained(SHIPPED_MODELS[0], "cpu")([label_map])
    assert np.array_equal(np.asarray(Image.open(work / "outputs" / "map.png")), photo)


def test_the_wheel_has_what_is_not_python(wheel):
    names = set(wheel.namelist())
    assert "pix2pix_ilm/py.typed" in names  # or type checkers ignore the annotations
    assert "pix2pix_ilm/metrics/weights/alexnet_features.safetensors" in names
    for folder in ("web", "evaluation"):
        assert any(name.startswith(f"pix2pix_ilm/{folder}/assets/") for name in names)


def test_the_wheel_brings_the_command_and_the_license(wheel):
    (entry_points,) = (name for name in wheel.namelist() if name.endswith("/entry_points.txt"))
    assert wheel.read(entry_points).decode().split() == [
        "[console_scripts]", "pix2pix-ilm", "=", "pix2pix_ilm.__main__:run",
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
    for folder, shipped in (("data", set()), ("checkpoints", shipped_files())):
        packed = {name for name in sources if name.startswith(f"{folder}/")}
        assert packed == {f"{folder}/README.md"} | shipped
