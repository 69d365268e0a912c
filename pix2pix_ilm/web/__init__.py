"""The web page; its settings of Gradio and httpx must be made before they are imported."""

import os
import socket

from pix2pix_ilm.errors import SettingError

USER_NO_PROXY = os.environ.get("no_proxy", os.environ.get("NO_PROXY", ""))
os.environ["no_proxy"] = "*"  # the server asks nobody but itself
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"


def check_port(host: str, port: int) -> None:
    """Refuse a port that another program has, before seconds go into imports."""
    kind = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(kind) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does
        try:
            probe.bind((host, port))
        except OSError as error:
            raise SettingError(
                "port", f"one that is free on {host} ({error.strerror})", port
            ) from None
