"""The page in a real browser: an answer that comes late leaves visitors in the tab they opened."""

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Route, expect
from web.visitor import Visitor, wait_until

from pix2pix_ilm.web.painter import EXAMPLES, draw_facade
from pix2pix_ilm.web.service import TranslationService

pytestmark = pytest.mark.browser


@pytest.fixture
def visitor(visit, serve_page, make_checkpoint, tmp_path) -> Visitor:
    """Visit a page with a model of CMP's classes and one of label maps that nobody knows."""
    make_checkpoint("facades-ilm")
    make_checkpoint("unknown", data="shoes")
    visitor = visit(serve_page(tmp_path))
    visitor.wait_for_examples()
    return visitor


def hold_back(visitor: Visitor) -> Callable[[], None]:
    """Let no request reach the server until the function that this returns is called."""
    held: list[Route] = []
    holding = True

    def hold(route: Route) -> None:
        if holding:
            held.append(route)
        else:
            route.continue_()

    def let_go() -> None:
        nonlocal holding
        wait_until(visitor.page, lambda: len(held) > 0, "nothing was asked for")
        holding = False
        for route in held:
            route.continue_()

    visitor.page.route("**/queue/join*", hold)
    return let_go


def expect_open(visitor: Visitor, name: str) -> None:
    expect(visitor.page.get_by_role("tab", name=name, selected=True)).to_be_visible()


def test_a_model_that_takes_uploads_alone_opens_their_tab_for_painters_only(visitor):
    answer = hold_back(visitor)
    visitor.choose("model", "unknown")
    visitor.open_tab("Batch")
    answer()
    expect(visitor.page.locator("#examples")).to_be_hidden()  # the answer is there
    expect_open(visitor, "Batch")


def test_an_upload_for_the_painter_opens_it_only_for_who_is_still_there(visitor, tmp_path):
    path, facade = tmp_path / "upload.png", draw_facade(1)
    Image.fromarray(facade).save(path)
    visitor.open_tab("Upload")
    visitor.drop_in("upload", path)
    expect(visitor.caption).to_contain_text("256x256")
    answer = hold_back(visitor)
    visitor.page.locator("#edit").click()
    visitor.open_tab("Batch")
    answer()
    expect_painted(visitor, facade)
    expect_open(visitor, "Batch")
    expect(visitor.caption).to_contain_text("256x256")  # still of the upload


def test_an_example_opens_the_painter_at_once(visitor):
    visitor.open_tab("Batch")
    answer = hold_back(visitor)
    visitor.page.locator("#examples img").nth(3).click()
    expect_open(visitor, "Paint")
    visitor.open_tab("Upload")
    answer()
    expect_painted(visitor, draw_facade(EXAMPLES[3]))
    expect_open(visitor, "Upload")


def test_a_tab_that_the_page_opens_is_translated_once(visitor, tmp_path, monkeypatch):
    made, make_photo = [], TranslationService.make_photo
    monkeypatch.setattr(
        TranslationService, "make_photo", lambda *a, **k: made.append(1) or make_photo(*a, **k)
    )
    path = tmp_path / "upload.png"
    Image.fromarray(draw_facade(1)[:128]).save(path)
    visitor.open_tab("Upload")
    visitor.drop_in("upload", path)
    expect(visitor.caption).to_contain_text("256x128")
    visitor.page.locator("#edit").click()
    expect_open(visitor, "Paint")
    expect(visitor.caption).to_contain_text("32x32")
    visitor.open_tab("Upload")
    expect(visitor.caption).to_contain_text("256x128")
    visitor.page.locator("#examples img").nth(3).click()
    expect_open(visitor, "Paint")
    expect(visitor.caption).to_contain_text("32x32")
    visitor.page.wait_for_timeout(500)
    assert len(made) == 4  # upload, painting, upload, example


def expect_painted(visitor: Visitor, label_map: np.ndarray) -> None:
    """Wait for a picture in the painter, which another tab may hide."""
    same = lambda: np.array_equal(visitor.label_map(), label_map)  # noqa: E731
    wait_until(visitor.page, same, "another picture is painted")
