"""The page in a real browser: painting, photos, models and measures."""

import numpy as np
import pytest
import torch
from PIL import Image
from playwright.sync_api import expect
from web.painting import with_rectangle
from web.visitor import pixels, wait_until

from pix2pix_ilm import metrics
from pix2pix_ilm.data.images import read_image
from pix2pix_ilm.evaluation.record import METRICS_FILE, RecordedMetrics
from pix2pix_ilm.evaluation.statistics import Interval
from pix2pix_ilm.files import write_json
from pix2pix_ilm.serving.translator import Translator
from pix2pix_ilm.web.layout import FIRST_FACADE
from pix2pix_ilm.web.model_store import ModelStore
from pix2pix_ilm.web.painter import draw_facade
from pix2pix_ilm.web.uploads import resize

pytestmark = pytest.mark.browser
SIZE = 64  # of the models' training images
FACADE = draw_facade(FIRST_FACADE)
NOTE_PHOTOS = """photo => {
    window.photos = [];
    const note = () => {
        const { src } = photo.querySelector("img");
        if (window.photos.at(-1) !== src) window.photos.push(src);
    };
    note();
    new MutationObserver(note).observe(photo, { subtree: true, attributeFilter: ["src"] });
}"""


def test_it_opens_with_a_facade_and_its_photo(visit, translate):
    visitor = visit()
    visitor.expect_photo(translate(FACADE, size=SIZE))
    assert np.array_equal(visitor.label_map(), FACADE)
    expect(visitor.caption).to_contain_text("facades-ilm 64x64, ")
    expect(visitor.page.locator("#second-photo")).to_be_hidden()


def test_strokes_are_translated_by_the_button(visit, translate, capsys):
    visitor = visit()
    visitor.expect_photo(translate(FACADE, size=SIZE))
    visitor.page.locator("#photo").evaluate(NOTE_PHOTOS)
    visitor.drag((20, 10), (120, 90))
    visitor.drag((30, 120), (200, 230))
    expected = with_rectangle(FACADE, (20, 10), (120, 90), "Window")
    expected = with_rectangle(expected, (30, 120), (200, 230), "Window")
    assert np.array_equal(visitor.label_map(), expected)
    visitor.page.locator("#translate").click()
    visitor.expect_photo(translate(expected, size=SIZE))
    assert visitor.page.evaluate("window.photos.length") == 2  # before and after the button
    expect(visitor.toasts).to_have_count(0)
    assert "Traceback" not in capsys.readouterr().err


def test_on_request_every_stroke_is_translated_and_the_newest_stays(visit, translate):
    visitor = visit()
    visitor.expect_photo(translate(FACADE, size=SIZE))
    visitor.page.get_by_label("Translate after every stroke").check()
    for step in range(8):
        visitor.drag((10 + 20 * step, 10), (20 + 20 * step, 200))
    visitor.expect_photo(translate(visitor.label_map(), size=SIZE))
    assert not np.array_equal(visitor.label_map(), FACADE)


def test_a_page_looks_through_the_checkpoints_when_it_loads_and_not_for_strokes(
    visit, serve_page, make_checkpoint, tmp_path, monkeypatch
):
    translator = Translator.load(make_checkpoint("model"), "cpu")
    site = serve_page(tmp_path, live=True)
    scans = []
    scan = ModelStore.scan
    monkeypatch.setattr(ModelStore, "scan", lambda store: scans.append(1) or scan(store))
    visitor = visit(site)
    visitor.expect_photo(translator([resize(FACADE, 32, 32)])[0])
    assert len(scans) == 1
    for step in range(3):
        visitor.drag((10 + 60 * step, 10), (60 + 60 * step, 200))
        visitor.expect_photo(translator([resize(visitor.label_map(), 32, 32)])[0])
    assert len(scans) == 1


