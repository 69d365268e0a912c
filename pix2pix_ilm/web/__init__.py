"""The web page. Gradio is imported here, as it reads settings of the process when it is."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def environment(name: str, value: str) -> Iterator[None]:
    """Give a variable of the process's environment another value meanwhile."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        os.environ.pop(name)
        if before is not None:
            os.environ[name] = before


os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
# events until the last 10,000 are tabulated again, for a page that is closed here
os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", str(sys.maxsize))
with environment("no_proxy", "*"):  # it prepares a client that may not know a proxy's kind
    import gradio  # noqa: F401
