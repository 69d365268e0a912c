"""The painter in a real browser: touch, pen, keyboard, and screens of any size."""

import numpy as np
import pytest
from playwright.sync_api import expect
from web.painting import COLORS, DOUBLED, disc, is_selected, wall, with_rectangle
from web.visitor import wait_until

from pix2pix_ilm.web.painter import painter_props

pytestmark = pytest.mark.browser


ENTRIES = painter_props()["classes"]


@pytest.fixture
def touched(open_bare_painter):
    """Open a painter on a phone; gives it, and a function for fingers to touch it."""
    painter = open_bare_painter(has_touch=True, viewport={"width": 390, "height": 844})
    session = painter.page.context.new_cdp_session(painter.page)

    def touch(kind: str, *points: tuple[int, int]) -> None:
        places = [painter.at(*point) for point in points]
        fingers = [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(places)]
        session.send("Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": fingers})

    return painter, touch


def test_one_finger_paints(touched):
    painter, touch = touched
    scrolled = painter.page.evaluate("window.scrollY")
    touch("Start", (10, 10))
    touch("Move", (30, 40))
    touch("Move", (50, 60))
    touch("End")
    painter.expect_received(1)
    expected = with_rectangle(wall(), (10, 10), (50, 60), "Window")
    assert np.array_equal(painter.received[0], expected)
    assert painter.page.evaluate("window.scrollY") == scrolled


def test_two_fingers_enlarge_the_page_and_paint_nothing(touched):
    painter, touch = touched
    touch("Start", (100, 100))
    touch("Move", (110, 110))
    assert painter.color(105, 105) == "Window"
    touch("Start", (110, 110), (150, 150))
    for step in range(1, 20):
        touch("Move", (110 - 5 * step, 110 - 5 * step), (150 + 5 * step, 150 + 5 * step))
    touch("End")
    wait_until(
        painter.page,
        lambda: painter.page.evaluate("visualViewport.scale") > 1.5,
        "the page was not enlarged",
    )
    assert np.array_equal(painter.label_map(), wall())
    assert not painter.received


def test_a_canceled_touch_takes_its_stroke_back(touched):
    painter, touch = touched
    touch("Start", (10, 10))
    touch("Move", (30, 40))
    assert painter.color(20, 20) == "Window"
    touch("Cancel")
    assert np.array_equal(painter.label_map(), wall())
    assert not painter.received


def test_a_pen_paints(painter):
    session = painter.page.context.new_cdp_session(painter.page)
    steps = {"mousePressed": (10, 10), "mouseMoved": (40, 30), "mouseReleased": (40, 30)}
    for kind, point in steps.items():
        x, y = painter.at(*point)
        event = {"type": kind, "x": x, "y": y, "button": "left", "buttons": 1, "clickCount": 1}
        session.send("Input.dispatchMouseEvent", event | {"pointerType": "pen"})
    expected = with_rectangle(wall(), (10, 10), (40, 30), "Window")
    assert np.array_equal(painter.label_map(), expected)


def test_everything_can_be_painted_by_keyboard(painter):
    painter.canvas.focus()
    painter.press("3", "Space", "ArrowRight", "Shift+ArrowDown")
    expected = with_rectangle(wall(), (128, 128), (129, 144), "Door")
    assert np.array_equal(painter.label_map(), expected)
    expect(painter.root.get_by_role("status")).to_have_text(
        "Rectangle · Door · at 129, 144 on Door · 2 \u00d7 17"
    )
    assert not painter.received
    painter.press("Enter")
    painter.expect_received(1)
    painter.press("Space", *["Shift+ArrowLeft"] * 9, "Escape")
    assert np.array_equal(painter.label_map(), expected)

    painter.press("b", "[", "[", "5", "Space")
    expected[disc(0, 144, 8)] = COLORS["Sill"]
    assert np.array_equal(painter.label_map(), expected)
    painter.press(*["Shift+ArrowDown"] * 8, "ArrowRight", "f", "8", "Enter")
    expected[(expected == COLORS["Wall"]).all(-1)] = COLORS["Trim"]
    assert np.array_equal(painter.label_map(), expected)
    painter.press(*["Shift+ArrowUp"] * 7, "ArrowLeft", "i", "Space")
    expect(painter.root.get_by_role("radio", name="Sill")).to_be_checked()
    painter.expect_received(3)


def test_the_keyboards_cursor_shows_while_it_is_used(served_painter):
    cursor = served_painter.root.locator(".cursor")
    expect(cursor).to_be_hidden()
    served_painter.root.get_by_role("button", name="Eyedropper").focus()
    served_painter.press(*["Tab"] * 6)  # five actions and the chosen class
    expect(served_painter.root.get_by_role("radio", name="Window")).to_be_focused()
    served_painter.press("Tab")
    expect(served_painter.canvas).to_be_focused()
    expect(cursor).to_be_visible()
    assert (
        served_painter.canvas.evaluate("canvas => getComputedStyle(canvas).outlineStyle") == "solid"
    )
    served_painter.press("Space", "Tab")  # leaving gives up the rectangle
    expect(cursor).to_be_hidden()
    assert np.array_equal(served_painter.label_map(), wall())


