"""The painter in a real browser: its tools and its history, seen by people and by the server."""

import numpy as np
import pytest
import scipy.ndimage
from playwright.sync_api import expect
from web.painting import (
    COLORS,
    DOUBLED,
    RANDOM,
    SCATTERED,
    disc,
    is_selected,
    wall,
    with_rectangle,
)

pytestmark = pytest.mark.browser
FAIL_TO_DECODE = """() => new Promise((resolve) => {
    const picture = new Image();
    picture.onerror = resolve;
    picture.src = "data:image/png;base64,AAAA";
})"""


def test_an_untouched_canvas_can_be_submitted(served_painter):
    served_painter.page.get_by_role("button", name="Submit").click()
    served_painter.expect_received(1)
    assert np.array_equal(served_painter.received[0], wall())


def test_rectangles_are_exact_and_previewed_and_sent(served_painter):
    served_painter.choose("Door")
    expected = with_rectangle(wall(), (60, 80), (10, 20), "Door")
    x, y = served_painter.at(60, 80)
    served_painter.page.mouse.move(x, y)
    served_painter.page.mouse.down()
    served_painter.page.mouse.move(*served_painter.at(200, 250))
    assert served_painter.color(199, 249) == "Door"
    served_painter.page.mouse.move(*served_painter.at(10, 20))
    assert np.array_equal(served_painter.label_map(), expected)
    expect(served_painter.root.locator(".readout")).to_have_text("51 \u00d7 61")
    assert not served_painter.received
    served_painter.page.mouse.up()
    served_painter.expect_received(1)
    assert np.array_equal(served_painter.received[0], expected)


def test_the_brush_draws_discs_and_lines_of_them(painter):
    painter.click("Brush")
    expected = wall()
    for x, diameter in ((10, 1), (30, 2), (60, 7), (120, 64)):
        painter.root.get_by_label("Brush size").fill(str(diameter))
        painter.page.mouse.click(*painter.at(x, 100))
        expected[disc(x, 100, diameter)] = COLORS["Window"]
        assert np.array_equal(painter.label_map(), expected), diameter
    painter.root.get_by_label("Brush size").fill("3")
    painter.choose("Shop")
    painter.drag((20, 200), (220, 240), (240, 180))
    drawn = (painter.label_map() == COLORS["Shop"]).all(-1)
    assert scipy.ndimage.label(drawn)[1] == 1
    assert drawn[[200, 240, 180], [20, 220, 240]].all()
    colors = np.unique(painter.label_map().reshape(-1, 3), axis=0)
    assert {tuple(color) for color in colors.tolist()} == {
        COLORS[name] for name in ("Wall", "Window", "Shop")
    }


def test_a_grid_repeats_its_rectangle_across_and_down(painter):
    painter.click("Grid")
    painter.root.get_by_label("Across").fill("3")
    painter.root.get_by_label("Down").fill("2")
    painter.drag((10, 20), (100, 100))
    expected = wall()
    for left in (10, 45, 80):  # 90 // 4.5 wide, and as far apart as fits
        for top in (20, 72):
            expected = with_rectangle(expected, (left, top), (left + 19, top + 28), "Window")
    painter.expect_received(1)
    assert np.array_equal(painter.received[0], expected)
    painter.drag((200, 200), (202, 200))  # no room for three
    expected = with_rectangle(expected, (200, 200), (200, 200), "Window")
    expected = with_rectangle(expected, (202, 200), (202, 200), "Window")
    assert np.array_equal(painter.label_map(), expected)


def test_fill_replaces_just_the_connected_region(painter):
    painter.server_sets("Scattered", SCATTERED)
    expected = SCATTERED.copy()
    regions, _ = scipy.ndimage.label((expected == COLORS["Wall"]).all(-1))
    largest = regions == np.bincount(regions.flat)[1:].argmax() + 1
    expected[largest] = COLORS["Pillar"]
    painter.click("Fill")
    painter.choose("Pillar")
    y, x = np.argwhere(largest)[0]
    painter.page.mouse.click(*painter.at(x, y))
    assert np.array_equal(painter.label_map(), expected)


def test_the_eyedropper_chooses_what_it_touches_and_hands_back(painter):
    painter.server_sets("Doubled", DOUBLED[::2, ::2])
    painter.click("Brush")
    painter.click("Eyedropper")
    painter.page.mouse.click(*painter.at(100, 100))
    radio = painter.root.get_by_role("radio", name=painter.color(100, 100))
    expect(radio).to_be_checked()
    assert is_selected(painter, "Brush")
    other = next(x for x in range(4, 256, 8) if painter.color(x, 3) != painter.color(100, 100))
    painter.page.keyboard.down("Alt")
    painter.page.mouse.click(*painter.at(other, 3))
    painter.page.keyboard.up("Alt")
    expect(painter.root.get_by_role("radio", name=painter.color(other, 3))).to_be_checked()
    assert is_selected(painter, "Brush")
    assert np.array_equal(painter.label_map(), DOUBLED[::2, ::2])
    assert not painter.received


