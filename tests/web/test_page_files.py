"""The page in a real browser: uploads, good and bad, one by one and in batches."""

import base64
import struct
import zipfile
import zlib
from mimetypes import guess_type
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect
from web.visitor import wait_until

from pix2pix_ilm.data.images import read_image
from pix2pix_ilm.data.palette import FACADES_COLORS, FACADES_PALETTE
from pix2pix_ilm.web.painter import CANVAS_SIZE, draw_facade
from pix2pix_ilm.web.uploads import clean_edges, resize, snap_to_palette

pytestmark = pytest.mark.browser
LABEL_MAP = resize(draw_facade(1), 80, 60)
TRANSFER = """([content, name, type]) => {
    const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
    const transfer = new DataTransfer();
    transfer.items.add(new File([bytes], name, { type }));
    return transfer;
}"""
PASTE = """clipboardData => document.body.dispatchEvent(
    new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true }))"""
IS_BROKEN = "image => image.complete && !image.naturalWidth"
OPEN_SLOWLY = """() => {
    const find = Document.prototype.querySelector;
    let tries = 0;
    Document.prototype.querySelector = function (selector) {
        const early = selector.startsWith("#upload") && (tries += 1) < 60;
        return early ? null : find.call(this, selector);
    };
}"""
READABLE = "is not an image that can be read here (PNG, JPEG, WEBP, BMP, GIF)."


@pytest.fixture
def save(tmp_path):
    """Write an image, or any bytes, into a file."""

    def write(name: str, content: np.ndarray | bytes, **settings) -> Path:
        path = tmp_path / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            Image.fromarray(content).save(path, **settings)
        return path

    return write


@pytest.fixture
def uploader(visit):
    """Open the tab for uploads."""
    visitor = visit()
    expect(visitor.caption).to_contain_text("64x64")
    visitor.open_tab("Upload")
    return visitor


def transfer(page, path: Path):
    """Make what a drop or a paste brings along."""
    content = base64.b64encode(path.read_bytes()).decode()
    return page.evaluate_handle(TRANSFER, [content, path.name, guess_type(path)[0]])


