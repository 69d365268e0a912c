"""The page's server: for this machine, or for a network behind a password."""

import asyncio
import ipaddress
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import gradio as gr
from gradio import themes
from gradio.utils import get_upload_folder
from starlette.middleware import Middleware

from pix2pix_ilm.checkpoints import find_shipped
from pix2pix_ilm.devices import Device
from pix2pix_ilm.errors import SettingError, UserError
from pix2pix_ilm.web import environment
from pix2pix_ilm.web.error_handlers import EXCEPTION_HANDLERS
from pix2pix_ilm.web.layout import FIRST_FACADE
from pix2pix_ilm.web.model_store import ModelStore
from pix2pix_ilm.web.page import Page
from pix2pix_ilm.web.painter import ASSETS, draw_facade, read_asset
from pix2pix_ilm.web.security import ANY_ADDRESS, SecurityMiddleware
from pix2pix_ilm.web.service import TranslationService

MAX_QUEUE = 16  # requests that may wait; more are told to come back
FILE_LIFETIME = 3600  # seconds: age at which a file is deleted, and how often that is looked after
MAX_SESSIONS = 128  # visitors whose choices are remembered; every API call counts as one, of 0.1 MB
MAX_LIVE_SECONDS = 0.15  # of a translation that may follow every stroke
LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")
SYSTEM_FONTS = (["system-ui", "sans-serif"], ["ui-monospace", "monospace"])  # none is fetched


def serve(
    checkpoints: Path,
    chosen: Sequence[str],
    *,
    host: str,
    port: int | None,
    auth: str | None,
    allowed_hosts: Sequence[str],
    share: bool,
    device: Device,
    say: Callable[[str], object],
) -> None:
    """Show the page until Ctrl-C or SIGTERM.

    Args:
        checkpoints: folder of trained models; while it has none, those of the package are shown.
        chosen: further trained models, as of ``resolve_checkpoint``; they come first.
        host: name or address to listen on.
        port: unset: the first free one from 7860.
        auth: USER:PASSWORD that visitors must give; required unless only this machine can connect,
            or it is a Hugging Face Space.
        allowed_hosts: further names under which browsers may ask for the page.
        share: also open a public address through Gradio's servers.
        device: where to compute.
        say: receives lines for the person at the terminal.

    Raises:
        UserError: no checkpoint where one was named, or none at all.
        SettingError: a host that is open to strangers.
        OSError: the port is taken.
    """
    space = space_hosts()
    if space and is_loopback(host):
        host = "0.0.0.0"  # where the Space's proxy connects
    private = bool(space) or (is_loopback(host) and not share)
    login = parse_auth(auth, where=None if private else f"{host}{', shared' if share else ''}")
    store = ModelStore(checkpoints, chosen, device, list(find_shipped().values()))
    for problem in store.catalog.broken.values():
        say(f"warning: {problem}; the page serves the others")
    store.get(None)  # refuses to go on without a model
    direct = environment("no_proxy", direct_hosts(host, share=share))
    with temporary_uploads(), ending_on_sigterm(), direct:
        service = TranslationService(store)
        blocks = Page(service, live=can_translate_live(service)).blocks
        _, url, public = launch(
            blocks,
            server_name=f"[{host}]" if ":" in host else host,
            server_port=port,
            auth=login,
            share=share,
            hosts=asked_names(host, share=share),
            proxied=[*allowed_hosts, *space],
        )
        say(f"The page is open at {url}{f' and {public}' if public else ''} (stop with Ctrl-C)")
        blocks.block_thread()


def launch(
    blocks: gr.Blocks, *, hosts: Sequence[str], proxied: Sequence[str] = (), **settings: object
) -> tuple[object, str, str | None]:
    """Start the server beside this thread, with everything closed that the page does not use.

    Args:
        blocks: the page.
        hosts: names under which it is asked.
        proxied: further ones, under which a proxy in front of it is asked.
        **settings: of ``blocks.launch``.

    Returns:
        The application, its address, and its public address if it is shared.

    Raises:
        OSError: the port is taken.
    """
    blocks.queue(max_size=MAX_QUEUE, default_concurrency_limit=4, api_open=False)
    security = Middleware(SecurityMiddleware, hosts=[*hosts, *proxied], proxied=proxied)
    server: dict = {"prevent_thread_lock": True, "quiet": True, "share": False} | settings
    return blocks.launch(
        **server,
        show_error=False,
        state_session_capacity=MAX_SESSIONS,
        max_file_size="10mb",
        allowed_paths=[],
        ssr_mode=False,
        run_history=False,
        mcp_server=False,
        pwa=False,
        enable_monitoring=False,
        footer_links=["api"],
        app_kwargs={
            "middleware": [security],
            "exception_handlers": EXCEPTION_HANDLERS,
            "lifespan": delete_old_files,
        },
        theme=themes.Default(font=SYSTEM_FONTS[0], font_mono=SYSTEM_FONTS[1]),
        css_paths=ASSETS / "page.css",
        js=read_asset("page.js"),
    )


