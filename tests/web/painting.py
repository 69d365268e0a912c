"""A page with a painter, a person who uses it, and the pictures to expect."""

from collections import defaultdict
from collections.abc import Callable

import gradio as gr
import numpy as np
from playwright.sync_api import Page, expect
from web.visitor import wait_until

from pix2pix_ilm.data.palette import FACADES_COLORS
from pix2pix_ilm.web.painter import (
    CANVAS_SIZE,
    decode_drawing,
    encode_drawing,
    painter,
    painter_props,
)

CLASSES = painter_props()["classes"]
NAMES = [entry["name"] for entry in CLASSES]
COLORS = {entry["name"]: tuple(bytes.fromhex(entry["hex"][1:])) for entry in CLASSES}


def coarse_label_map(seed: int) -> np.ndarray:
    """Draw blocks of 8x8 pixels in random classes."""
    rng = np.random.default_rng(seed)
    blocks = rng.choice(np.array(list(FACADES_COLORS.values()), np.uint8), (32, 32))
    return np.kron(blocks, np.ones((8, 8, 1), np.uint8))


def scattered_label_map(seed: int) -> np.ndarray:
    """Draw single pixels of two classes, so that the regions are large and ragged."""
    chance = np.random.default_rng(seed).random((CANVAS_SIZE, CANVAS_SIZE, 1))
    return np.where(chance < 0.62, COLORS["Wall"], COLORS["Sill"]).astype(np.uint8)


RANDOM, SCATTERED = coarse_label_map(0), scattered_label_map(0)
DOUBLED = np.kron(coarse_label_map(1), np.ones((2, 2, 1), np.uint8))


SERVED = {
    "Doubled": encode_drawing(DOUBLED),
    "Scattered": encode_drawing(SCATTERED),
    "Nothing": None,
    "Text": "text",
    "Broken": "data:image/png;base64,AAAA",
}
"""Values that a button of this name sets."""


class App:
    """Pages with a painter, and what the server got from each of them."""

    def __init__(self) -> None:
        self.received: dict[str, list[np.ndarray]] = defaultdict(list)
        with gr.Blocks() as self.blocks:
            with gr.Tab("Draw"):
                self.painter = painter(elem_id="painter")
            with gr.Tab("Else"):
                gr.Markdown("Nothing")
            gr.Textbox(label="Notes")
            count, answer = gr.Textbox(label="Strokes"), gr.Textbox(label="Set by the server")
            silent = {"show_progress": "hidden", "trigger_mode": "multiple"}
            self.painter.input(self.receive, self.painter, count, **silent)
            self.painter.random(lambda: encode_drawing(RANDOM), None, self.painter, **silent)
            for name, value in SERVED.items():
                both = (value, name)
                gr.Button(name).click(
                    lambda both=both: both, None, [self.painter, answer], **silent
                )
            gr.Button("Submit").click(self.receive, self.painter, count, **silent)
            session = gr.Textbox(label="Session")
            self.blocks.load(self.name_session, None, session, show_progress="hidden")

    def receive(self, value: object, request: gr.Request) -> str:
        received = self.received[request.session_hash]
        received.append(decode_drawing(value))
        return str(len(received))

    def name_session(self, request: gr.Request) -> str:
        return request.session_hash

    def received_by(self, page: Page) -> list[np.ndarray]:
        """Return what the server got from a page."""
        session = page.get_by_label("Session")
        expect(session).not_to_have_value("")
        return self.received[session.input_value()]


class Painter:
    """What a person does with the painter of a page, and what a server gets of it."""

    def __init__(self, page: Page, received_by: Callable[[Page], list[np.ndarray]]) -> None:
        self.page, self.received_by = page, received_by
        self.root = page.locator("#painter")
        self.canvas = self.root.locator("canvas")
        expect(self.root.get_by_role("status")).not_to_be_empty()  # its script has run
        self.canvas.hover()  # waits until nothing that Gradio shows while loading covers it
        page.mouse.move(0, 0)

    @property
    def received(self) -> list[np.ndarray]:
        return self.received_by(self.page)

    def label_map(self) -> np.ndarray:
        return decode_drawing(self.canvas.evaluate("canvas => canvas.toDataURL()"))

    def color(self, x: int, y: int) -> str:
        here = tuple(self.label_map()[y, x].tolist())
        return next(name for name, color in COLORS.items() if color == here)

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Return where on the page the middle of a pixel lies."""
        box = self.canvas.bounding_box()
        scale = box["width"] / CANVAS_SIZE
        return box["x"] + (x + 0.5) * scale, box["y"] + (y + 0.5) * scale

    def drag(self, *points: tuple[int, int], button: str = "left") -> None:
        self.page.mouse.move(*self.at(*points[0]))
        self.page.mouse.down(button=button)
        for point in points[1:]:
            self.page.mouse.move(*self.at(*point), steps=3)
        self.page.mouse.up(button=button)

    def choose(self, name: str) -> None:
        self.root.get_by_role("radio", name=name, exact=True).click()

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def click(self, name: str) -> None:
        self.root.get_by_role("button", name=name, exact=True).click()

    def server_sets(self, name: str, expected: np.ndarray) -> None:
        self.page.get_by_role("button", name=name, exact=True).dispatch_event("click")
        self.wait_for(expected)

    def wait_for(self, expected: np.ndarray) -> None:
        wait_until(
            self.page,
            lambda: np.array_equal(self.label_map(), expected),
            "the picture did not come",
        )

    def expect_received(self, count: int) -> None:
        expect(self.page.get_by_label("Strokes")).to_have_value(str(count))
        assert len(self.received) == count


def wall() -> np.ndarray:
    return filled("Wall")


def filled(name: str) -> np.ndarray:
    return np.full((CANVAS_SIZE, CANVAS_SIZE, 3), COLORS[name], np.uint8)


def with_rectangle(label_map: np.ndarray, one, other, name: str) -> np.ndarray:
    (left, right), (top, bottom) = sorted((one[0], other[0])), sorted((one[1], other[1]))
    drawn = label_map.copy()
    drawn[top : bottom + 1, left : right + 1] = COLORS[name]
    return drawn


def disc(x: int, y: int, diameter: int) -> np.ndarray:
    """Mark the pixels whose middle lies in a circle; an even one is centered on their corner."""
    rows, columns = np.mgrid[:CANVAS_SIZE, :CANVAS_SIZE]
    shift = 0 if diameter % 2 else 0.5
    return (columns - x + shift) ** 2 + (rows - y + shift) ** 2 <= diameter**2 / 4


def is_selected(painter: Painter, name: str) -> bool:
    return painter.root.get_by_role("button", name=name, exact=True, pressed=True).count() == 1
