"""The Space's description; tests/web/test_server.py starts it."""

from pathlib import Path

import gradio
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

SPACE = Path(__file__).parents[2] / "examples" / "space"


def test_the_spaces_description_names_what_is_there():
    front = yaml.safe_load((SPACE / "README.md").read_text("utf-8").split("---\n")[1])
    assert front["sdk"] == "gradio"
    assert (SPACE / front["app_file"]).is_file()
    assert Version(front["sdk_version"]).major == Version(gradio.__version__).major
    assert Requirement((SPACE / "requirements.txt").read_text().strip()).name == "pix2pix-ilm"
