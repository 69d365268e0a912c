"""Two pictures on one another, with a slider that the keyboard moves, too."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import gradio as gr

from pix2pix_ilm.web.painter import read_asset


def comparison(**settings: Any) -> gr.HTML:
    """Make a place for two pictures on one another; its value is ``compared``'s.

    Args:
        **settings: further arguments of ``gr.HTML``, such as ``elem_id``.
    """
    return gr.HTML(
        html_template=read_asset("compare.html"),
        css_template=read_asset("compare.css"),
        js_on_load=read_asset("compare.js"),
        apply_default_css=False,
        **settings,
    )


def compared(left: tuple[str, Path], right: tuple[str, Path]) -> str:
    """Name two pictures, of one shape, to be compared.

    Args:
        left: name and file, which the page may show, of the picture that lies on the other one.
        right: name and file of the picture beneath.
    """
    names, files = zip(left, right, strict=True)
    # relative to the page, so that it holds behind a proxy
    urls = [f"gradio_api/file={quote(str(file))}" for file in files]
    return json.dumps({"names": names, "pictures": urls})
