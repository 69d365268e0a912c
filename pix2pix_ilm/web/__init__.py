"""The web page. Gradio is imported here, as it reads settings of the process when it is."""

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def proxies_avoided(hosts: str = "*") -> Iterator[None]:
    """Let programs of this process ask these hosts without a proxy, and no others, meanwhile."""
    before = os.environ.get("no_proxy")
    os.environ["no_proxy"] = hosts
    try:
        yield
    finally:
        os.environ.pop("no_proxy")
        if before is not None:
            os.environ["no_proxy"] = before


os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
with proxies_avoided():  # it prepares a client that may not know a proxy's kind
    import gradio  # noqa: F401
