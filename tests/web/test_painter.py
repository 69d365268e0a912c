"""The painter in a real browser: what people do to it, what they see, what the server gets."""

import time
from collections import defaultdict

import gradio as gr
import numpy as np
import pytest
import scipy.ndimage
from playwright.sync_api import expect

from pix2pix_ilm.data.facades import PALETTE
from pix2pix_ilm.web.canvas import CANVAS_SIZE, classes, from_data_url, label_canvas, to_data_url

pytestmark = [
    pytest.mark.browser,
    # gradio sets an option of pandas that is on its way out
    pytest.mark.filterwarnings("ignore::pandas.errors.Pandas4Warning"),
]

NAMES = [entry["name"] for entry in classes()]
COLOURS = dict(
    zip(NAMES, (tuple(bytes.fromhex(entry["hex"][1:])) for entry in classes()), strict=True)
)


def coarse_label(seed: int) -> np.ndarray:
    """Blocks of 8x8 pixels in random classes."""
    rng = np.random.default_rng(seed)
    blocks = rng.choice(np.array(list(PALETTE.values()), np.uint8), (32, 32))
    return np.kron(blocks, np.ones((8, 8, 1), np.uint8))


def scattered_label(seed: int) -> np.ndarray:
    """Single pixels of two classes, so that the regions are large and ragged."""
    chance = np.random.default_rng(seed).random((CANVAS_SIZE, CANVAS_SIZE, 1))
    return np.where(chance < 0.62, COLOURS["Wall"], COLOURS["Sill"]).astype(np.uint8)


RANDOM, SCATTERED = coarse_label(0), scattered_label(0)
DOUBLED = np.kron(coarse_label(1), np.ones((2, 2, 1), np.uint8))


class App:
    """Pages with a painter, and what the server got from each of them."""

    def __init__(self) -> None:
        self.received: dict[str, list[np.ndarray]] = defaultdict(list)
        with gr.Blocks() as self.blocks:
            with gr.Tab("Draw"):
                self.painter = label_canvas(elem_id="painter")
            with gr.Tab("Else"):
                gr.Markdown("Nothing")
            gr.Textbox(label="Notes")
            count = gr.Textbox(label="Strokes")
            silent = {"show_progress": "hidden", "trigger_mode": "multiple"}
            self.painter.input(self.receive, self.painter, count, **silent)
            self.painter.random(lambda: to_data_url(RANDOM), None, self.painter, **silent)
            for name, value in {
                "Doubled": to_data_url(DOUBLED),
                "Scattered": to_data_url(SCATTERED),
                "Nothing": None,
                "Text": "text",
                "Broken": "data:image/png;base64,AAAA",
            }.items():
                gr.Button(name).click(lambda value=value: value, None, self.painter, **silent)
            gr.Button("Submit").click(self.receive, self.painter, count, **silent)
            session = gr.Textbox(label="Session")
            self.blocks.load(self.name_session, None, session, show_progress="hidden")

    def receive(self, value: object, request: gr.Request) -> str:
        received = self.received[request.session_hash]
        received.append(from_data_url(value))
        return str(len(received))

    def name_session(self, request: gr.Request) -> str:
        return request.session_hash