def claiming(width: int, height: int) -> bytes:
    """Write a PNG whose header claims a size, with next to nothing behind it."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = {b"IHDR": header, b"IDAT": zlib.compress(b"")}
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks.items()
    )


def test_an_upload_is_translated_at_its_own_size(uploader, translate, save):
    page = uploader.page
    with page.expect_file_chooser() as chooser:
        page.locator("#upload").get_by_test_id("upload-text").click()
    chooser.value.set_files(save("house.png", LABEL_MAP))
    uploader.expect_photo(translate(LABEL_MAP))
    expect(uploader.caption).to_contain_text("facades-ilm 80x60, ")

    wide = resize(LABEL_MAP, 1100, 40)
    uploader.drop_in("upload", save("wide.png", wide))
    uploader.expect_photo(translate(resize(wide, 1024, 37)))
    expect(uploader.caption).to_contain_text("facades-ilm 1024x37, ")
    expect(uploader.caption).to_contain_text("reduced from 1100x40")


def test_an_upload_can_be_snapped_and_edited(uploader, translate, save):
    page = uploader.page
    blurred = resize(LABEL_MAP, 64, 64).copy()
    blurred[:16] += np.array((0, 3, 0), np.uint8)
    snapped, _ = snap_to_palette(blurred, FACADES_PALETTE)
    uploader.drop_in("upload", save("blurred.png", blurred))
    uploader.expect_photo(translate(blurred))
    page.get_by_label("Move colors to the nearest class").check()
    page.locator("#translate-upload").click()
    uploader.expect_photo(translate(snapped))
    expect(uploader.caption).to_contain_text("25.0% of the pixels moved to the nearest color")

    page.locator("#edit").click()
    expect(page.get_by_role("tab", name="Paint")).to_have_attribute("aria-selected", "true")
    expected = resize(clean_edges(snapped, FACADES_PALETTE), CANVAS_SIZE, CANVAS_SIZE)
    wait_until(page, lambda: np.array_equal(uploader.label_map(), expected), "not in the painter")
    uploader.expect_photo(translate(expected, size=64))
    page.get_by_role("button", name="Undo").click()
    assert not np.array_equal(uploader.label_map(), expected)


def test_images_can_be_dropped_and_pasted(visit, translate, save):
    visitor = visit()
    page = visitor.page
    expect(visitor.caption).to_contain_text("64x64")
    label_maps = [LABEL_MAP, LABEL_MAP[::-1].copy(), LABEL_MAP[:, ::-1].copy()]
    pasted, again, dropped = (save(f"{i}.png", label_map) for i, label_map in enumerate(label_maps))
    page.evaluate(PASTE, transfer(page, pasted))
    expect(page.get_by_role("tab", name="Upload")).to_have_attribute("aria-selected", "true")
    visitor.expect_photo(translate(label_maps[0]))
    page.evaluate(PASTE, transfer(page, again))
    visitor.expect_photo(translate(label_maps[1]))
    page.locator("#upload").get_by_label("Remove Image").click()
    field = page.locator("#upload").get_by_label("Drop an image file here to upload")
    field.dispatch_event("drop", {"dataTransfer": transfer(page, dropped)})
    visitor.expect_photo(translate(label_maps[2]))


def test_a_file_dropped_on_the_painter_is_an_upload(visit, translate, save):
    visitor = visit()
    expect(visitor.caption).to_contain_text("64x64")
    visitor.page.evaluate(OPEN_SLOWLY)
    canvas = visitor.page.locator("#canvas canvas")
    for name, content in {"notes.txt": b"notes", "house.png": LABEL_MAP}.items():
        carried = transfer(visitor.page, save(name, content))
        refused = """([canvas, kind, dataTransfer]) => !canvas.dispatchEvent(
            new DragEvent(kind, { dataTransfer, bubbles: true, cancelable: true }))"""
        for kind in ("dragover", "drop"):  # the browser itself would open the file
            assert visitor.page.evaluate(refused, [canvas.element_handle(), kind, carried])
    visitor.expect_photo(translate(LABEL_MAP))
    expect(visitor.page.get_by_role("tab", name="Upload")).to_have_attribute(
        "aria-selected", "true"
    )


def test_text_in_the_clipboard_is_left_alone(visit):
    visitor = visit()
    prevented = visitor.page.evaluate(
        """() => !document.body.dispatchEvent(new ClipboardEvent("paste", {
            clipboardData: new DataTransfer(), bubbles: true, cancelable: true }))"""
    )
    assert not prevented
    paint = visitor.page.get_by_role("tab", name="Paint")
    expect(paint).to_have_attribute("aria-selected", "true")


def test_bad_files_are_refused_in_one_sentence_and_harm_nothing(uploader, translate, save):
    whole = save("whole.png", np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8))
    before = translate(LABEL_MAP)
    uploader.drop_in("upload", save("good.png", LABEL_MAP))
    uploader.expect_photo(before)
    for name, content, problem in (
        ("text.png", b"nonsense", READABLE),
        ("empty.png", b"", READABLE),
        ("drawing.png", b'<svg xmlns="http://www.w3.org/2000/svg"/>', READABLE),
        ("half.png", whole.read_bytes()[:3000], "is damaged and cannot be opened."),
        ("dot.png", np.zeros((1, 1, 3), np.uint8), "is 1x1; it must be at least 16x16."),
        ("huge.png", claiming(20_000, 20_000), "has too many pixels; the most are 4096x4096."),
    ):
        uploader.drop_in("upload", save(name, content))
        uploader.expect_toast(f"{name} {problem}")
        uploader.expect_photo(before)
    uploader.drop_in("upload", save("last.png", LABEL_MAP[::-1].copy()))
    uploader.expect_photo(translate(LABEL_MAP[::-1].copy()))
    expect(uploader.toasts).to_have_count(0)


def test_what_is_no_image_leaves_room_for_the_next_upload(uploader, save):
    page, room = uploader.page, uploader.page.locator("#upload").get_by_test_id("upload-text")
    uploader.wait_for_examples()
    requests = []
    page.route("**/queue/join*", lambda route: requests.append(route))  # noqa: PLW0108  Playwright marks it
    uploader.drop_in("upload", save("text.png", b"nonsense"))
    image = page.locator("#upload img")
    wait_until(page, lambda: requests and image.evaluate(IS_BROKEN), "no upload")
    page.wait_for_timeout(200)
    expect(room).to_have_count(0)  # or the server would be asked to translate nothing
    requests[0].continue_()
    page.unroute("**/queue/join*")
    uploader.expect_toast(f"text.png {READABLE}")
    expect(room).to_be_visible()


def test_unusual_files_are_understood(uploader, translate, save):
    frames = [Image.fromarray(label_map) for label_map in (LABEL_MAP, LABEL_MAP[::-1].copy())]
    deep = np.linspace(0, 65_535, 80 * 60).astype(np.uint16).reshape(60, 80)
    gray = np.repeat((deep / 257).round().astype(np.uint8)[..., None], 3, axis=2)
    clear = np.dstack([LABEL_MAP, np.full((60, 80), 255, np.uint8)])
    clear[:30, :, :3], clear[:30, :, 3] = 77, 0
    on_wall = LABEL_MAP.copy()
    on_wall[:30] = FACADES_COLORS["facade"]
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned
    files = {
        "moving.gif": (LABEL_MAP, {"save_all": True, "append_images": frames[1:]}, LABEL_MAP),
        "deep.png": (deep, {}, gray),
        "clear.png": (clear, {}, on_wall),
        "turned.png": (np.rot90(LABEL_MAP).copy(), {"exif": exif}, LABEL_MAP),
    }
    for name, (content, settings, expected) in files.items():
        uploader.drop_in("upload", save(name, content, **settings))
        uploader.expect_photo(translate(expected))
    expect(uploader.toasts).to_have_count(0)


def test_a_batch_gives_the_photos_of_its_good_files(visit, translate, save, tmp_path):
    visitor = visit()
    page = visitor.page
    visitor.open_tab("Batch")
    page.locator("#translate-batch").click()
    visitor.expect_toast("Choose some label maps first.")
    expect(page.locator("#batch-zip")).to_be_disabled()

    label_maps = {"one": LABEL_MAP, "two": LABEL_MAP[:, ::-1].copy()}
    paths = [save(f"{name}.png", label_map) for name, label_map in label_maps.items()]
    bad = save("bad.png", b"nonsense")
    page.locator("#files input[type=file]").set_input_files([paths[0], bad, paths[1]])
    expect(page.locator("#files")).to_contain_text("two")
    page.locator("#translate-batch").click()
    visitor.expect_toast(f"bad.png {READABLE}")
    expect(page.locator("#batch img")).to_have_count(2)
    for place, label_map in enumerate(label_maps.values()):
        visitor.expect_photo(translate(label_map), f"#batch img >> nth={place}")

    with zipfile.ZipFile(visitor.save("batch-zip", tmp_path)) as archive:
        assert archive.namelist() == ["one.png", "two.png"]
        archive.extractall(tmp_path / "photos")
    for name, label_map in label_maps.items():
        assert np.array_equal(read_image(tmp_path / "photos" / f"{name}.png"), translate(label_map))
