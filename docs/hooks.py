"""Bring the READMEs into the site, and let links lead to where their targets lie there."""

import os
import re
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
PAGES = {
    "README.md": "index.md",
    "data/README.md": "data.md",
    "checkpoints/README.md": "checkpoints.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "CHANGELOG.md": "changelog.md",
}
"""File of the repository -> page of the site; all pages lie beside one another."""
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)#:\s]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add pages for files outside of docs/."""
    for source, page in PAGES.items():
        text = relink((ROOT / source).read_text("utf-8"), source)
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:  # noqa: ANN401
    """Turn the links of a page in docs/."""
    inside = page.file.src_uri not in PAGES.values()
    return relink(markdown, f"docs/{page.file.src_uri}") if inside else markdown


def relink(markdown: str, source: str) -> str:
    """Let links of a file lead within the site; those to other files of the repository become text.

    Args:
        markdown: the file's content.
        source: where it lies in the repository.
    """

    def target(link: re.Match[str]) -> str:
        image, text, path, anchor = link.groups()
        place = os.path.normpath(PurePosixPath(source).parent / path)
        if place in PAGES:
            return f"{image}[{text}]({PAGES[place]}{anchor or ''})"
        if place.startswith("docs/"):
            return f"{image}[{text}]({place.removeprefix('docs/')}{anchor or ''})"
        return text

    return LINK.sub(target, markdown)
