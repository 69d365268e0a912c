"""The page in a real browser: what stands on it belongs together, whatever was done before."""

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect
from web.painting import with_rectangle
from web.visitor import wait_until

from pix2pix_ilm.data.images import read_image
from pix2pix_ilm.data.palette import LabelClass, Palette
from pix2pix_ilm.serving.translator import Translator
from pix2pix_ilm.web.layout import FIRST_FACADE
from pix2pix_ilm.web.model_store import ModelStore
from pix2pix_ilm.web.page import Page
from pix2pix_ilm.web.painter import EXAMPLES, decode_drawing, draw_facade
from pix2pix_ilm.web.service import TranslationService
from pix2pix_ilm.web.uploads import resize

pytestmark = pytest.mark.browser
TAG = "478obk"  # of CMP's colors, in links
SIZE = 64  # of the models' training images
FACADE = draw_facade(FIRST_FACADE)
UPLOAD = resize(draw_facade(1), 80, 60)


@pytest.fixture
def visitor(visit, translate):
    visitor = visit()
    visitor.expect_photo(translate(FACADE, size=SIZE))
    return visitor


@pytest.fixture
def upload(tmp_path):
    path = tmp_path / "upload.png"
    Image.fromarray(UPLOAD).save(path)
    return path


def test_a_stroke_without_a_translation_marks_the_photo_and_is_what_is_saved(
    visitor, translate, tmp_path
):
    page = visitor.page
    expect(page.locator("#stale")).to_be_hidden()
    visitor.drag((20, 10), (120, 90))
    painted = with_rectangle(FACADE, (20, 10), (120, 90), "Window")
    expect(page.locator("#stale")).to_have_text(
        "The painting has changed since this photo was made."
    )
    expect(page.locator("#save-pair")).to_be_disabled()
    assert np.array_equal(read_image(visitor.save("save-label", tmp_path)), painted)
    page.locator("#translate").click()
    photo = translate(painted, size=SIZE)
    visitor.expect_photo(photo)
    expect(page.locator("#stale")).to_be_hidden()
    pair = np.hstack([photo, resize(painted, SIZE, SIZE)])
    assert np.array_equal(read_image(visitor.save("save-pair", tmp_path)), pair)


def test_the_open_tab_decides_what_is_translated(visitor, translate, upload):
    visitor.open_tab("Upload")
    visitor.drop_in("upload", upload)
    visitor.expect_photo(translate(UPLOAD))
    visitor.choose("model", "facades-in")
    visitor.expect_photo(translate(UPLOAD, "facades-in"))
    visitor.open_tab("Paint")
    visitor.expect_photo(translate(FACADE, "facades-in", SIZE))
    visitor.choose("model", "facades-ilm")
    visitor.expect_photo(translate(FACADE, size=SIZE))
    visitor.open_tab("Variations")
    visitor.page.locator("#vary").click()
    expect(visitor.page.locator("#variations img")).to_have_count(6)
    box = visitor.page.locator("#variations img").first
    size = "image => `${image.naturalWidth}x${image.naturalHeight}`"
    wait_until(visitor.page, lambda: box.evaluate(size) == "64x64", "not of the painting")
    visitor.open_tab("Upload")
    expect(visitor.caption).to_contain_text("facades-ilm 80x60")
    expect(visitor.page.locator("#variations img")).to_have_count(0)


def test_variations_leave_with_their_label_map(visitor):
    visitor.open_tab("Variations")
    visitor.page.locator("#vary").click()
    variations = visitor.page.locator("#variations img")
    expect(variations).to_have_count(6)
    visitor.drag((20, 10), (120, 90))
    expect(variations).to_have_count(0)


def test_a_list_closes_when_the_keyboard_goes_on(visitor):
    keyboard, options = visitor.page.keyboard, visitor.page.locator("#model [role=option]")
    visitor.page.locator("#model input").focus()
    keyboard.press("ArrowDown")
    expect(options).to_have_count(2)
    keyboard.press("Tab")
    expect(options).to_have_count(0)
    expect(visitor.page.locator("#second input")).to_be_focused()  # which opens its own


def test_a_new_page_is_translated_once(visit, serve_page, make_checkpoint, tmp_path, monkeypatch):
    make_checkpoint("model")
    photos = []
    make_photo = TranslationService.make_photo
    monkeypatch.setattr(
        TranslationService, "make_photo", lambda *a, **k: photos.append(1) or make_photo(*a, **k)
    )
    visitor = visit(serve_page(tmp_path))
    expect(visitor.caption).to_contain_text("32x32")
    visitor.open_tab("Batch")
    visitor.open_tab("Paint")
    expected = 2 + len(EXAMPLES)
    wait_until(visitor.page, lambda: len(photos) == expected, "no second photo")
    visitor.page.wait_for_timeout(500)
    assert len(photos) == expected


