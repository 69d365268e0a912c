"""The page without a server, in a browser: its photos are those of the Translator."""

import io
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from conftest import leaving_out_checks, write_checkpoint
from PIL import Image
from playwright.sync_api import expect
from web.test_page_looks import expect_no_violation
from web.visitor import Visitor, pixels, wait_until

from pix2pix_ilm import cli
from pix2pix_ilm.data.palette import FACADES_COLORS, LabelClass, Palette
from pix2pix_ilm.errors import UserError
from pix2pix_ilm.models.generator import GeneratorConfig
from pix2pix_ilm.models.norms import NormName
from pix2pix_ilm.serving.translator import Translator
from pix2pix_ilm.web import static_page
from pix2pix_ilm.web.painter import EXAMPLES, draw_facade
from pix2pix_ilm.web.static_page import export_page, write_offline
from pix2pix_ilm.web.uploads import decode, limit_size, resize

pytestmark = pytest.mark.browser
OTHER = Palette(
    classes=(
        LabelClass(name="sea", color=(0, 200, 90)),
        LabelClass(name="sand", color=(90, 0, 200)),
    )
)
SHOWN = """canvas => [canvas.width, canvas.height,
    ...canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data]"""


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Path:
    """Make models of CMP's colors, of other classes, and of gray maps that nobody knows."""
    folder = tmp_path_factory.mktemp("static-models")
    write_checkpoint(folder, "colors", image_size=64, generator=shallow("ilm-in"))
    write_checkpoint(folder, "other", generator=shallow("in"), label_classes=OTHER)
    write_checkpoint(folder, "gray", generator=shallow("in", 1), in_channels=1, data="shoes")
    return folder


def shallow(norm: NormName, channels: int = 3) -> GeneratorConfig:
    """Make a network that is soon exported."""
    return GeneratorConfig(ngf=4, depth=2, norm=norm, in_channels=channels)


@pytest.fixture(scope="module")
def exported(models, tmp_path_factory) -> tuple[Path, str]:
    """Export the page by the command; gives its folder, and what the command said."""
    try:
        static_page.find_runtime()
    except UserError as error:
        pytest.fail(str(error)) if os.environ.get("CI") else pytest.skip(str(error))
    out, said = tmp_path_factory.mktemp("static") / "site", io.StringIO()
    chosen = [str(models / name) for name in ("colors", "other", "gray")]
    with leaving_out_checks(), redirect_stderr(said):  # an export leaves sizes open
        cli.main(["export", "page", *chosen, "--out", str(out)])
    return out, said.getvalue().replace("\n", " ")


@pytest.fixture(scope="module")
def folder(exported) -> Path:
    return exported[0]


@pytest.fixture(scope="module")
def said(exported) -> str:
    return exported[1]


class Server(ThreadingHTTPServer):
    """Any web server; isolated, one that reads the file _headers."""

    def __init__(self, folder: Path, *, isolated: bool, max_age: int | None = None) -> None:
        lines = (folder / "_headers").read_text().splitlines()[1:] if isolated else []
        headers = [line.strip().split(": ") for line in lines]
        if max_age is not None:
            headers.append(["Cache-Control", f"max-age={max_age}"])

        class Handler(SimpleHTTPRequestHandler):
            def end_headers(self):
                for header in headers:
                    self.send_header(*header)
                super().end_headers()

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
        self.url = f"http://127.0.0.1:{self.server_port}/"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self.shutdown()
        self.server_close()


@pytest.fixture
def host() -> Iterator[Callable[..., Server]]:
    """Serve folders, arguments as for ``Server``; asked for before pages, which must end first."""
    servers = []

    def start(folder: Path, *, isolated: bool = False, **settings: int) -> Server:
        servers.append(Server(folder, isolated=isolated, **settings))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture(scope="module")
def served(folder) -> Iterator[str]:
    server = Server(folder, isolated=False)
    yield server.url
    server.stop()


@pytest.fixture
def open_site(new_page, served):
    def start(url: str = served, **settings) -> Visitor:
        page = new_page(url, **settings)
        expect(page.locator("#note")).to_contain_text("threads")
        return Visitor(page)

    return start


