"""Pictures of the documentation show what they are of, and docstrings name what they describe."""

import ast
import re
from pathlib import Path

from PIL import Image

from pix2pix_ilm.data.palette import FACADES_COLORS

ROOT = Path(__file__).parents[1]
SOURCES = ("pix2pix_ilm", "benchmarks", "examples")
QUESTION = re.compile(r"(What|Which|Whether|Where|How|Who)\b")


def test_the_picture_of_the_page_shows_every_color_of_the_palette():
    """A picture reduced to 256 colors shows balconies and shutters in one."""
    with Image.open(ROOT / "docs" / "images" / "page.png") as page:
        assert page.mode == "RGB"
        colors = {color for _, color in page.getcolors(page.width * page.height)}
    assert set(FACADES_COLORS.values()) <= colors


def test_no_docstring_begins_like_a_question():
    """Settings' docstrings are the command line's help, too."""
    files = [ROOT / "app.py", ROOT / "evaluate.py"]
    files += [file for top in SOURCES for file in (ROOT / top).rglob("*.py")]
    docstrings = {
        f"{file.relative_to(ROOT)}:{node.lineno}": node.value.value
        for file in files
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Expr) and isinstance(getattr(node.value, "value", None), str)
    }
    assert len(docstrings) > len(files)
    assert [place for place, text in docstrings.items() if QUESTION.match(text)] == []
