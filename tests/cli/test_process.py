import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image

from pix2pix_ilm.cli.process import ending_in_order, tune_process
from pix2pix_ilm.files import filling_folder

WAITING = {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"}


def test_an_image_that_makes_pillow_warn_is_read_in_silence(run, tmp_path, monkeypatch, capsys):
    (tmp_path / "train").mkdir()
    Image.new("RGB", (16, 8)).save(tmp_path / "train" / "1.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # at twice as many it refuses
    assert run("data", "check", tmp_path) == 0
    said = "train: 1 good pairs (side by side in train, halves of 8x8)\n"
    assert capsys.readouterr() == (said, "")


@pytest.mark.parametrize(
    ("told", "spins"),
    [({}, "2000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "PASSIVE"}, None)],
)
def test_how_long_threads_spin_is_said_unless_the_environment_says_it(monkeypatch, told, spins):
    environment = dict(told)
    monkeypatch.setattr(os, "environ", environment)
    tune_process()
    assert environment.get("GOMP_SPINCOUNT") == spins


@pytest.mark.skipif(sys.platform != "linux", reason="PyTorch uses GNU OpenMP on Linux")
def test_threads_that_wait_soon_sleep():
    untold = {name: value for name, value in os.environ.items() if name not in WAITING}
    done = subprocess.run(
        [sys.executable, "-m", "pix2pix_ilm", "train", "--help"],
        env=untold | {"OMP_DISPLAY_ENV": "verbose"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "GOMP_SPINCOUNT = '2000'" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_end_leaves_no_temporary_files(number, tmp_path):
    """As of drawing a data set, whose folder is filled under another name."""
    before = signal.getsignal(number)

    def draw() -> None:
        with ending_in_order(), filling_folder(tmp_path / "new"):
            assert len(list(tmp_path.iterdir())) == 1
            signal.raise_signal(number)

    with pytest.raises(SystemExit) as stop:
        draw()
    assert stop.value.code == 128 + number
    assert not list(tmp_path.iterdir())
    assert signal.getsignal(number) is before


def test_a_command_can_run_in_a_thread():
    def run() -> str:
        with ending_in_order():
            return "done"

    with ThreadPoolExecutor() as pool:
        assert pool.submit(run).result() == "done"


def test_ctrl_c_while_the_program_is_loaded_ends_it_in_silence(tmp_path):
    (tmp_path / "tyro.py").write_text("raise KeyboardInterrupt")
    done = subprocess.run(
        [sys.executable, "-m", "pix2pix_ilm", "--version"],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
