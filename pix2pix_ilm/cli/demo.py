"""``pix2pix-ilm demo``: the web page."""

import socket
from dataclasses import dataclass
from pathlib import Path

import tyro

from pix2pix_ilm.devices import Device
from pix2pix_ilm.errors import SettingError
from pix2pix_ilm.terminal import say


@dataclass(frozen=True, kw_only=True)
class Demo:
    """Open the web page where visitors paint or upload label maps and see the photos."""

    checkpoint: tuple[str, ...] = ()
    """Trained models to offer first, beside those in --checkpoints: folders, or OWNER/NAME on the
    Hugging Face hub."""
    checkpoints: Path = Path("checkpoints")
    """Folder whose trained models are all offered; while it has none, those of the package are."""
    host: str = "127.0.0.1"
    """Name or address to listen on; 0.0.0.0: all of this machine's."""
    port: int | None = None
    """Port to listen on; unset: the first free one from 7860."""
    auth: str | None = None
    """USER:PASSWORD that visitors must give; required wherever others can connect."""
    allow_host: tuple[str, ...] = ()
    """Further names under which browsers may ask for the page, e.g. behind a proxy."""
    share: bool = False
    """Also open a public address through Gradio's servers."""
    device: Device = "auto"
    """Device to compute on; auto: the fastest that is there."""

    def __post_init__(self) -> None:
        if self.port is not None and not 1 <= self.port <= 65535:
            raise SettingError("port", "1 to 65535", self.port)


def run(prog: str, arguments: list[str]) -> None:
    """Open the web page: paint or upload a label map, see the photo."""
    options = tyro.cli(Demo, prog=prog, args=arguments)
    check_address(options.host, options.port)
    say("Starting the page ...")
    from pix2pix_ilm.web.server import serve

    serve(
        options.checkpoints,
        options.checkpoint,
        host=options.host,
        port=options.port,
        auth=options.auth,
        allowed_hosts=options.allow_host,
        share=options.share,
        device=options.device,
        say=say,
    )


def check_address(host: str, port: int | None) -> None:
    """Refuse a host that is not here, or a port that another program has.

    Gradio would find out after seconds of imports, and try a hundred ports.
    """
    kind = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(kind) as probe:
        try:
            probe.bind((host, 0))
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            expected = f"a name or address of this machine ({reason})"
            raise SettingError("host", expected, host) from None
    if port is None:
        return
    with socket.socket(kind) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does
        try:
            probe.bind((host, port))
        except OSError as error:
            raise SettingError(
                "port", f"one that is free on {host} ({error.strerror})", port
            ) from None