class Painter:
    """What a person does with the painter of a page."""

    def __init__(self, page, app: App) -> None:
        self.page, self.app = page, app
        self.root = page.locator("#painter")
        self.canvas = self.root.locator("canvas")
        expect(self.root.get_by_role("status")).not_to_be_empty()  # its script has run
        self.canvas.hover()  # waits until nothing that Gradio shows while loading covers it
        page.mouse.move(0, 0)

    @property
    def received(self) -> list[np.ndarray]:
        """What the server got from this page."""
        session = self.page.get_by_label("Session")
        expect(session).not_to_have_value("")
        return self.app.received[session.input_value()]

    def label(self) -> np.ndarray:
        return from_data_url(self.canvas.evaluate("canvas => canvas.toDataURL()"))

    def colour(self, x: int, y: int) -> str:
        here = tuple(self.label()[y, x].tolist())
        return next(name for name, colour in COLOURS.items() if colour == here)

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Where on the page the middle of a pixel lies."""
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
        deadline = time.monotonic() + 20
        while not np.array_equal(self.label(), expected):
            assert time.monotonic() < deadline, "the picture did not come"
            self.page.wait_for_timeout(20)

    def expect_received(self, count: int) -> None:
        expect(self.page.get_by_label("Strokes")).to_have_value(str(count))
        assert len(self.received) == count


@pytest.fixture(scope="module")
def app():
    return App()


@pytest.fixture(scope="module")
def url(app, serve):
    return serve(app.blocks)


@pytest.fixture
def open_painter(app, url, new_page):
    def start(query: str = "", **settings) -> Painter:
        return Painter(new_page(url + query, **settings), app)

    return start


@pytest.fixture
def painter(open_painter) -> Painter:
    return open_painter()


def wall() -> np.ndarray:
    return filled("Wall")


def filled(name: str) -> np.ndarray:
    return np.full((CANVAS_SIZE, CANVAS_SIZE, 3), COLOURS[name], np.uint8)


def with_rectangle(label: np.ndarray, one, other, name: str) -> np.ndarray:
    (left, right), (top, bottom) = sorted((one[0], other[0])), sorted((one[1], other[1]))
    drawn = label.copy()
    drawn[top : bottom + 1, left : right + 1] = COLOURS[name]
    return drawn


def disc(x: int, y: int, diameter: int) -> np.ndarray:
    """The pixels whose middle lies in a circle; an even one is centred on their corner."""
    rows, columns = np.mgrid[:CANVAS_SIZE, :CANVAS_SIZE]
    shift = 0 if diameter % 2 else 0.5
    return (columns - x + shift) ** 2 + (rows - y + shift) ** 2 <= diameter**2 / 4


def is_selected(painter: Painter, name: str) -> bool:
    return painter.root.get_by_role("button", name=name, exact=True, pressed=True).count() == 1


def test_an_untouched_canvas_can_be_submitted(painter):
    painter.page.get_by_role("button", name="Submit").click()
    painter.expect_received(1)
    assert np.array_equal(painter.received[0], wall())


def test_rectangles_are_exact_and_previewed_and_sent(painter):
    painter.choose("Door")
    expected = with_rectangle(wall(), (60, 80), (10, 20), "Door")
    x, y = painter.at(60, 80)
    painter.page.mouse.move(x, y)
    painter.page.mouse.down()
    painter.page.mouse.move(*painter.at(200, 250))
    assert painter.colour(199, 249) == "Door"
    painter.page.mouse.move(*painter.at(10, 20))
    assert np.array_equal(painter.label(), expected)
    expect(painter.root.locator(".readout")).to_have_text("51 \u00d7 61")
    assert not painter.received
    painter.page.mouse.up()
    painter.expect_received(1)
    assert np.array_equal(painter.received[0], expected)


def test_the_brush_draws_discs_and_lines_of_them(painter):
    painter.click("Brush")
    expected = wall()
    for x, diameter in ((10, 1), (30, 2), (60, 7), (120, 64)):
        painter.root.get_by_label("Brush size").fill(str(diameter))
        painter.page.mouse.click(*painter.at(x, 100))
        expected[disc(x, 100, diameter)] = COLOURS["Window"]
        assert np.array_equal(painter.label(), expected), diameter
    painter.root.get_by_label("Brush size").fill("3")
    painter.choose("Shop")
    painter.drag((20, 200), (220, 240), (240, 180))
    drawn = (painter.label() == COLOURS["Shop"]).all(-1)
    assert scipy.ndimage.label(drawn)[1] == 1
    assert drawn[[200, 240, 180], [20, 220, 240]].all()
    colours = np.unique(painter.label().reshape(-1, 3), axis=0)
    assert {tuple(colour) for colour in colours.tolist()} == {
        COLOURS[name] for name in ("Wall", "Window", "Shop")
    }


def test_fill_replaces_just_the_connected_region(painter):
    painter.server_sets("Scattered", SCATTERED)
    expected = SCATTERED.copy()
    regions, _ = scipy.ndimage.label((expected == COLOURS["Wall"]).all(-1))
    largest = regions == np.bincount(regions.flat)[1:].argmax() + 1
    expected[largest] = COLOURS["Pillar"]
    painter.click("Fill")
    painter.choose("Pillar")
    y, x = np.argwhere(largest)[0]
    started = time.perf_counter()
    painter.page.mouse.click(*painter.at(x, y))
    assert np.array_equal(painter.label(), expected)
    assert time.perf_counter() - started < 2


def test_the_eyedropper_chooses_what_it_touches_and_hands_back(painter):
    painter.server_sets("Doubled", DOUBLED[::2, ::2])
    painter.click("Brush")
    painter.click("Eyedropper")
    painter.page.mouse.click(*painter.at(100, 100))
    radio = painter.root.get_by_role("radio", name=painter.colour(100, 100))
    expect(radio).to_be_checked()
    assert is_selected(painter, "Brush")
    other = next(x for x in range(4, 256, 8) if painter.colour(x, 3) != painter.colour(100, 100))
    painter.page.keyboard.down("Alt")
    painter.page.mouse.click(*painter.at(other, 3))
    painter.page.keyboard.up("Alt")
    expect(painter.root.get_by_role("radio", name=painter.colour(other, 3))).to_be_checked()
    assert is_selected(painter, "Brush")
    assert np.array_equal(painter.label(), DOUBLED[::2, ::2])
    assert not painter.received


def test_undo_and_redo_retrace_what_was_done(painter):
    labels = [painter.label()]
    for corner, name in ((50, "Window"), (90, "Door"), (20, "Sill")):
        painter.choose(name)
        painter.drag((5, 5), (corner, corner))
        labels.append(painter.label())
    painter.click("Clear")
    labels.append(painter.label())
    assert np.array_equal(labels[-1], wall())
    for label in labels[-2::-1]:
        painter.click("Undo")
        assert np.array_equal(painter.label(), label)
    expect(painter.root.get_by_role("button", name="Undo")).to_be_disabled()
    for label in labels[1:]:
        painter.press("Control+Shift+Z")
        assert np.array_equal(painter.label(), label)
    painter.expect_received(4 + 4 + 4)
    assert np.array_equal(painter.received[-1], labels[-1])


def test_a_new_stroke_ends_redoing(painter):
    painter.drag((5, 5), (50, 50))
    painter.press("Meta+z")
    expect(painter.root.get_by_role("button", name="Redo")).to_be_enabled()
    painter.drag((100, 100), (150, 150))
    expect(painter.root.get_by_role("button", name="Redo")).to_be_disabled()
    drawn = painter.label()
    painter.press("Control+y")
    assert np.array_equal(painter.label(), drawn)


def test_a_stroke_that_changes_nothing_is_no_step(painter):
    painter.choose("Wall")
    painter.drag((5, 5), (50, 50))
    painter.click("Clear")
    expect(painter.root.get_by_role("button", name="Undo")).to_be_disabled()
    assert not painter.received


def test_the_last_fifty_steps_can_be_undone(app, serve, new_page):
    with gr.Blocks() as unheard:  # a server that listens makes a hundred steps slow
        label_canvas(elem_id="painter")
    painter = Painter(new_page(serve(unheard)), app)
    painter.click("Brush")
    painter.root.get_by_label("Brush size").fill("1")
    painter.canvas.focus()
    for _ in range(52):
        painter.press("Space", "ArrowRight")
    for _ in range(60):
        painter.press("Control+z")
    left = (painter.label() == COLOURS["Window"]).all(-1)
    assert np.argwhere(left).tolist() == [[128, 128], [128, 129]]


def test_what_the_server_sets_is_a_step_of_its_own_without_echo(painter):
    painter.drag((5, 5), (50, 50))
    drawn = painter.label()
    painter.server_sets("Doubled", DOUBLED[::2, ::2])  # nearest sampling gives back each pixel
    painter.click("Undo")
    assert np.array_equal(painter.label(), drawn)
    painter.click("Redo")
    painter.server_sets("Nothing", wall())
    painter.click("Undo")
    assert np.array_equal(painter.label(), DOUBLED[::2, ::2])
    painter.expect_received(4)
    for unreadable in ("Text", "Broken"):
        painter.page.get_by_role("button", name=unreadable, exact=True).click()
        painter.page.wait_for_timeout(300)
        assert np.array_equal(painter.label(), DOUBLED[::2, ::2])
    painter.page.get_by_role("button", name="Submit").click()
    painter.expect_received(5)
    assert np.array_equal(painter.received[-1], DOUBLED[::2, ::2])


def test_random_asks_the_server(painter):
    painter.click("Random")
    painter.wait_for(RANDOM)
    assert not painter.received


def test_a_value_that_comes_amid_a_stroke_ends_it(painter):
    painter.page.mouse.move(*painter.at(5, 5))
    painter.page.mouse.down()
    painter.page.mouse.move(*painter.at(50, 50))
    painter.server_sets("Doubled", DOUBLED[::2, ::2])
    painter.page.mouse.move(*painter.at(90, 90))
    painter.page.mouse.up()
    assert np.array_equal(painter.label(), DOUBLED[::2, ::2])
    painter.click("Undo")
    assert np.array_equal(painter.label(), with_rectangle(wall(), (5, 5), (50, 50), "Window"))
    painter.click("Undo")
    assert np.array_equal(painter.label(), wall())


def test_leaving_the_canvas_goes_on_along_its_edge(painter):
    painter.drag((200, 200), (300, 120), (400, -90))
    expected = with_rectangle(wall(), (200, 200), (255, 0), "Window")
    assert np.array_equal(painter.label(), expected)


def test_other_buttons_do_not_paint(painter):
    for button in ("right", "middle"):
        painter.drag((5, 5), (50, 50), button=button)
    assert np.array_equal(painter.label(), wall())


def test_undoing_amid_a_stroke_takes_it_back(painter):
    painter.page.mouse.move(*painter.at(5, 5))
    painter.page.mouse.down()
    painter.page.mouse.move(*painter.at(50, 50))
    painter.press("Control+z")
    painter.page.mouse.move(*painter.at(90, 90))
    painter.page.mouse.up()
    assert np.array_equal(painter.label(), wall())
    assert not painter.received


@pytest.fixture
def touched(open_painter):
    """A painter on a phone, and a function for fingers to touch it."""
    painter = open_painter(has_touch=True, viewport={"width": 390, "height": 844})
    session = painter.page.context.new_cdp_session(painter.page)

    def touch(kind: str, *points: tuple[int, int]) -> None:
        places = [painter.at(*point) for point in points]
        fingers = [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(places)]
        session.send("Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": fingers})

    return painter, touch


def test_one_finger_paints_and_a_second_is_ignored(touched):
    painter, touch = touched
    scrolled = painter.page.evaluate("window.scrollY")
    touch("Start", (10, 10))
    touch("Move", (30, 40))
    touch("Start", (30, 40), (200, 200))
    touch("Move", (50, 60), (240, 250))
    touch("End")
    painter.expect_received(1)
    expected = with_rectangle(wall(), (10, 10), (50, 60), "Window")
    assert np.array_equal(painter.received[0], expected)
    assert painter.page.evaluate("window.scrollY") == scrolled


def test_a_cancelled_touch_takes_its_stroke_back(touched):
    painter, touch = touched
    touch("Start", (10, 10))
    touch("Move", (30, 40))
    assert painter.colour(20, 20) == "Window"
    touch("Cancel")
    assert np.array_equal(painter.label(), wall())
    assert not painter.received


def test_a_pen_paints(painter):
    session = painter.page.context.new_cdp_session(painter.page)
    steps = {"mousePressed": (10, 10), "mouseMoved": (40, 30), "mouseReleased": (40, 30)}
    for kind, point in steps.items():
        x, y = painter.at(*point)
        event = {"type": kind, "x": x, "y": y, "button": "left", "buttons": 1, "clickCount": 1}
        session.send("Input.dispatchMouseEvent", event | {"pointerType": "pen"})
    expected = with_rectangle(wall(), (10, 10), (40, 30), "Window")
    assert np.array_equal(painter.label(), expected)


def test_everything_can_be_painted_by_keyboard(painter):
    painter.canvas.focus()
    painter.press("3", "Space", "ArrowRight", "Shift+ArrowDown")
    expected = with_rectangle(wall(), (128, 128), (129, 144), "Door")
    assert np.array_equal(painter.label(), expected)
    expect(painter.root.get_by_role("status")).to_have_text(
        "Rectangle · Door · at 129, 144 on Door · 2 \u00d7 17"
    )
    assert not painter.received
    painter.press("Enter")
    painter.expect_received(1)
    painter.press("Space", *["Shift+ArrowLeft"] * 9, "Escape")
    assert np.array_equal(painter.label(), expected)

    painter.press("b", "[", "[", "5", "Space")
    expected[disc(0, 144, 8)] = COLOURS["Sill"]
    assert np.array_equal(painter.label(), expected)
    painter.press(*["Shift+ArrowDown"] * 8, "ArrowRight", "f", "8", "Enter")
    expected[(expected == COLOURS["Wall"]).all(-1)] = COLOURS["Trim"]
    assert np.array_equal(painter.label(), expected)
    painter.press(*["Shift+ArrowUp"] * 7, "ArrowLeft", "i", "Space")
    expect(painter.root.get_by_role("radio", name="Sill")).to_be_checked()
    painter.expect_received(3)


def test_the_keyboards_cursor_shows_while_it_is_used(painter):
    cursor = painter.root.locator(".cursor")
    expect(cursor).to_be_hidden()
    painter.root.get_by_label("Brush size").focus()
    painter.press(*["Tab"] * 5)  # four actions and the chosen class
    expect(painter.root.get_by_role("radio", name="Window")).to_be_focused()
    painter.press("Tab")
    expect(painter.canvas).to_be_focused()
    expect(cursor).to_be_visible()
    assert painter.canvas.evaluate("canvas => getComputedStyle(canvas).outlineStyle") == "solid"
    painter.press("Space", "Tab")  # leaving gives up the rectangle
    expect(cursor).to_be_hidden()
    assert np.array_equal(painter.label(), wall())


def test_each_key_chooses_its_class(painter):
    painter.canvas.focus()
    expected = wall()
    for row, entry in enumerate(classes()):
        painter.press(entry["key"])
        radio = painter.root.get_by_role("radio", name=entry["name"], exact=True)
        expect(radio).to_be_checked()
        expect(painter.root.get_by_role("radio", checked=True)).to_have_count(1)
        painter.drag((0, 20 * row), (255, 20 * row + 19))
        expected[20 * row : 20 * row + 20] = COLOURS[entry["name"]]
    assert np.array_equal(painter.label(), expected)


def test_arrow_keys_move_the_choice_within_the_palette(painter):
    painter.choose("Wall")
    for key, name in (("ArrowDown", "Window"), ("ArrowUp", "Wall"), ("ArrowLeft", "Background")):
        painter.press(key)
        radio = painter.root.get_by_role("radio", name=name)
        expect(radio).to_be_focused()
        expect(radio).to_be_checked()
    expect(painter.root.locator("[role=radio][tabindex='0']")).to_have_count(1)


def test_keys_elsewhere_are_not_the_painters(painter):
    notes = painter.page.get_by_label("Notes")
    notes.press_sequentially("b3[")
    painter.press("Control+z")
    assert is_selected(painter, "Rectangle")
    expect(painter.root.get_by_role("radio", name="Window")).to_be_checked()


def test_the_browser_keeps_its_own_shortcuts(painter):
    painter.canvas.focus()
    left_alone = """([canvas, event]) => canvas.dispatchEvent(
        new KeyboardEvent("keydown", { bubbles: true, cancelable: true, ...event }))"""
    canvas = painter.canvas.element_handle()
    for event in (
        *({"key": key, "ctrlKey": True} for key in ("r", "f", "1", "0", "-", "=", "ArrowLeft")),
        *({"key": key, "metaKey": True} for key in ("r", "[", "]", "y", "i")),
        {"key": "ArrowLeft", "altKey": True},
        *({"key": key} for key in ("Tab", "Escape", "F5", "PageDown", "x")),
    ):
        assert painter.page.evaluate(left_alone, [canvas, event]), event
    assert not painter.page.evaluate(left_alone, [canvas, {"key": "r"}])


def test_the_picture_survives_other_tabs_and_the_canvas_every_value(painter):
    painter.canvas.evaluate("canvas => canvas.dataset.mark = 'same'")
    painter.drag((5, 5), (50, 50))
    painter.server_sets("Doubled", DOUBLED[::2, ::2])
    painter.drag((5, 5), (50, 50))
    assert painter.canvas.evaluate("canvas => canvas.dataset.mark") == "same"
    expected = painter.label()
    for name in ("Else", "Draw"):
        painter.page.get_by_role("tab", name=name).click()
    painter.canvas.wait_for()
    painter.wait_for(expected)
    painter.drag((100, 100), (150, 150))
    painter.expect_received(3)
    expected = with_rectangle(expected, (100, 100), (150, 150), "Window")
    assert np.array_equal(painter.received[-1], expected)


@pytest.mark.parametrize(("width", "theme"), [(1280, "light"), (390, "dark"), (320, "light")])
def test_it_fits_every_screen(open_painter, width, theme):
    viewport = {"width": width, "height": 844}
    painter = open_painter(f"?__theme={theme}", viewport=viewport, has_touch=width < 1000)
    assert painter.page.evaluate("document.documentElement.scrollWidth") <= width
    box = painter.canvas.bounding_box()
    assert box["width"] == pytest.approx(box["height"], abs=0.01)
    assert min(200, width) < box["width"] <= 512
    for control in painter.root.locator("button").all():
        size = control.bounding_box()
        assert min(size["width"], size["height"]) >= (36 if width < 1000 else 28)
    cut = "spans => spans.filter(span => span.scrollWidth > span.clientWidth).length"
    if width >= 390:
        assert painter.root.locator(".palette span").evaluate_all(cut) == 0
