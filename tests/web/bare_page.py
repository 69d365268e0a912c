"""A page of the painter alone, without Gradio: it opens in a tenth of the time."""

import json
from pathlib import Path

import numpy as np
from playwright.sync_api import Page
from web.painting import SERVED

from pix2pix_ilm.web.painter import CANVAS_SIZE, SCRIPTS, decode_drawing, painter_props, read_asset

PAGE = """<!doctype html>
<meta charset="utf-8"><meta name="viewport" content="width=device-width">
<style>body {{ margin: 16px }} #painter {{ max-width: 512px }} {css}</style>
<div id="painter">{html}</div>
<label>Notes <input></label><label>Strokes <input id="strokes"></label>
<button>Submit</button>
<script>
const received = [], watchers = {{}}, served = {served};
const props = {{ value: null, ...{props} }};
for (const [name, value] of Object.entries(served)) {{
    const button = document.createElement("button");
    button.textContent = name;
    button.onclick = () => {{ props.value = value; watchers.value(); }};
    document.body.append(button);
}}
function trigger(event) {{
    if (event !== "input") return;
    received.push(props.value);
    document.querySelector("#strokes").value = received.length;
}}
(function (element, trigger, props, watch) {{ {script} }})(
    document.querySelector("#painter"), trigger, props,
    (name, work) => {{ watchers[name] = work; }});
</script>"""


def write_page(folder: Path) -> str:
    """Write the page; returns its address."""
    page = PAGE.format(
        css=read_asset("painter.css"),
        html=read_asset("painter.html").replace("{{size}}", str(CANVAS_SIZE)),
        script="\n".join(map(read_asset, SCRIPTS)),
        props=json.dumps(painter_props()),
        served=json.dumps(SERVED),
    )
    path = folder / "painter.html"
    path.write_text(page, "utf-8")
    return path.as_uri()


def received_by(page: Page) -> list[np.ndarray]:
    """Return what the painter of a page sent."""
    return [decode_drawing(value) for value in page.evaluate("received")]
