"""A real browser, and pages that must neither fail nor ask anyone but their own server."""

import gc
import json
import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import gradio as gr
import numpy as np
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from web import bare_page as bare
from web.painting import App, Painter
from web.visitor import Visitor

from pix2pix_ilm.serving.translator import Translator
from pix2pix_ilm.web.model_store import ModelStore
from pix2pix_ilm.web.page import Page as WebPage
from pix2pix_ilm.web.server import known_hosts, launch
from pix2pix_ilm.web.service import TranslationService
from pix2pix_ilm.web.uploads import resize

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--process-per-site",  # with a page that stays open, see ``profile``
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)
TIMEOUT = 60_000  # milliseconds: the first event of an app can take seconds
KEEP_TOASTS = """
    // Gradio takes a message away after ten seconds, seen or not.
    const later = window.setTimeout;
    window.setTimeout = (work, delay, ...given) =>
        delay >= 10_000 ? 0 : later(work, delay, ...given);
"""


QUICK = {f"test_{name}" for name in ("error_handlers", "model_store", "request_body", "service",
                                     "uploads")}  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave quick files for the end, where one worker would wait for the other's slow one."""
    items.sort(key=lambda item: item.path.parent.name == "web" and item.path.stem in QUICK)


def find_chromium() -> str | None:
    named = os.environ.get("CHROMIUM") or "/usr/bin/chromium"
    return named if Path(named).exists() else shutil.which("chromium")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    executable = find_chromium()
    if executable is None:
        reason = "needs chromium: install it, or name its program in CHROMIUM"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    expect.set_options(timeout=TIMEOUT)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="session", autouse=True)
def _quiet_gradio(tmp_path_factory):
    """Send no statistics to its makers, and leave no files outside the tests' folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_ANALYTICS_ENABLED", "False")
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("gradio")))
        yield


@pytest.fixture
def uploads(tmp_path, monkeypatch):
    """Make the server's upload folder."""
    folder = tmp_path / "uploads"
    folder.mkdir()
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(folder))
    return folder


@pytest.fixture(scope="session")
def serve() -> Iterator[Callable[..., str]]:
    """Serve an app from this process until the tests end; gives its address."""
    apps = []

    def start(app: gr.Blocks, **settings: Any) -> str:
        quiet = {"prevent_thread_lock": True, "quiet": True, "ssr_mode": False}
        apps.append(app)
        with leaks_ignored():
            return app.launch(**quiet | settings)[1]

    yield start
    with leaks_ignored():
        for app in apps:
            app.close(verbose=False)
        gc.collect()


@contextmanager
def leaks_ignored() -> Iterator[None]:
    """Ignore that Gradio leaves open its event loops, and the sockets of ports that were taken."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        yield


@pytest.fixture(scope="session")
def profile(browser) -> Callable[..., BrowserContext]:
    """Find a profile of the browser for an address, with settings of Playwright's ``new_context``.

    It is kept from test to test, with an empty page in it, and so are the process of all pages and
    what their scripts were compiled to: a page opens in a third of the time. In it messages stay
    until they are closed.
    """
    kept: dict[str, BrowserContext] = {}

    def find(url: str, **settings: Any) -> BrowserContext:
        settings = {"viewport": {"width": 1280, "height": 900}} | settings
        key = json.dumps([settings, urlsplit(url).scheme], sort_keys=True)
        if key not in kept:
            kept[key] = browser.new_context(**settings)
            kept[key].set_default_timeout(TIMEOUT)
            kept[key].new_page().goto(urljoin(url, "/robots.txt") if "http" in url else url)
            kept[key].add_init_script(KEEP_TOASTS)
        return kept[key]

    return find


@pytest.fixture
def new_page(profile) -> Iterator[Callable[..., Page]]:
    """Open an address, without a cookie from an earlier test; settings as for ``profile``.

    When the test ends, every page must have asked nobody but the address that it was opened
    with, and must have reported no error.
    """
    pages, problems = [], []

    def open_page(url: str, **settings: Any) -> Page:
        pages.append(profile(url, **settings).new_page())
        watch(pages[-1], url, problems)
        pages[-1].goto(url)
        return pages[-1]

    yield open_page
    reported = problems.copy()  # a page that is closed reports what it leaves unfinished
    for page in pages:
        page.context.clear_cookies()
        page.close()
    assert not reported


def watch(page: Page, url: str, problems: list[str]) -> None:
    """Note what the page should not do."""
    scheme, _, rest = url.partition("://")
    own = (f"{scheme}://{rest.split('/')[0]}/", "data:", "blob:")

    def on_request(request):
        if not request.url.startswith(own):
            problems.append(f"asked {request.url}")

    def on_console(message):
        if message.type == "error":
            problems.append(f"console: {message.text}")

    page.on("request", on_request)
    page.on("console", on_console)
    page.on("pageerror", lambda error: problems.append(f"error: {error}"))


@pytest.fixture(scope="session")
def site(serve_page, two_models) -> str:
    """Serve the whole page with two models, as people are served it; gives its address."""
    return serve_page(two_models)


@pytest.fixture(scope="session")
def serve_page() -> Iterator[Callable[..., str]]:
    """Serve the whole page for a folder of models until the tests end; gives its address."""
    apps = []

    def start(checkpoints: Path, *, live: bool = False, **settings: Any) -> str:
        service = TranslationService(ModelStore(checkpoints, device="cpu"))
        page = WebPage(service, live=live)
        apps.append(page.blocks)
        hosts = known_hosts("127.0.0.1")
        with leaks_ignored():
            return launch(page.blocks, hosts=hosts, **settings)[1].rstrip("/")

    yield start
    with leaks_ignored():
        for app in apps:
            app.close(verbose=False)
        gc.collect()


@pytest.fixture
def visit(new_page, site) -> Callable[..., Visitor]:
    """Open the page; settings are those of ``new_page``."""

    def start(url: str = site, **settings: Any) -> Visitor:
        return Visitor(new_page(url, **settings))

    return start


@pytest.fixture(scope="session")
def painters(serve) -> tuple[App, str]:
    """Serve pages with a painter alone; gives them and their address."""
    app = App()
    return app, serve(app.blocks)


@pytest.fixture
def open_painter(painters, new_page) -> Callable[..., Painter]:
    """Open a page of Gradio with a painter; settings are those of ``new_page``."""
    app, url = painters

    def start(query: str = "", **settings: Any) -> Painter:
        return Painter(new_page(url + query, **settings), app.received_by)

    return start


@pytest.fixture
def served_painter(open_painter) -> Painter:
    return open_painter()


@pytest.fixture(scope="session")
def bare_page(tmp_path_factory) -> str:
    return bare.write_page(tmp_path_factory.mktemp("painter"))


@pytest.fixture
def open_bare_painter(bare_page, new_page) -> Callable[..., Painter]:
    """Open a page of the painter alone; settings are those of ``new_page``."""

    def start(**settings: Any) -> Painter:
        return Painter(new_page(bare_page, **settings), bare.received_by)

    return start


@pytest.fixture
def painter(open_bare_painter) -> Painter:
    return open_bare_painter()


@pytest.fixture(scope="session")
def translate(two_models) -> Callable[..., np.ndarray]:
    """Make the photo that a model makes of a label map, in its own size or the model's."""
    models = {
        name: Translator.load(two_models / name, "cpu") for name in ("facades-ilm", "facades-in")
    }

    def photo(
        label_map: np.ndarray, name: str = "facades-ilm", size: int | None = None
    ) -> np.ndarray:
        seen = label_map if size is None else resize(label_map, size, size)
        return models[name]([seen])[0]

    return photo