def test_the_comparison_is_worked_by_keyboard_and_mouse(visitor):
    page = visitor.page
    visitor.open_tab("Compare")
    slider = page.get_by_role("slider", name="Share of Label map")
    over = page.locator("#slider .over")
    clip = "image => getComputedStyle(image).clipPath"
    expect(slider).to_have_value("50")
    slider.focus()
    page.keyboard.press("ArrowRight")
    assert over.evaluate(clip) == "inset(0px 49% 0px 0px)"
    box = page.locator("#slider .pictures").bounding_box()
    page.mouse.move(box["x"] + 10, box["y"] + 10)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 4, box["y"] + 20)
    page.mouse.up()
    expect(slider).to_have_value("25")
    opacity = "image => getComputedStyle(image).opacity"
    page.keyboard.down("x")
    assert over.evaluate(opacity) == "0"
    page.keyboard.up("x")
    assert over.evaluate(opacity) == "1"
    page.get_by_label("Blend").check()
    assert (over.evaluate(clip), over.evaluate(opacity)) == ("none", "0.25")


def test_keys_are_shown_on_request(visitor):
    dialog = visitor.page.get_by_role("dialog", name="Keys")
    expect(dialog).to_be_hidden()
    visitor.page.keyboard.press("?")
    expect(dialog).to_be_visible()
    visitor.page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    visitor.page.get_by_role("button", name="Keys").click()
    expect(dialog).to_be_visible()
    dialog.get_by_role("button", name="Close").click()
    expect(dialog).to_be_hidden()


def test_examples_are_shown_with_their_photos_and_can_be_painted_on(visitor, translate):
    examples = visitor.page.locator("#examples img")
    expect(examples).to_have_count(len(EXAMPLES))
    label_map = draw_facade(EXAMPLES[2])
    visitor.open_tab("Upload")
    examples.nth(2).click()
    visitor.expect_photo(translate(label_map, size=SIZE))
    assert np.array_equal(visitor.label_map(), label_map)
    expect(visitor.page.get_by_role("tab", name="Paint")).to_have_attribute("aria-selected", "true")


def test_a_batch_stands_where_the_photo_was(visitor):
    visitor.open_tab("Batch")
    expect(visitor.page.locator("#batch")).to_be_visible()
    expect(visitor.page.locator("#single")).to_be_hidden()
    assert visitor.page.locator("#batch").bounding_box()["x"] > 640
    visitor.open_tab("Paint")
    expect(visitor.page.locator("#batch")).to_be_hidden()
    expect(visitor.page.locator("#photo img")).to_be_visible()


def test_a_link_brings_the_painting_and_its_photo(visitor, visit, site, translate):
    visitor.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    visitor.drag((20, 10), (120, 90))
    painted = visitor.label_map()
    visitor.page.get_by_role("button", name="Link", exact=True).click()
    expect(visitor.page.locator("#canvas .status")).to_contain_text("in the clipboard")
    link = visitor.page.evaluate("navigator.clipboard.readText()")
    visitor.page.context.clear_permissions()
    assert link.startswith(f"{site}/#map={TAG}.")
    assert len(link) < 1500
    other = visit(link)
    other.expect_photo(translate(painted, size=SIZE))
    assert np.array_equal(other.label_map(), painted)
    assert "#" not in other.page.url  # a reload keeps what is painted later
    other.page.get_by_role("button", name="Clear").click()
    other.page.evaluate("link => { location.hash = new URL(link).hash }", link)
    wait_until(other.page, lambda: np.array_equal(other.label_map(), painted), "no painting")
    other.expect_photo(translate(painted, size=SIZE))
    other.page.get_by_role("button", name="Undo").click()
    assert not np.array_equal(other.label_map(), painted)