def test_random_brings_another_facade_and_its_photo(visit, translate):
    visitor = visit()
    visitor.expect_photo(translate(FACADE, size=SIZE))
    visitor.page.get_by_role("button", name="Random", exact=True).click()
    wait_until(
        visitor.page, lambda: not np.array_equal(visitor.label_map(), FACADE), "no new facade"
    )
    visitor.expect_photo(translate(visitor.label_map(), size=SIZE))


def test_the_keyboard_suffices_to_paint_and_translate(visit, translate):
    visitor = visit()
    visitor.expect_photo(translate(FACADE, size=SIZE))
    keyboard = visitor.page.keyboard

    def tab_to(selector: str) -> None:
        for _ in range(25):
            keyboard.press("Tab")
            if visitor.page.evaluate(
                "selector => document.activeElement.matches(selector)", selector
            ):
                return
        pytest.fail(f"Tab does not lead to {selector}")

    tab_to("#canvas canvas")
    for key in ("0", "Space", "Shift+ArrowRight", "Shift+ArrowDown", "Space"):
        keyboard.press(key)
    expected = with_rectangle(FACADE, (128, 128), (144, 144), "Pillar")
    assert np.array_equal(visitor.label_map(), expected)
    tab_to("#translate")
    keyboard.press("Enter")
    visitor.expect_photo(translate(expected, size=SIZE))


def test_two_models_can_be_compared(visit, translate):
    visitor = visit()
    page = visitor.page
    first, second = (translate(FACADE, name, SIZE) for name in ("facades-ilm", "facades-in"))
    visitor.expect_photo(first)
    assert not np.array_equal(first, second)
    left, right = "#slider .over", "#slider .under"
    names = page.locator("#slider .controls > span")
    visitor.open_tab("Compare")
    expect(names).to_have_text(["Label map", "facades-ilm"])
    visitor.expect_photo(FACADE, left)
    visitor.expect_photo(first, right)

    visitor.choose("second", "facades-in")
    expect(names).to_have_text(["facades-ilm", "facades-in"])
    visitor.expect_photo(first, left)
    visitor.expect_photo(second, right)
    visitor.open_tab("Photo")
    visitor.expect_photo(first)
    visitor.expect_photo(second, "#second-photo img")
    expect(page.locator("#photo label")).to_have_text("facades-ilm")
    expect(page.locator("#second-photo label")).to_have_text("facades-in")
    expect(visitor.caption).to_contain_text("facades-in 64x64, ")

    visitor.choose("second", "none")
    expect(page.locator("#second-photo")).to_be_hidden()
    visitor.choose("model", "facades-in")
    visitor.expect_photo(second)
    expect(page.locator("#photo label")).to_have_text("facades-in")


def test_photos_are_measured_against_a_real_one(visit, translate, tmp_path):
    visitor = visit()
    visitor.expect_photo(translate(FACADE, size=SIZE))
    visitor.choose("second", "facades-in")
    real = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), np.uint8)
    Image.fromarray(real).save(tmp_path / "real.png")
    visitor.page.get_by_role("button", name="Measure against a real photo").click()
    visitor.drop_in("reference", tmp_path / "real.png")
    expect(visitor.page.locator("#metrics tr")).to_have_count(3)
    heads, *rows = visitor.page.locator("#metrics tr").all()
    expect(heads.locator("th")).to_have_text(["Model", "RMSE (RGB) ↓", "SSIM ↑", "LPIPS ↓"])
    for row, name in zip(rows, ("facades-ilm", "facades-in"), strict=True):
        images = (translate(FACADE, name, SIZE), real)
        pair = [torch.from_numpy(np.array(image))[None] for image in images]
        measures = (metrics.rmse_rgb, metrics.ssim, metrics.lpips)
        rmse, ssim, lpips = (measure(*pair).item() for measure in measures)
        expect(row.locator("th")).to_have_text(name)
        expect(row.locator("td")).to_have_text([f"{rmse:.1f}", f"{ssim:.3f}", f"{lpips:.3f}"])
    visitor.page.locator("#reference").get_by_label("Remove Image").click()
    expect(visitor.page.locator("#metrics")).to_be_hidden()


