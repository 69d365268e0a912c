"""The web page as its visitors and its server see it: time from stroke to photo, load, memory.

Starts the page in a process of its own with a trained model, or with a generator of random
weights, paints in a real browser, then asks the API from many clients at once, then many times in
a row.

    python benchmarks/web.py --checkpoint facades-ilm
    python benchmarks/web.py --ngf 64
"""

import io
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import tyro
from PIL import Image
from playwright.sync_api import sync_playwright
from rich.console import Console
from rich.table import Table

from pix2pix_ilm.data.synthetic.dataset import draw_pair
from pix2pix_ilm.models.generator import GeneratorConfig, UNetGenerator
from pix2pix_ilm.models.norms import NormName
from pix2pix_ilm.training.config import TrainConfig
from pix2pix_ilm.training.run_folder import export_generator
from pix2pix_ilm.training.settings import describe_generator

ADDRESS = re.compile(r"open at (http://\S+?)/? ")
PHOTO_CHANGED = """before => {
  const photo = document.querySelector("#photo img");
  return photo && photo.getAttribute("src") !== before && photo.complete;
}"""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Measure the web page."""

    checkpoint: str | None = None
    """Trained model; unset: random weights."""
    ngf: int = 64
    """Width of the first layer of a generator of random weights."""
    norm: NormName = "ilm-in"
    """Its normalization."""
    strokes: int = 20
    """Strokes painted in the browser, each translated at once."""
    clients: int = 50
    """Clients that ask at the same moment."""
    translations: int = 500
    """Translations in a row, over which memory is watched."""


def main(options: Options) -> None:
    model = options.checkpoint or f"ngf {options.ngf}, {options.norm}"
    shown = Table(title=f"{model}, 256x256, {os.cpu_count()} cores")
    shown.add_column("what")
    shown.add_column("figure", justify="right")
    with tempfile.TemporaryDirectory() as folder, serving(options, Path(folder)) as (site, server):
        times = stroke_times(site, options.strokes)
        shown.add_row(
            f"stroke to photo, median (worst) of {options.strokes}",
            f"{statistics.median(times) * 1e3:.0f} ms ({max(times) * 1e3:.0f} ms)",
        )
        file = upload_label_map(site)
        answers, worst = flood(site, file, options.clients)
        shown.add_row(
            f"{options.clients} clients at once",
            ", ".join(f"{count} {answer}" for answer, count in answers.items())
            + f"; all within {worst:.1f} s",
        )
        for done, memory in memory_curve(site, file, server, options.translations):
            shown.add_row(f"server's memory after {done} translations", f"{memory:.0f} MiB")
    Console().print(shown)


@contextmanager
def serving(options: Options, folder: Path) -> Iterator[tuple[str, psutil.Process]]:
    """Serve the page from a process of its own; gives its address, and the process."""
    command = [sys.executable, "-m", "pix2pix_ilm", "demo", "--checkpoints", str(folder)]
    if options.checkpoint:
        command += ["--checkpoint", options.checkpoint]
    else:
        config = TrainConfig(generator=GeneratorConfig(ngf=options.ngf, norm=options.norm))
        (folder / "random").mkdir()
        export_generator(
            folder / "random", UNetGenerator(config.sized_generator), 0, describe_generator(config)
        )
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            site = next(found[1] for line in process.stderr if (found := ADDRESS.search(line)))
            threading.Thread(target=process.stderr.read, daemon=True).start()
            yield site, psutil.Process(process.pid)
        finally:
            process.terminate()


def stroke_times(site: str, strokes: int) -> list[float]:
    """Measure the seconds from the end of a stroke to the photo of it, in a browser."""
    executable = os.environ.get("CHROMIUM") or shutil.which("chromium")
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        browser = playwright.chromium.launch(executable_path=executable, args=arguments)
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        page.goto(site)
        page.locator("#photo img").wait_for()
        page.get_by_label("Translate after every stroke").check()
        box = page.locator("#canvas canvas").bounding_box()
        assert box is not None
        times = []
        for stroke in range(strokes + 2):
            before = page.locator("#photo img").get_attribute("src")
            x, y = box["x"] + 20 + 9 * stroke, box["y"] + 20 + 11 * stroke
            page.mouse.move(x, y)
            page.mouse.down()
            page.mouse.move(x + 60, y + 40)
            page.mouse.up()
            start = time.perf_counter()
            page.wait_for_function(PHOTO_CHANGED, arg=before)
            times.append(time.perf_counter() - start)
        browser.close()
    return times[2:]  # the first ones warm up


def upload_label_map(site: str) -> dict:
    """Upload a label map; gives it as the API takes it."""
    content = io.BytesIO()
    Image.fromarray(draw_pair(0)[0]).save(content, "PNG")
    answer = httpx.post(f"{site}/gradio_api/upload", files={"files": ("a.png", content)})
    return {"path": answer.json()[0], "meta": {"_type": "gradio.FileData"}}


def ask_for_photo(site: str, file: dict, http: httpx.Client) -> str:
    """Ask the API for a photo; gives how that ended."""
    address = f"{site}/gradio_api/call/translate"
    asked = http.post(address, json={"data": [file, ""]}, timeout=120)
    if asked.status_code != 200:
        return "told to come back (503)" if asked.status_code == 503 else str(asked.status_code)
    answer = http.get(f"{address}/{asked.json()['event_id']}", timeout=120).text
    return "photos" if "event: complete" in answer else "errors"


def flood(site: str, file: dict, clients: int) -> tuple[Counter[str], float]:
    """Count what clients at once got, and measure how long the last of them waited."""

    def one(_: int) -> tuple[str, float]:
        with httpx.Client() as http:
            start = time.perf_counter()
            return ask_for_photo(site, file, http), time.perf_counter() - start

    with ThreadPoolExecutor(clients) as pool:
        answers = list(pool.map(one, range(clients)))
    return Counter(answer for answer, _ in answers), max(seconds for _, seconds in answers)


def memory_curve(
    site: str, file: dict, server: psutil.Process, translations: int
) -> Iterator[tuple[int, float]]:
    """Measure the MiB that the server holds, five times in many translations in a row."""
    with httpx.Client() as http:
        for done in range(1, translations + 1):
            assert ask_for_photo(site, file, http) == "photos"
            if done % max(1, translations // 5) == 0:
                yield done, server.memory_info().rss / 2**20


if __name__ == "__main__":
    main(tyro.cli(Options))
