"""Cards of models in the page: their words, never their markup."""

import pytest

from pix2pix_ilm.web.model_cards import MAX_CARD, describe, read_card
from pix2pix_ilm.web.model_store import ModelStore


def test_each_model_has_its_line_and_its_card(make_checkpoint, tmp_path):
    card = make_checkpoint("facades-in", norm="in") / "README.md"
    card.write_text(
        "---\nlicense: mit\n---\n# Title\n\n| a | b |\n| --- | --- |\n| 1 | 2 |\n", "utf-8"
    )
    make_checkpoint("other")
    page = describe(ModelStore(tmp_path).catalog.models.values())
    assert page.count("<details>") == 2
    assert "<b>facades-in</b> IN, trained on facades at 32x32" in page
    assert "<h1>Title</h1>" in page
    assert "<td>1</td>" in page
    assert "license" not in page
    assert page.count("<p>It has no card.</p>") == 1


@pytest.mark.parametrize(
    "text",
    ["<img src=x onerror=alert(1)>", "[a](javascript:alert(1))", "![a](https://example.com/a.png)",
     "<script>alert(1)</script>", "---\n<b>no end</b>"],
)  # fmt: skip
def test_markup_scripts_and_pictures_stay_out(tmp_path, text):
    (tmp_path / "README.md").write_text(text, "utf-8")
    html = read_card(tmp_path)
    assert not any(tag in html for tag in ("<img", "<script", "<b>", 'href="javascript'))


def test_a_card_may_be_missing_no_text_or_endless(tmp_path):
    assert read_card(tmp_path) == ""
    (tmp_path / "README.md").write_bytes(b"\xff\xfe" + b"a" * 10 * MAX_CARD)
    assert len(read_card(tmp_path)) < 1.1 * MAX_CARD
