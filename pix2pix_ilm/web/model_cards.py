"""Words about the models: what they are, and each one's card."""

from collections.abc import Iterable
from pathlib import Path

from markdown_it import MarkdownIt

from pix2pix_ilm.templates import render
from pix2pix_ilm.web.model_store import Model
from pix2pix_ilm.web.painter import ASSETS

CARD = "README.md"
MAX_CARD = 50_000  # bytes
# Markup stays text, and pictures are left out: the page loads nothing from elsewhere.
MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")


def describe(models: Iterable[Model]) -> str:
    """Write HTML about models: what norms mean, a line for each model, and its card."""
    cards = [(model, read_card(model.folder)) for model in models]
    return render(ASSETS / "models.html", models=cards)


def read_card(folder: Path) -> str:
    """Return the HTML of a checkpoint's card, without the part for the hub; empty without one."""
    try:
        with (folder / CARD).open("rb") as file:
            text = file.read(MAX_CARD).decode("utf-8", errors="replace")
    except OSError:
        return ""
    if text.startswith("---\n"):
        text = text.partition("\n---\n")[2]
    return MARKDOWN.render(text)