def test_variations_differ(visit, translate):
    visitor = visit()
    visitor.expect_photo(translate(FACADE, size=SIZE))
    visitor.open_tab("Variations")
    visitor.page.get_by_role("button", name="Draw 6 variations").click()
    photos = visitor.page.locator("#variations img")
    expect(photos).to_have_count(6)
    for photo in photos.all():
        wait_until(visitor.page, lambda photo=photo: pixels(photo) is not None, "no picture")
    seen = [pixels(photo) for photo in photos.all()]
    assert all(photo.shape == (SIZE, SIZE, 3) for photo in seen)
    assert len({photo.tobytes() for photo in seen}) == 6


def test_photo_label_map_and_pair_can_be_saved(visit, translate, tmp_path):
    visitor = visit()
    photo, label_map = translate(FACADE, size=SIZE), resize(FACADE, SIZE, SIZE)
    visitor.expect_photo(photo)
    files = {
        "save-photo": ("photo-facades-ilm.png", photo),
        "save-label": ("label_map.png", FACADE),
        "save-pair": (
            "pair.png",
            np.hstack([photo, label_map]),
        ),  # BtoA: the label map is on the right
    }
    for button, (name, expected) in files.items():
        path = visitor.save(button, tmp_path)
        assert path.name == name
        assert np.array_equal(read_image(path), expected)


def test_a_model_that_was_trained_meanwhile_is_there_for_the_next_page(
    visit, serve_page, make_checkpoint, tmp_path
):
    make_checkpoint("first")
    site = serve_page(tmp_path)
    expect(visit(site).caption).to_contain_text("first 32x32")
    later = Translator.load(make_checkpoint("later", norm="in"), "cpu")
    visitor = visit(site)
    visitor.expect_photo(later(resize(FACADE, 32, 32)))
    expect(visitor.page.locator("#model input")).to_have_value("later: IN")


def test_the_lists_tell_the_models_norms_and_metrics(visit, serve_page, make_checkpoint, tmp_path):
    values = {"rmse_rgb": 61.2, "lpips": 0.435, "ssim": 0.231}
    measured = {name: Interval(mean=x, low=x, high=x) for name, x in values.items()}
    record = RecordedMetrics(protocol={"split": "test"}, step=7, metrics=measured)
    write_json(make_checkpoint("facades-ilm") / METRICS_FILE, record)
    make_checkpoint("plain", norm="none")
    visitor = visit(serve_page(tmp_path))
    title = "facades-ilm: ILM+IN / IN"
    field = visitor.page.locator("#model input")
    expect(field).to_have_value(title)
    assert field.evaluate("field => field.scrollWidth <= field.clientWidth")
    visitor.page.locator("#second input").click()
    options = visitor.page.get_by_role("option")
    expect(options).to_contain_text(["none", title, "plain: no norm / IN"])
    visitor.page.keyboard.press("Escape")
    visitor.page.get_by_role("button", name="About the models").click()
    summaries = visitor.page.locator("#about summary")
    expect(summaries.first).to_contain_text("RMSE (RGB) 61.2, LPIPS 0.435, SSIM 0.231")
    expect(summaries.last).to_contain_text("trained on facades at 32x32")


@pytest.mark.parametrize("by_keyboard", [False, True])
def test_a_choice_of_a_model_translates_once(visit, by_keyboard):
    visitor = visit()
    expect(visitor.caption).to_contain_text("facades-ilm 64x64")
    visitor.wait_for_examples()
    asked = []
    visitor.page.on("request", lambda request: asked.append(request.url))
    if by_keyboard:
        visitor.page.locator("#model input").focus()
        for key in ("ArrowDown", "Enter"):
            visitor.page.keyboard.press(key)
    else:
        visitor.choose("model", "facades-in")
    expect(visitor.caption).to_contain_text("facades-in 64x64")
    visitor.choose("second", "facades-ilm")
    expect(visitor.caption).to_contain_text("facades-ilm 64x64")
    asked = [url for url in asked if "queue/join" in url]
    assert len(asked) == 3  # for the classes of the first model, and for two translations
