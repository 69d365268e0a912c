"""Milliseconds a photo takes on a page without a server, and in Python, one after the other.

Exports the page for a checkpoint, opens it in a real browser with and without the headers that
allow threads, and translates the painting that it opens with.

    python benchmarks/static_page.py facades-in
"""

import functools
import http.server
import os
import re
import shutil
import statistics
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro
from playwright.sync_api import expect, sync_playwright
from rich.console import Console
from rich.table import Table
from tyro.conf import Positional

from pix2pix_ilm.web.model_store import ModelStore
from pix2pix_ilm.web.painter import EXAMPLES, draw_facade
from pix2pix_ilm.web.service import TranslationService
from pix2pix_ilm.web.static_page import export_page


@dataclass(frozen=True, kw_only=True)
class Options:
    """Measure a page without a server."""

    checkpoint: Positional[str]
    """The model: a folder, a model of the package, or OWNER/NAME on the hub."""
    photos: int = 20
    """Measured photos of each kind."""
    warm_ups: int = 3
    """Photos before that, unmeasured."""


def main(options: Options) -> None:
    with tempfile.TemporaryDirectory() as parent:
        site = Path(parent) / "site"
        page = export_page([options.checkpoint], site)
        table = Table(title=f"{options.checkpoint}, a page of {page.bytes / 1e6:.0f} MB")
        for column in ("where", "threads", "ms a photo"):
            table.add_column(column)
        for isolated in (False, True):
            with serve(site, isolated=isolated) as url:
                threads, times = in_browser(url, options)
            table.add_row("browser", threads, f"{statistics.median(times):.0f}")
    for threads in (1, 2):
        torch.set_num_threads(threads)
        milliseconds = statistics.median(in_python(options))
        table.add_row("Python", str(threads), f"{milliseconds:.0f}")
    Console().print(table)


@contextmanager
def serve(folder: Path, *, isolated: bool) -> Iterator[str]:
    """Serve a folder, with the headers of its file _headers if asked to."""
    lines = (folder / "_headers").read_text().splitlines()[1:] if isolated else []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def end_headers(self) -> None:
            for line in lines:
                self.send_header(*line.strip().split(": "))
            super().end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    handler = functools.partial(Handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def in_browser(url: str, options: Options) -> tuple[str, list[float]]:
    """Return the number of threads, and the milliseconds that the page says."""
    threads, times = "", []
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu"]
        executable = os.environ.get("CHROMIUM") or shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=executable, args=arguments)
        page = browser.new_page()
        page.goto(url)
        note = page.locator("#note")
        expect(note).to_contain_text("threads", timeout=120_000)
        for _ in range(options.warm_ups + options.photos):
            page.evaluate("document.querySelector('#note').textContent = ''")
            page.locator("#translate").click()
            expect(note).to_contain_text("threads", timeout=60_000)
            found = re.search(r"(\d+) ms, threads: (\d+)", note.inner_text())
            assert found is not None
            threads = found[2]
            times.append(float(found[1]))
        browser.close()
    return threads, times[options.warm_ups :]


def in_python(options: Options) -> list[float]:
    """Return the milliseconds that the served page says of the same painting."""
    service = TranslationService(ModelStore(None, [options.checkpoint], "cpu"))
    [model] = service.store.catalog.models.values()
    drawing = draw_facade(EXAMPLES[0])
    times = [
        1000 * service.make_photo(drawing, model, painted=True).seconds
        for _ in range(options.warm_ups + options.photos)
    ]
    return times[options.warm_ups :]


if __name__ == "__main__":
    main(tyro.cli(Options))
