"""The web page; its settings of Gradio and httpx must be made before they are imported."""

import os
import socket

from pix2pix_ilm.errors import SettingError

USER_NO_PROXY = os.environ.get("no_proxy", os.environ.get("NO_PROXY", ""))
os.environ["no_proxy"] = "*"  # the server asks nobody but itself
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"


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
