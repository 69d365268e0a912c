import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import gradio
import httpx
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

SPACE = Path(__file__).parents[2] / "examples" / "space"
TIMEOUT = 300  # seconds for a program to start
OPEN = re.compile(r"open at http://localhost:(\d+)/")


def test_the_spaces_description_names_what_is_there():
    front = yaml.safe_load((SPACE / "README.md").read_text("utf-8").split("---\n")[1])
    assert front["sdk"] == "gradio"
    assert (SPACE / front["app_file"]).is_file()
    assert Version(front["sdk_version"]).major == Version(gradio.__version__).major
    assert Requirement((SPACE / "requirements.txt").read_text().strip()).name == "pix2pix-ilm"


@pytest.mark.slow
def test_the_space_shows_the_models_of_the_package_under_its_own_name(tmp_path):
    folder = shutil.copytree(SPACE, tmp_path / "space")
    environment = os.environ | {
        "SPACE_ID": "me/facades",
        "SPACE_HOST": "me-facades.hf.space",
        "GRADIO_TEMP_DIR": str(tmp_path / "uploads"),
    }
    with subprocess.Popen(
        [sys.executable, "app.py"], stderr=subprocess.PIPE, text=True, cwd=folder, env=environment
    ) as process:
        assert process.stderr is not None
        watchdog = threading.Timer(TIMEOUT, process.kill)  # nothing else ends a wait for a line
        watchdog.start()
        try:
            found = next(filter(None, map(OPEN.search, iter(process.stderr.readline, ""))), None)
            assert found, "the Space did not say where its page is"
            address = f"http://127.0.0.1:{found[1]}/config"
            as_space = httpx.get(address, headers={"Host": "me-facades.hf.space"}, timeout=TIMEOUT)
            assert as_space.status_code == 200
            assert "facades-in: IN" in as_space.text
            assert httpx.get(address, headers={"Host": "other.example"}).status_code == 400
        finally:
            process.terminate()
            process.wait()
            watchdog.cancel()
