"""The page in a real browser: on phones, in the dark, and in front of a password."""

import numpy as np
import pytest
from playwright.sync_api import expect
from web.painting import with_rectangle

from pix2pix_ilm.web.page import FIRST_FACADE
from pix2pix_ilm.web.painter import draw_facade

pytestmark = [
    pytest.mark.browser,
    # gradio sets an option of pandas that is on its way out
    pytest.mark.filterwarnings("ignore::pandas.errors.Pandas4Warning"),
]
SIZE = 64  # of the models' training images
FACADE = draw_facade(FIRST_FACADE)
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
CONTRAST = """element => {
    const luminance = (color) => {
        const [r, g, b] = color.match(/[\\d.]+/g).slice(0, 3).map((value) => {
            const share = value / 255;
            return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    let behind = element;
    const ground = () => getComputedStyle(behind).backgroundColor;
    while (/^rgba\\(.*, 0\\)$/.test(ground())) behind = behind.parentElement;
    const pair = [luminance(getComputedStyle(element).color), luminance(ground())];
    return (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
}"""


def test_on_a_phone_the_photo_follows_the_painter_and_fingers_paint(visit, translate):
    visitor = visit(**PHONE)
    page = visitor.page
    visitor.expect_photo(translate(FACADE, size=SIZE))
    canvas, photo = visitor.canvas.bounding_box(), page.locator("#photo img").bounding_box()
    assert photo["y"] > canvas["y"] + canvas["height"]
    assert canvas["width"] > 340
    assert photo["width"] > 340
    cut = "spans => spans.filter(span => span.scrollWidth > span.clientWidth).length"
    assert page.locator("#canvas .palette span").evaluate_all(cut) == 0

    page.get_by_label("Translate after every stroke").tap()
    visitor.canvas.scroll_into_view_if_needed()
    session = page.context.new_cdp_session(page)
    for kind, points in {"Start": [(20, 10)], "Move": [(120, 90)], "End": []}.items():
        fingers = [dict(zip("xy", visitor.at(*point), strict=True)) for point in points]
        session.send("Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": fingers})
    expected = with_rectangle(FACADE, (20, 10), (120, 90), "Window")
    assert np.array_equal(visitor.label_map(), expected)
    visitor.expect_photo(translate(expected, size=SIZE))

    page.get_by_role("button", name="Measure against a real photo").click()
    for tab in ("Paint", "Upload", "Batch", "Photo", "Compare", "Variations"):
        visitor.open_tab(tab)
        assert page.evaluate("document.documentElement.scrollWidth") == 390, tab


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_can_be_read_on_its_background(visit, site, translate, theme):
    visitor = visit(f"{site}/?__theme={theme}")
    visitor.expect_photo(translate(FACADE, size=SIZE))
    expect(visitor.page.locator("body.dark")).to_have_count(int(theme == "dark"))
    visitor.open_tab("Upload")
    visitor.page.locator("#translate-upload").click()
    expect(visitor.toasts).to_have_text(["Choose a label map first."])
    visitor.page.mouse.move(0, 0)
    for selector in (
        "#headline h1", "#headline p", "#note b", "#translate-upload", "#edit", "#save-photo",
        "[role=tab][aria-selected=true]", "[role=tab][aria-selected=false]", "#snap span",
        "#photo label", "#model input", "#model [data-testid=block-info]", "footer button",
        "#reference-panel button", "[data-testid=toast-text]", ".toast-title",
    ):  # fmt: skip
        contrast = visitor.page.locator(selector).first.evaluate(CONTRAST)
        assert contrast >= 4.5, selector


def test_the_login_says_what_is_wrong_and_lets_in(serve_page, two_models, browser):
    context = browser.new_context()  # not watched: the console tells of the wrong password
    page = context.new_page()
    page.goto(serve_page(two_models, auth=("me", "secret")))
    page.get_by_label("User").fill("me")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button").click()
    expect(page.get_by_role("status")).to_have_text("The user or the password is wrong.")
    page.get_by_label("Password").fill("secret")
    page.get_by_role("button").click()
    expect(page.locator("#note")).to_contain_text("facades-ilm 64x64")
    context.close()