def test_undo_and_redo_retrace_what_was_done(painter):
    labels = [painter.label_map()]
    for corner, name in ((50, "Window"), (90, "Door"), (20, "Sill")):
        painter.choose(name)
        painter.drag((5, 5), (corner, corner))
        labels.append(painter.label_map())
    painter.click("Clear")
    labels.append(painter.label_map())
    assert np.array_equal(labels[-1], wall())
    for label in labels[-2::-1]:
        painter.click("Undo")
        assert np.array_equal(painter.label_map(), label)
    expect(painter.root.get_by_role("button", name="Undo")).to_be_disabled()
    for label in labels[1:]:
        painter.press("Control+Shift+Z")
        assert np.array_equal(painter.label_map(), label)
    painter.expect_received(4 + 4 + 4)
    assert np.array_equal(painter.received[-1], labels[-1])


def test_a_new_stroke_ends_redoing(painter):
    painter.drag((5, 5), (50, 50))
    painter.press("Meta+z")
    expect(painter.root.get_by_role("button", name="Redo")).to_be_enabled()
    painter.drag((100, 100), (150, 150))
    expect(painter.root.get_by_role("button", name="Redo")).to_be_disabled()
    drawn = painter.label_map()
    painter.press("Control+y")
    assert np.array_equal(painter.label_map(), drawn)


def test_a_stroke_that_changes_nothing_is_no_step(painter):
    painter.choose("Wall")
    painter.drag((5, 5), (50, 50))
    painter.click("Clear")
    expect(painter.root.get_by_role("button", name="Undo")).to_be_disabled()
    assert not painter.received


def test_the_last_fifty_steps_can_be_undone(painter):
    painter.click("Brush")
    painter.root.get_by_label("Brush size").fill("1")
    painter.canvas.focus()
    for _ in range(52):
        painter.press("Space", "ArrowRight")
    for _ in range(60):
        painter.press("Control+z")
    left = (painter.label_map() == COLORS["Window"]).all(-1)
    assert np.argwhere(left).tolist() == [[128, 128], [128, 129]]


def test_what_the_server_sets_is_a_step_of_its_own_without_echo(served_painter):
    served_painter.drag((5, 5), (50, 50))
    drawn = served_painter.label_map()
    served_painter.server_sets(
        "Doubled", DOUBLED[::2, ::2]
    )  # nearest sampling gives back each pixel
    served_painter.click("Undo")
    assert np.array_equal(served_painter.label_map(), drawn)
    served_painter.click("Redo")
    served_painter.server_sets("Nothing", wall())
    served_painter.click("Undo")
    assert np.array_equal(served_painter.label_map(), DOUBLED[::2, ::2])
    served_painter.expect_received(4)
    for unreadable in ("Text", "Broken"):
        served_painter.page.get_by_role("button", name=unreadable, exact=True).click()
        expect(served_painter.page.get_by_label("Set by the server")).to_have_value(unreadable)
        served_painter.page.evaluate(FAIL_TO_DECODE)  # after the painter's own try
        assert np.array_equal(served_painter.label_map(), DOUBLED[::2, ::2])
    served_painter.page.get_by_role("button", name="Submit").click()
    served_painter.expect_received(5)
    assert np.array_equal(served_painter.received[-1], DOUBLED[::2, ::2])


def test_random_asks_the_server(served_painter):
    served_painter.click("Random")
    served_painter.wait_for(RANDOM)
    assert not served_painter.received


def test_a_value_that_comes_amid_a_stroke_ends_it(served_painter):
    served_painter.page.mouse.move(*served_painter.at(5, 5))
    served_painter.page.mouse.down()
    served_painter.page.mouse.move(*served_painter.at(50, 50))
    served_painter.server_sets("Doubled", DOUBLED[::2, ::2])
    served_painter.page.mouse.move(*served_painter.at(90, 90))
    served_painter.page.mouse.up()
    assert np.array_equal(served_painter.label_map(), DOUBLED[::2, ::2])
    served_painter.click("Undo")
    assert np.array_equal(
        served_painter.label_map(), with_rectangle(wall(), (5, 5), (50, 50), "Window")
    )
    served_painter.click("Undo")
    assert np.array_equal(served_painter.label_map(), wall())


def test_leaving_the_canvas_goes_on_along_its_edge(painter):
    painter.drag((200, 200), (300, 120), (400, -90))
    expected = with_rectangle(wall(), (200, 200), (255, 0), "Window")
    assert np.array_equal(painter.label_map(), expected)


def test_other_buttons_do_not_paint(painter):
    for button in ("right", "middle"):
        painter.drag((5, 5), (50, 50), button=button)
    assert np.array_equal(painter.label_map(), wall())


def test_undoing_amid_a_stroke_takes_it_back(painter):
    painter.page.mouse.move(*painter.at(5, 5))
    painter.page.mouse.down()
    painter.page.mouse.move(*painter.at(50, 50))
    painter.press("Control+z")
    painter.page.mouse.move(*painter.at(90, 90))
    painter.page.mouse.up()
    assert np.array_equal(painter.label_map(), wall())
    assert not painter.received