def test_each_key_chooses_its_class(painter):
    painter.canvas.focus()
    expected = wall()
    for row, entry in enumerate(painter_props()["classes"]):
        painter.press(entry["key"])
        radio = painter.root.get_by_role("radio", name=entry["name"], exact=True)
        expect(radio).to_be_checked()
        expect(painter.root.get_by_role("radio", checked=True)).to_have_count(1)
        painter.drag((0, 20 * row), (255, 20 * row + 19))
        expected[20 * row : 20 * row + 20] = COLORS[entry["name"]]
    assert np.array_equal(painter.label_map(), expected)


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


def test_keys_that_nothing_else_takes_work_from_anywhere(served_painter):
    served_painter.drag((5, 5), (50, 50))
    served_painter.page.get_by_role("button", name="Submit").focus()
    served_painter.press("b", "3")
    assert is_selected(served_painter, "Brush")
    expect(served_painter.root.get_by_role("radio", name="Door")).to_be_checked()
    served_painter.press("Control+z")
    assert np.array_equal(served_painter.label_map(), wall())
    served_painter.page.evaluate("document.activeElement.blur()")
    served_painter.press("Control+Shift+z", "f")
    assert served_painter.color(20, 20) == "Window"
    assert is_selected(served_painter, "Fill")


def test_a_hidden_painter_takes_no_keys(served_painter):
    served_painter.drag((5, 5), (50, 50))
    painted = served_painter.label_map()
    served_painter.page.get_by_role("tab", name="Else").click()
    served_painter.press("b", "Control+z")
    served_painter.page.get_by_role("tab", name="Draw").click()
    served_painter.wait_for(painted)
    assert is_selected(served_painter, "Rectangle")


def test_the_picture_outlives_a_reload_and_going_back(served_painter, open_painter):
    served_painter.drag((5, 5), (50, 50))
    painted = served_painter.label_map()
    served_painter.expect_received(1)
    page = served_painter.page
    page.reload()
    served_painter.wait_for(painted)
    page.get_by_role("button", name="Submit").click()
    served_painter.expect_received(1)  # the page is a new one for the server
    assert np.array_equal(served_painter.received[0], painted)
    page.goto("about:blank")
    page.go_back()
    served_painter.wait_for(painted)
    other = open_painter()
    assert np.array_equal(other.label_map(), wall())  # another tab begins anew


def test_what_was_painted_comes_back_with_its_classes(painter):
    """Also after a reload, when there is nothing left to undo, and so nothing to ask."""
    page = painter.page
    black_and_white = zip(ENTRIES, ("#000000", "#ffffff"), strict=False)
    other = [one | {"hex": color} for one, color in black_and_white]
    questions = []
    page.on("dialog", lambda dialog: (questions.append(dialog.message), dialog.accept()))

    def take(classes: list[dict[str, str]]) -> None:
        page.evaluate("classes => { props.classes = classes; watchers.classes(); }", classes)

    painter.drag((5, 5), (50, 50))
    painted = painter.label_map()
    take(other)
    assert not painter.label_map().any()
    painter.drag((100, 100), (200, 200))
    in_white = painter.label_map()
    assert in_white[150, 150].all()
    take(ENTRIES)
    painter.wait_for(painted)
    assert len(questions) == 2
    page.reload()
    painter.wait_for(painted)
    take(other)
    painter.wait_for(in_white)
    take(ENTRIES)
    painter.wait_for(painted)
    assert len(questions) == 2


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


def test_the_picture_survives_other_tabs_and_the_canvas_every_value(served_painter):
    served_painter.canvas.evaluate("canvas => canvas.dataset.mark = 'same'")
    served_painter.drag((5, 5), (50, 50))
    served_painter.server_sets("Doubled", DOUBLED[::2, ::2])
    served_painter.drag((5, 5), (50, 50))
    assert served_painter.canvas.evaluate("canvas => canvas.dataset.mark") == "same"
    expected = served_painter.label_map()
    for name in ("Else", "Draw"):
        served_painter.page.get_by_role("tab", name=name).click()
    served_painter.canvas.wait_for()
    served_painter.wait_for(expected)
    served_painter.drag((100, 100), (150, 150))
    served_painter.expect_received(3)
    expected = with_rectangle(expected, (100, 100), (150, 150), "Window")
    assert np.array_equal(served_painter.received[-1], expected)


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
        assert min(size["width"], size["height"]) >= (32 if width < 1000 else 28)
    cut = "spans => spans.filter(span => span.scrollWidth > span.clientWidth).length"
    assert painter.root.locator(".palette span").evaluate_all(cut) == 0
