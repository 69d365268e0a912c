"""A person in front of the page: paints, uploads, and sees photos."""

import base64
import io
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from pix2pix_ilm.web.painter import CANVAS_SIZE, EXAMPLES, decode_drawing

TIMEOUT = 60  # seconds
PIXELS = """image => {
    if (!image.complete || !image.naturalWidth) return null;
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
    canvas.getContext("2d").drawImage(image, 0, 0);
    return canvas.toDataURL();
}"""


class Visitor:
    """A person in front of the page; messages stay until they are closed (see ``profile``)."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.canvas = page.locator("#canvas canvas")
        self.caption = page.locator("#note")
        self.toasts = page.get_by_test_id("toast-text")
        expect(page.locator("#canvas [role=status]")).not_to_be_empty()  # also behind a tab

    def wait_for_examples(self) -> None:
        """Wait for the last thing that a new page asks the server for."""
        expect(self.page.locator("#examples img")).to_have_count(len(EXAMPLES))

    def label_map(self) -> np.ndarray:
        """Return what is painted."""
        return decode_drawing(self.canvas.evaluate("canvas => canvas.toDataURL()"))

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Return where on the page the middle of a pixel of the painter lies."""
        box = self.canvas.bounding_box()
        scale = box["width"] / CANVAS_SIZE
        return box["x"] + (x + 0.5) * scale, box["y"] + (y + 0.5) * scale

    def drag(self, *points: tuple[int, int]) -> None:
        self.canvas.hover()  # waits until nothing that Gradio shows while loading covers it
        self.page.mouse.move(*self.at(*points[0]))
        self.page.mouse.down()
        for point in points[1:]:
            self.page.mouse.move(*self.at(*point))
        self.page.mouse.up()

    def open_tab(self, name: str) -> None:
        tab = self.page.get_by_role("tab", name=name, exact=True)
        tab.click()
        expect(tab).to_have_attribute("aria-selected", "true")

    def choose(self, list_id: str, option: str) -> None:
        """Choose the option of a list that starts so."""
        self.page.locator(f"#{list_id} input").click()
        self.page.get_by_role("option", name=option).first.click()

    def drop_in(self, where: str, file: Path | str) -> None:
        """Hand a file to an image input, in place of the one that is there."""
        self.page.locator(f"#{where} input[type=file]").set_input_files(file)

    def expect_photo(self, expected: np.ndarray, where: str = "#photo img") -> None:
        wait_until(
            self.page,
            lambda: np.array_equal(pixels(self.page.locator(where)), expected),
            f"{where} does not show the expected photo",
        )

    def expect_toast(self, text: str) -> None:
        """See one message that says just this, and close it."""
        expect(self.toasts).to_have_text([text])
        self.page.get_by_test_id("toast-close").click()
        expect(self.toasts).to_have_count(0)

    def save(self, button_id: str, folder: Path) -> Path:
        with self.page.expect_download() as download:
            self.page.locator(f"#{button_id}").click()
        path = folder / download.value.suggested_filename
        download.value.save_as(path)
        return path


def pixels(image: Locator) -> np.ndarray | None:
    """Return the decoded pixels of an image of the page; None while it is not there."""
    if image.count() != 1:
        return None
    image.scroll_into_view_if_needed()  # pictures further down are not loaded before
    url = image.evaluate(PIXELS)
    if url is None:
        return None
    picture = Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))
    return np.asarray(picture.convert("RGB"))


def wait_until(page: Page, condition: Callable[[], bool], what: str) -> None:
    """Wait until a condition holds, for a minute at most; ``what`` is wrong if it never does."""
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline, what
        page.wait_for_timeout(20)
