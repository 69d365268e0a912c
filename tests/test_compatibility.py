"""Runs and checkpoints that version 0.1 wrote still resume and translate.

`fixtures/v0.1` holds drawn pairs, two runs that a SIGTERM stopped inside an epoch, and what version
0.1 made of them by resuming, all on the instruction set that every x86-64 processor has, where the
same program gives the same bits, whatever the processor.
"""

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from pix2pix_ilm import Translator

V01 = Path(__file__).parent / "fixtures" / "v0.1"
BASELINE_ISA = {
    "ATEN_CPU_CAPABILITY": "default",
    "MKL_CBWR": "COMPATIBLE",
    "OMP_NUM_THREADS": "1",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
}
RESUME_ALL = """
import sys
from pix2pix_ilm.cli import main
for run in sys.argv[1:]:
    main(["train", "--resume", f"checkpoints/{run}"])
"""
RUNS = ("ilm", "bn")
KEYS = {
    "generator",
    "discriminator",
    "generator_optimizer",
    "discriminator_optimizer",
    "step",
}


@pytest.fixture(scope="module")
def resumed(tmp_path_factory) -> Path:
    """A copy of the fixtures in which both runs were resumed to their end."""
    folder = tmp_path_factory.mktemp("v01") / "copy"
    shutil.copytree(V01, folder)
    done = subprocess.run(
        [sys.executable, "-c", RESUME_ALL, *RUNS],
        cwd=folder,
        env=os.environ | BASELINE_ISA,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


def digest(value: object, name: str = "") -> str:
    """SHA-256 over every tensor and number of a training's state, with their names."""
    if isinstance(value, torch.Tensor):
        data = value.detach().numpy().tobytes()
    elif isinstance(value, dict | list | tuple):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        inner = sorted(digest(item, f"{name}.{key}") for key, item in pairs)
        data = "".join(inner).encode()
    else:
        data = repr(value).encode()
    return hashlib.sha256(name.encode() + data).hexdigest()


@pytest.mark.parametrize("run", RUNS)
def test_a_stopped_run_of_version_0_1_resumes(resumed, run):
    weights = load_file(resumed / "checkpoints" / run / "model.safetensors")
    wanted = load_file(V01 / "expected" / f"{run}.safetensors")
    state = torch.load(resumed / "checkpoints" / run / "training_state.pt", weights_only=True)

    assert state.keys() >= KEYS
    assert state["step"] == json.loads((V01 / "expected.json").read_text())[run]["step"]
    # Training moved weights by 3e-4 on average since the stop; single ones may go another way.
    assert weights.keys() == wanted.keys()
    apart = torch.cat([(weights[name] - wanted[name]).abs().flatten() for name in wanted])
    assert apart.mean() < 1e-5


def test_a_stopped_run_of_version_0_1_resumes_to_the_bit(resumed):
    """Without ILM Norm, whose kernel adds in another order than that of version 0.1."""
    run = "bn"
    expected = json.loads((V01 / "expected.json").read_text())
    state = torch.load(resumed / "checkpoints" / run / "training_state.pt", weights_only=True)
    # Other versions of PyTorch, and other kinds of processor, may add in another order.
    release = torch.__version__.partition("+")[0]
    if (release, platform.machine()) != (expected["torch"], "x86_64"):
        pytest.skip("needs the PyTorch release and the kind of processor of the fixtures")
    assert digest({key: state[key] for key in KEYS}) == expected[run]["state"]


@pytest.mark.parametrize("run", RUNS)
def test_the_log_goes_on_where_version_0_1_stopped(resumed, run):
    lines = (resumed / "checkpoints" / run / "metrics.jsonl").read_text().splitlines()
    before = (V01 / "checkpoints" / run / "metrics.jsonl").read_text().splitlines()
    last = json.loads((V01 / "expected.json").read_text())[run]["step"]

    assert lines[: len(before)] == before
    assert [json.loads(line)["step"] for line in lines] == list(range(1, last + 1))


def test_a_checkpoint_of_version_0_1_translates():
    pair = np.asarray(Image.open(V01 / "pairs" / "val" / "1.png").convert("RGB"))
    wanted = np.asarray(Image.open(V01 / "expected" / "photo.png")).astype(int)

    photo = Translator.load(V01 / "checkpoints" / "ilm", "cpu")([pair[:, 32:].copy()])[0]

    assert abs(photo.astype(int) - wanted).max() <= 1