@pytest.fixture
def translate(models):
    def photo(label_map: np.ndarray, name: str = "colors", size: int | None = 64) -> np.ndarray:
        if size:
            label_map = resize(label_map, size, size)
        return np.asarray(Translator.load(models / name, "cpu")(Image.fromarray(label_map)))

    return photo


def expect_photo(visitor: Visitor, expected: np.ndarray) -> None:
    """Wait for a photo that float16 may have moved by two levels."""

    def is_shown() -> bool:
        width, height, *values = visitor.page.locator("#photo").evaluate(SHOWN)
        if (height, width) != expected.shape[:2]:
            return False
        shown = np.array(values, int).reshape(height, width, 4)[..., :3]
        return np.abs(shown - expected).max() <= 2

    wait_until(visitor.page, is_shown, "not the translator's photo")


def test_a_painting_is_translated_as_python_does_after_every_stroke(open_site, translate):
    visitor = open_site()
    label_map = draw_facade(EXAMPLES[0])
    assert np.array_equal(visitor.label_map(), label_map)
    expect_photo(visitor, translate(label_map))
    for start, end in (((20, 30), (90, 80)), ((120, 30), (200, 200))):
        visitor.drag(start, end)
        changed = visitor.label_map()
        assert not np.array_equal(changed, label_map)
        expect_photo(visitor, translate(changed))
    visitor.page.locator("#live").uncheck()
    visitor.drag((10, 10), (60, 60))
    expect(visitor.page.locator("#note")).to_contain_text("has changed")
    visitor.page.locator("#translate").click()
    expect_photo(visitor, translate(visitor.label_map()))


def test_the_newest_stroke_wins_and_painting_never_waits(open_site, translate):
    visitor = open_site()
    for step in range(12):
        visitor.drag((10 + step, 10), (200, 20 + 15 * step))
    expect_photo(visitor, translate(visitor.label_map()))


def test_uploads_of_any_size_are_translated_at_their_own(open_site, translate, tmp_path):
    visitor = open_site()
    noise = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    visitor.drop_in("upload-label", tmp_path / "noise.png")
    expect(visitor.page.locator("#uploaded")).to_contain_text("noise.png, 70x50")
    expect_photo(visitor, translate(noise, size=None))
    visitor.page.locator("#model").select_option("gray")
    expect_photo(visitor, translate(noise, "gray", None))
    visitor.page.locator("#model").select_option("other")
    expect_photo(visitor, translate(noise, "other", None))
    (tmp_path / "text.png").write_bytes(b"nonsense")
    visitor.drop_in("upload-label", tmp_path / "text.png")
    expect(visitor.page.locator("#problem")).to_contain_text("text.png is not an image")
    visitor.page.locator("#model").select_option("colors")
    visitor.page.locator("#paint-again").click()
    expect_photo(visitor, translate(visitor.label_map()))


def test_large_uploads_are_reduced_and_refused_as_by_the_server(open_site, tmp_path):
    visitor = open_site()
    shown, problem = visitor.page.locator("#uploaded"), visitor.page.locator("#problem")
    for name, (width, height) in {"odd": (2048, 1001), "wide": (8000, 1000)}.items():
        path = tmp_path / f"{name}.png"
        Image.new("RGB", (width, height)).save(path)
        reduced = limit_size(np.zeros((height, width, 3), np.uint8))
        visitor.drop_in("upload-label", path)
        expect(shown).to_contain_text(f"{name}.png, {reduced.shape[1]}x{reduced.shape[0]}")
    for width, height in ((17000, 1000), (15, 20)):
        path = tmp_path / f"{width}.png"
        Image.new("RGB", (width, height)).save(path)
        with pytest.raises(UserError) as refused:
            decode(path)
        visitor.drop_in("upload-label", path)
        expect(problem).to_have_text(str(refused.value))