def test_a_broken_link_changes_nothing(visit, site, translate):
    visitor = visit(f"{site}/#map={TAG}.AAAA")
    visitor.expect_photo(translate(FACADE, size=SIZE))
    status = visitor.page.locator("#canvas .status")
    for content, sentence in {
        "": "no picture", "AAAA": "no picture", "0.AAAA": "of other classes",
        "%3Cb%3E.a": "of other classes", f"{TAG}.": "no picture", f"{TAG}.4yIB": "no picture",
    }.items():  # fmt: skip
        visitor.page.locator("#canvas canvas").focus()  # which reports something else
        visitor.page.evaluate("content => { location.hash = `#map=${content}` }", content)
        expect(status).to_contain_text(sentence)
    visitor.page.evaluate("() => { location.hash = '#else' }")
    assert np.array_equal(visitor.label_map(), FACADE)


OTHER = Palette(
    classes=tuple(
        LabelClass(name=f"class {index}", color=(10 * index, 0, 255 - 10 * index))
        for index in range(14)  # more than there are keys
    )
)


@pytest.fixture
def three_models(make_checkpoint, tmp_path):
    """Make models of CMP's classes, of others, and of label maps that nobody knows."""
    make_checkpoint("facades-ilm")
    make_checkpoint("other", label_classes=OTHER)
    make_checkpoint("unknown", data="shoes")
    return tmp_path


def test_a_model_of_other_classes_brings_them_into_the_painter(visit, serve_page, three_models):
    visitor = visit(serve_page(three_models))
    page, classes = visitor.page, visitor.page.locator("#canvas [role=radio]")
    expect(visitor.caption).to_contain_text("facades-ilm 32x32")
    expect(classes).to_have_count(12)
    visitor.drag((20, 10), (120, 90))
    painted = visitor.label_map()

    page.once("dialog", lambda dialog: dialog.dismiss())
    visitor.choose("model", "other")
    expect(visitor.caption).to_contain_text("other 32x32")
    expect(classes).to_have_count(12)
    assert np.array_equal(visitor.label_map(), painted)
    visitor.choose("model", "facades-ilm")
    expect(visitor.caption).to_contain_text("facades-ilm 32x32")

    page.once("dialog", lambda dialog: dialog.accept())
    visitor.choose("model", "other")
    expect(visitor.caption).to_contain_text("other 32x32")
    expect(classes).to_have_count(14)
    expect(page.get_by_role("button", name="Random", exact=True)).to_be_hidden()
    assert (visitor.label_map() == (0, 0, 255)).all()
    page.keyboard.press("3")
    expect(page.get_by_role("radio", name="class 2", exact=True)).to_be_checked()
    visitor.drag((0, 0), (255, 127))
    page.locator("#translate").click()
    label_map = visitor.label_map()
    assert (label_map[:128] == (20, 0, 235)).all()
    photo = Translator.load(three_models / "other", "cpu")(
        [OTHER.nearest(resize(label_map, 32, 32))]
    )[0]
    visitor.expect_photo(photo)


def test_an_upload_is_edited_in_the_classes_of_the_chosen_model(three_models, uploads):
    page = Page(TranslationService(ModelStore(three_models)), live=False)
    indices = np.repeat(np.arange(8, dtype=np.uint8), 8)[None].repeat(64, axis=0)
    colors = OTHER.paint(indices[..., None])
    for name, image in (("indices.png", indices), ("colors.png", colors)):
        Image.fromarray(image).save(uploads / name)
        edited = decode_drawing(page.edit_upload(str(uploads / name), False, "other"))
        assert np.array_equal(edited, resize(colors, 256, 256))


def test_a_model_of_unknown_label_maps_takes_uploads_alone(visit, serve_page, three_models, upload):
    visitor = visit(serve_page(three_models))
    expect(visitor.caption).to_contain_text("facades-ilm 32x32")
    visitor.choose("model", "unknown")
    expect(visitor.page.get_by_role("tab", name="Upload")).to_have_attribute(
        "aria-selected", "true"
    )
    visitor.drop_in("upload", upload)
    expect(visitor.caption).to_contain_text("unknown 80x60")
    visitor.open_tab("Paint")
    expect(visitor.page.locator("#upload-only")).to_be_visible()
    expect(visitor.page.locator("#translate")).to_be_disabled()
    expect(visitor.page.locator("#edit")).to_be_disabled()
    expect(visitor.page.locator("#examples")).to_be_hidden()
    visitor.choose("model", "facades-ilm")
    expect(visitor.caption).to_contain_text("facades-ilm 32x32")
    expect(visitor.page.locator("#upload-only")).to_be_hidden()
    expect(visitor.page.locator("#translate")).to_be_enabled()
    expect(visitor.page.locator("#edit")).to_be_enabled()
    expect(visitor.page.locator("#examples img").first).to_be_visible()
