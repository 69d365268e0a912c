"""Every command imports what it uses and nothing else, so that it starts at once."""

import subprocess
import sys

import pytest

PROGRAM = """
import sys
from pix2pix_ilm import cli

try:
    cli.main(sys.argv[1:])
except SystemExit as stop:
    assert not stop.code, stop.code
print("LOADED", *sys.modules)
"""
HEAVY = {
    "PIL", "accelerate", "gradio", "httpx", "huggingface_hub", "lpips", "matplotlib", "numpy",
    "onnx", "onnxruntime", "pandas", "scipy", "skimage", "tensorboard", "torch", "torchvision",
}  # fmt: skip
TINY = [
    "--image-size", "32", "--generator.ngf", "4", "--discriminator.ndf", "4", "--epochs", "1",
    "--name", "run", "--device", "cpu", "--discriminator.n-layers", "2",
]  # fmt: skip


def loaded_by(*arguments) -> set[str]:
    """The heavy packages that a command imported."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return HEAVY & set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("command", ["", "train", "evaluate", "translate", "demo", "data"])
def test_help_starts_without_what_computes(command):
    # what train can be told is what the networks and the data can be
    allowed = {"PIL", "numpy", "torch"} if command == "train" else set()
    assert loaded_by(*command.split(), "--help") <= allowed


def test_data_commands_do_without_networks(drawn_pairs, tmp_path):
    out = tmp_path / "out"
    drawing = loaded_by("data", "synthesize", "--out", out, "--count", 3, "--size", 32)
    assert drawing == {"PIL", "numpy"}
    assert loaded_by("data", "check", drawn_pairs) <= {"PIL", "numpy", "torch"}


def test_importing_anything_leaves_the_users_proxies_alone():
    """The page must not take them from downloads, trackers and the hub."""
    program = """
import os
os.environ |= {"no_proxy": "intranet.example", "all_proxy": "socks5://127.0.0.1:9"}
import pix2pix_ilm.cli
before = dict(os.environ)
import pix2pix_ilm.web.server, pix2pix_ilm.web.static_page
assert before["no_proxy"] == os.environ["no_proxy"] == "intranet.example"
assert before["all_proxy"] == os.environ["all_proxy"]
"""
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.slow
def test_train_and_translate_do_without_metrics_plots_and_page(drawn_pairs, tmp_path):
    training = loaded_by(
        "train", "facades", "--data", drawn_pairs, "--checkpoints", tmp_path, *TINY,
        "--tracker", "none",
    )  # fmt: skip
    assert training == {"PIL", "accelerate", "numpy", "torch", "torchvision"}
    translating = loaded_by(
        "translate", drawn_pairs / "test", "--side-by-side", "--checkpoint", tmp_path / "run",
        "--out", tmp_path / "out",
    )  # fmt: skip
    assert translating == {"PIL", "numpy", "torch"}