def test_what_is_transparent_is_of_the_chosen_models_ground(open_site, translate, tmp_path):
    picture = np.full((48, 64, 4), 255, np.uint8)
    picture[:, :30, :3] = OTHER.classes[1].color
    picture[:, 30:, 3] = 0
    Image.fromarray(picture).save(tmp_path / "cut.png")
    visitor = open_site()
    visitor.drop_in("upload-label", tmp_path / "cut.png")
    for model, color in (
        ("colors", FACADES_COLORS["facade"]),
        ("other", OTHER.classes[0].color),
        ("gray", FACADES_COLORS["facade"]),
    ):
        visitor.page.locator("#model").select_option(model)
        on_ground = picture[:, :, :3].copy()
        on_ground[:, 30:] = color
        expect_photo(visitor, translate(on_ground, model, None))


def test_models_bring_their_classes_into_the_painter(open_site, translate):
    visitor = open_site()
    page = visitor.page
    page.locator("#model").select_option("other")
    expect(page.locator("#canvas [role=radio]")).to_have_text(["sea1", "sand2"])
    expect(page.locator("#examples")).to_be_hidden()
    visitor.drag((20, 30), (90, 80))
    expect_photo(visitor, translate(visitor.label_map(), "other", 32))
    page.locator("#model").select_option("gray")
    expect(page.locator("#upload-only")).to_be_visible()
    expect(visitor.canvas).to_be_hidden()


def test_examples_random_and_links_are_paintings(open_site, translate):
    visitor = open_site()
    page = visitor.page
    page.locator("#examples button").nth(3).click()
    expect_photo(visitor, translate(draw_facade(EXAMPLES[3])))
    page.get_by_role("button", name="Random").click()
    known = [draw_facade(seed) for seed in range(static_page.DRAWINGS)]
    known.append(draw_facade(EXAMPLES[0]))
    wait_until(page, lambda: any(np.array_equal(visitor.label_map(), one) for one in known),
               "no drawn facade")  # fmt: skip
    painted = visitor.label_map()
    page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject() }")
    page.get_by_role("button", name="Link").click()
    wait_until(page, lambda: "#map=" in page.url, "no link")
    link = page.url
    page.evaluate("sessionStorage.clear()")
    other = open_site(link)
    expect_photo(other, translate(painted))
    assert np.array_equal(other.label_map(), painted)


def test_two_models_or_map_and_photo_can_be_compared(open_site):
    visitor = open_site()
    page, label_map = visitor.page, draw_facade(EXAMPLES[0])
    page.locator("#second").select_option(label="the label map")
    wait_until(page, lambda: np.array_equal(pixels(page.locator("#slider .over")),
                                            resize(label_map, 64, 64)), "no label map")  # fmt: skip
    page.locator("#second").select_option("other")
    expect(page.locator("#slider .right")).to_have_text("other")
    expect(page.locator("#note")).to_contain_text("colors and other")


def test_photo_label_map_and_pair_are_saved(open_site, translate, tmp_path):
    visitor = open_site()
    label_map = draw_facade(EXAMPLES[0])
    photo = translate(label_map)
    expect_photo(visitor, photo)
    files = {}
    for what in ("photo", "label", "pair"):
        with visitor.page.expect_download() as download:
            visitor.page.locator(f"[data-save={what}]").click()
        path = tmp_path / download.value.suggested_filename
        download.value.save_as(path)
        files[path.name] = np.asarray(Image.open(path).convert("RGB")).astype(int)
    assert np.abs(files["photo-colors.png"] - photo).max() <= 2
    assert np.array_equal(files["label_map.png"], label_map)
    assert np.array_equal(files["pair.png"][:, 64:], resize(label_map, 64, 64))
    assert np.array_equal(files["pair.png"][:, :64], files["photo-colors.png"])


def test_a_new_version_takes_no_files_of_the_old_one_from_the_browsers_cache(
    folder, host, new_page, tmp_path
):
    site = shutil.copytree(folder, tmp_path / "site")
    server = host(site, max_age=600)
    page = new_page(server.url)
    page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    (site / "site.css").write_text("/* new */")
    write_offline(site, sorted(path for path in site.rglob("*") if path.is_file()))
    page.evaluate("navigator.serviceWorker.getRegistration().then((one) => one.update())")
    kept = "async () => (await caches.keys()).length"
    wait_until(page, lambda: page.evaluate(kept) == 1, "the old version is still there")
    wait_until(
        page,
        lambda: page.evaluate("async () => (await caches.match('site.css')).text()") == "/* new */",
        "the new version keeps an old file",
    )