def parse_auth(auth: str | None, where: str | None = None) -> tuple[str, str] | None:
    """Split "USER:PASSWORD".

    Args:
        auth: name and password, or None.
        where: where strangers can reach the page, so that it needs them; None: nowhere.

    Raises:
        SettingError: either is missing.
    """
    if auth is None:
        if where is None:
            return None
        raise SettingError(
            "auth",
            f"USER:PASSWORD, since others could use this machine ({where})",
            auth,
            "give it, or stay on 127.0.0.1 without sharing",
        )
    user, colon, password = auth.partition(":")
    if not (user and colon and password):
        found = f"{'*' * len(user)}{colon}{'*' * len(password)}"  # it may be half a secret
        raise SettingError("auth", "USER:PASSWORD", found)
    return user, password


def space_hosts() -> list[str]:
    """List the names of the Hugging Face Space that this runs in, if it does.

    A Space is a machine of its own behind a proxy, and is public where its owner made it so.
    """
    names = os.environ.get("SPACE_HOST", "") if "SPACE_ID" in os.environ else ""
    return [name for name in names.split(",") if name]


def direct_hosts(host: str, *, share: bool) -> str:
    """Return what the server asks without a proxy, as ``no_proxy`` has it: itself, or all.

    Gradio's own servers, which share the page, may be behind a proxy.
    """
    users = os.environ.get("no_proxy", os.environ.get("NO_PROXY", ""))
    return ",".join([*known_hosts(host), users]) if share else "*"


def is_loopback(host: str) -> bool:
    """Return whether only this machine can connect to a server on this host."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def asked_names(host: str, *, share: bool) -> list[str]:
    """List the names under which browsers may ask for a page on this host.

    A page of another name could lead a visitor's browser here (DNS rebinding).
    """
    names = known_hosts(host)
    if not is_loopback(host):
        names.append(ANY_ADDRESS)
    if share:
        names.append("*.gradio.live")
    return names


def known_hosts(host: str) -> list[str]:
    """List the names of this machine under which a server on this host is reached."""
    names = [*LOOPBACK_HOSTS, f"[{host}]" if ":" in host else host]
    if not is_loopback(host):
        names += [socket.gethostname(), socket.getfqdn()]
    return names


def can_translate_live(service: TranslationService) -> bool:
    """Return whether the default model is fast enough to translate after every stroke.

    The second translation is timed; the first warms up.
    """
    if not service.store.catalog.models:
        return False
    label_map = draw_facade(FIRST_FACADE)
    try:
        model = service.store.get(None)
        service.make_photo(label_map, model, painted=True)
        return service.make_photo(label_map, model, painted=True).seconds < MAX_LIVE_SECONDS
    except (UserError, ValueError, OverflowError):  # one odd model must not keep the page closed
        return False


@asynccontextmanager
async def delete_old_files(_app: object) -> AsyncIterator[None]:
    """Delete files that nobody can need any more while the server runs."""

    async def look_after() -> None:
        while True:
            await asyncio.sleep(FILE_LIFETIME)
            await asyncio.to_thread(delete_older, Path(get_upload_folder()), FILE_LIFETIME)

    task = asyncio.create_task(look_after())
    yield
    task.cancel()


def delete_older(folder: Path, seconds: float) -> None:
    """Delete files of at least this age, and folders that were empty for so long, in a folder."""
    for path in folder.rglob("*"):
        with suppress(OSError):  # it is not empty, or somebody else was faster
            if time.time() - path.stat().st_mtime >= seconds:
                path.rmdir() if path.is_dir() else path.unlink()


@contextmanager
def temporary_uploads() -> Iterator[None]:
    """Keep uploads and photos in a folder of their own, which is gone in the end."""
    with (
        tempfile.TemporaryDirectory(prefix="pix2pix-ilm-", ignore_cleanup_errors=True) as folder,
        environment("GRADIO_TEMP_DIR", str(Path(folder).resolve())),
    ):
        yield


@contextmanager
def ending_on_sigterm() -> Iterator[None]:
    """Let SIGTERM end the program in order, so that temporary files are deleted."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
