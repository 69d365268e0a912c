"""The page in a real browser: on phones, in the dark, and in front of a password."""

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect
from web.painting import with_rectangle

from pix2pix_ilm.web.layout import FIRST_FACADE
from pix2pix_ilm.web.painter import draw_facade

pytestmark = pytest.mark.browser
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

ROOM_BESIDE = """(input, text) => {
    const { font, paddingLeft, paddingRight } = getComputedStyle(input);
    const canvas = document.createElement('canvas').getContext('2d');
    canvas.font = font;
    const room = input.clientWidth - parseFloat(paddingLeft) - parseFloat(paddingRight);
    return room - canvas.measureText(text).width;
}"""


def test_on_a_phone_the_photo_follows_the_painter_and_fingers_paint(visit, translate):
    visitor = visit(**PHONE)
    page = visitor.page
    visitor.expect_photo(translate(FACADE, size=SIZE))
    canvas, photo = visitor.canvas.bounding_box(), page.locator("#photo img").bounding_box()
    assert photo["y"] > canvas["y"] + canvas["height"]
    assert canvas["width"] > 340
    assert photo["width"] > 340
    small = page.locator("#thumbnail img")
    expect(small).to_have_attribute("src", page.locator("#photo img").get_attribute("src"))
    page.evaluate("scrollTo(0, 0)")
    palette, button = page.locator("#canvas .palette"), page.locator("#translate")
    for what in (visitor.canvas, palette, button, small):
        box = what.bounding_box()
        assert 0 <= box["y"] <= box["y"] + box["height"] <= 844  # all that painting needs

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
    for tab in ("Batch", "Upload", "Paint", "Photo", "Compare", "Variations"):
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
        "#reference-panel button", "#about-panel button", "#open-keys",
        "[data-testid=toast-text]", ".toast-title",
    ):  # fmt: skip
        contrast = visitor.page.locator(selector).first.evaluate(CONTRAST)
        assert contrast >= 4.5, selector


def expect_no_violation(page: Page) -> None:
    report = Axe().run(page, options={"resultTypes": ["violations"]})  # else it takes twice as long
    assert report.violations_count == 0, report.generate_report()


@pytest.mark.parametrize(("width", "theme"), [(1280, "light"), (390, "dark")])
def test_axe_finds_nothing(visit, site, translate, theme, width):
    visitor = visit(f"{site}/?__theme={theme}", viewport={"width": width, "height": 900})
    page = visitor.page
    visitor.expect_photo(translate(FACADE, size=SIZE))
    page.get_by_role("button", name="Measure against a real photo").click()
    page.get_by_role("button", name="About the models").click()
    page.locator("#about summary").first.click()
    visitor.choose("second", "facades-in")
    expect(page.locator("#second-photo img")).to_be_visible()
    for tab in ("Photo", "Compare", "Variations", "Upload", "Batch"):
        visitor.open_tab(tab)
        if tab == "Variations":
            page.locator("#vary").click()
            expect(page.locator("#variations img")).to_have_count(6)
        expect_no_violation(page)
    page.keyboard.press("?")
    expect_no_violation(page)


def test_a_message_of_two_lines_leaves_the_choice_of_models_in_sight(visit, tmp_path):
    visitor = visit()
    visitor.open_tab("Upload")
    bad = tmp_path / "a name that takes a line.png"
    bad.write_bytes(b"nonsense")
    visitor.drop_in("upload", bad)
    expect(visitor.toasts).to_have_count(1)
    visitor.page.wait_for_function(
        "document.querySelector('.toast-wrap').getAnimations().length == 0"
    )
    message = visitor.page.locator(".toast-wrap").bounding_box()
    assert message["y"] + message["height"] <= visitor.page.locator("#models").bounding_box()["y"]


def test_nothing_overflows_and_pictures_grow_together(visit, translate):
    visitor = visit()
    page = visitor.page
    visitor.expect_photo(translate(FACADE, size=SIZE))
    for width, height in ((390, 844), (820, 1180), (1280, 900), (1920, 1080)):
        page.set_viewport_size({"width": width, "height": height})
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.locator("#model input").evaluate(ROOM_BESIDE, "facades-ilm: ILM+IN") >= 0
        if width < 1000:
            continue
        canvas, photo = visitor.canvas.bounding_box(), page.locator("#photo").bounding_box()
        assert photo["width"] == pytest.approx(canvas["width"], rel=0.15)
        assert canvas["width"] > {1280: 450, 1920: 700}[width]
        for selector in ("#translate", "#save-photo"):
            expect(page.locator(selector)).to_be_in_viewport(ratio=1)


def test_wishes_of_the_system_are_respected(visit, translate):
    visitor = visit()
    page = visitor.page
    visitor.expect_photo(translate(FACADE, size=SIZE))

    def style(selector: str, name: str) -> str:
        return page.locator(selector).first.evaluate(f"one => getComputedStyle(one).{name}")

    bar = "#photo [data-testid=status-tracker]"
    assert style(bar, "animationName") == "pass"
    page.emulate_media(reduced_motion="reduce")
    assert style(bar, "animationName") == "none"
    page.emulate_media(forced_colors="active")
    assert style("#canvas .palette [data-index='2'] i", "backgroundColor") == "rgb(0, 207, 255)"
    for state, outline in (("true", "solid"), ("false", "none")):
        assert style(f"#canvas [role=radio][aria-checked={state}]", "outlineStyle") == outline


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