def test_a_first_model_of_other_classes_opens_with_them_and_keeps_what_is_painted(
    models, host, new_page, tmp_path
):
    with leaving_out_checks():
        export_page([str(models / "other"), str(models / "colors")], tmp_path / "site")
    server = host(tmp_path / "site")
    page = new_page(server.url)
    visitor = Visitor(page)
    assert (visitor.label_map() == OTHER.classes[0].color).all()
    page.get_by_role("radio", name="sand").click()
    visitor.drag((5, 5), (50, 50))
    painted = visitor.label_map()
    assert (painted[10, 10] == OTHER.classes[1].color).all()
    page.reload()
    wait_until(page, lambda: np.array_equal(visitor.label_map(), painted), "the painting is gone")


def test_it_opens_without_a_network_after_the_first_visit(folder, host, new_page, translate):
    server = host(folder)
    page = new_page(server.url)
    page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    visitor = Visitor(page)
    expect_photo(visitor, translate(draw_facade(EXAMPLES[0])))  # it is not loading any more
    server.stop()
    page.reload()
    expect_photo(visitor, translate(draw_facade(EXAMPLES[0])))
    page.locator("#model").select_option("other")  # which was not loaded before
    visitor.drag((20, 30), (90, 80))
    expect_photo(visitor, translate(visitor.label_map(), "other", 32))


def test_an_isolated_page_computes_with_threads(folder, host, open_site, translate):
    server = host(folder, isolated=True)
    visitor = open_site(server.url)
    cores = visitor.page.evaluate("navigator.hardwareConcurrency")
    expect(visitor.page.locator("#note")).to_contain_text(f"threads: {min(4, cores)}")
    expect_photo(visitor, translate(draw_facade(EXAMPLES[0])))


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_axe_finds_nothing_and_nothing_overflows(open_site, width, scheme):
    visitor = open_site(viewport={"width": width, "height": 844}, color_scheme=scheme)
    page = visitor.page
    page.locator("#about summary").first.click()
    assert page.evaluate("document.documentElement.scrollWidth") == width
    expect_no_violation(page)
    page.locator("#second").select_option("other")
    expect(page.locator("#slider .right")).to_have_text("other")
    page.locator("#model").select_option("gray")
    expect_no_violation(page)
    page.locator("#open-keys").click()
    expect_no_violation(page)


def test_what_is_missing_is_said_and_nothing_is_left(models, tmp_path, monkeypatch):
    chosen, out = str(models / "gray"), tmp_path / "site"
    full = tmp_path / "full"
    full.mkdir()
    (full / "file").touch()
    for arguments, message in {
        ((chosen,), full, None): "is not empty",
        ((), out, None): "at least one checkpoint",
        ((chosen, chosen), out, None): "two of .* are the same model",
        ((chosen,), out, full): "expected the files of onnxruntime-web's folder dist, ort.wasm",
        ((str(tmp_path / "nowhere"),), out, None): "nowhere",
    }.items():
        with pytest.raises(UserError, match=message):
            export_page(*arguments[:2], runtime=arguments[2])
    monkeypatch.setenv("PIX2PIX_ILM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(static_page, "pack", lambda _: b"another package")
    with pytest.raises(UserError, match="another package than expected"):
        export_page([chosen], out)
    monkeypatch.undo()
    monkeypatch.setenv("PIX2PIX_ILM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UserError, match="npm is needed to fetch onnxruntime-web"):
        export_page([chosen], out)
    assert not out.exists()
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_the_command_says_how_near_and_how_large(folder, said):
    assert all(f"{name}: at most" in said for name in ("colors", "other", "gray"))
    megabytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
    assert f"Done: {folder}, {megabytes:.0f} MB" in said
    assert f"python -m http.server --directory {folder}" in said
