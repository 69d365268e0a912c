"""The web page; its settings of Gradio and httpx must be made before they are imported."""

import os

USER_NO_PROXY = os.environ.get("no_proxy", os.environ.get("NO_PROXY", ""))
os.environ["no_proxy"] = "*"  # the server asks nobody but itself
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
