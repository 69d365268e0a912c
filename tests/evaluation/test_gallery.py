"""The page holds every image and value, asks no server for anything, and its parts fit."""

import base64
import io
import json
import math
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from pix2pix_ilm.evaluation import gallery as module
from pix2pix_ilm.evaluation.gallery import LARGEST_SIDE, TEMPLATE, gallery, model_titles
from pix2pix_ilm.evaluation.tables import means_table


class Page(HTMLParser):
    """Tags, attributes, and the text of the scripts that hold data."""

    VOID = frozenset({"meta", "link", "img", "input", "br"})

    def __init__(self, text: str):
        super().__init__()
        self.tags, self.text, self.data, self.open = [], [], {}, []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        tag, attributes = self.open[-1] if self.open else ("", {})
        if attributes.get("type") == "application/json":
            self.data[attributes["id"]] = self.data.get(attributes["id"], "") + data
        elif tag not in ("style", "script"):
            self.text.append(data)


@pytest.fixture(scope="module")
def html(evaluation) -> str:
    return gallery(evaluation)


@pytest.fixture(scope="module")
def page(html) -> Page:
    return Page(html)


def data(page: Page, name: str):
    return json.loads(page.data[name])


def decoded(text: str) -> np.ndarray:
    image = Image.open(io.BytesIO(base64.b64decode(text, validate=True)))
    assert image.format == "WEBP"
    return np.asarray(image.convert("RGB")).astype(float)


def luminance_error(text: str, pixels: np.ndarray) -> float:
    """WebP keeps colors at half the resolution, which is much of a 32x32 image."""
    return float(np.abs((decoded(text) - pixels) @ [0.299, 0.587, 0.114]).mean())


def test_the_page_is_well_formed_and_asks_for_nothing(page, html):
    assert page.open == []
    for tag, attributes in page.tags:
        assert "src" not in attributes, tag
        assert attributes.get("href", "data:,") == "data:,", tag
    addresses = set(re.findall(r"""(?:https?:)?//[\w.]+\.\w[^"'\s]*""", html))
    assert addresses <= {"http://www.w3.org/2000/svg"}  # a name, not an address
    assert not re.search(r"@import|url\(|fetch\(|XMLHttpRequest|WebSocket|import\(", html)
    policy = next(of["content"] for _, of in page.tags if "http-equiv" in of)
    assert policy.startswith("default-src 'none'; img-src data:;")


def test_no_placeholder_is_left(html):
    assert "{{" not in html


def test_every_image_is_in_the_page(evaluation, page):
    pictures = data(page, "images")
    assert len(pictures["labels"]) == len(pictures["photos"]) == 12
    assert [len(of) for of in pictures["outputs"]] == [12] * 4
    expected = [*evaluation.label_maps, *evaluation.targets]
    for pixels, text in zip(expected, pictures["labels"] + pictures["photos"], strict=True):
        assert luminance_error(text, pixels) < 10
    for one, texts in zip(evaluation.scores, pictures["outputs"], strict=True):
        for pixels, text in zip(evaluation.outputs[one.name], texts, strict=True):
            assert luminance_error(text, pixels) < 10, one.name


def test_every_value_is_in_the_page(evaluation, page):
    scores = data(page, "scores")
    assert tuple(scores["images"]) == evaluation.scores[0].images
    assert [(of["name"], of["higherIsBetter"], of["digits"]) for of in scores["metrics"]] == [
        (metric.name, metric.higher_is_better, metric.digits) for metric in evaluation.columns
    ]
    for one, model in zip(evaluation.scores, scores["models"], strict=True):
        assert model["name"] == one.name
        for name, values in one.values.items():
            assert model["values"][name] == pytest.approx(values, rel=1e-6)


def test_models_have_titles_that_differ(page):
    labels = [model["title"] for model in data(page, "scores")["models"]]
    assert len(set(labels)) == 4


def test_the_table_of_means_stands_in_the_page_without_javascript(evaluation, page):
    text = "".join(page.text)
    for row in means_table(evaluation.summary, evaluation.columns).rows:
        assert all(line.text in text for cell in row for line in cell)
    for key, value in {"data": "drawn", "dropout": "no"}.items():
        assert f"{key}{value}" in text
    assert sum(of.get("class") == "best" for _, of in page.tags) == len(evaluation.columns)


def test_without_label_maps_there_is_no_such_column(evaluation):
    page = Page(gallery(replace(evaluation, label_maps=[])))
    assert data(page, "images")["labels"] == []
    assert "pictures.labels.length ?" in (TEMPLATE.parent / "gallery.js").read_text()


@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
def test_infinite_values_survive_as_what_number_reads(renamed):
    values = (math.inf,) + (20.0,) * 11
    columns = dict.fromkeys(("rmse_rgb", "ssim_paper", "psnr"), values)
    (model,) = data(Page(gallery(renamed(values=columns))), "scores")["models"]
    assert model["values"]["psnr"][:2] == ["Infinity", 20.0]
    assert [module.as_json(value) for value in (-math.inf, math.nan)] == ["-Infinity", "NaN"]


def test_names_cannot_break_out(renamed):
    evil = "</script><script>alert(1)</script><!--"
    page = Page(gallery(renamed(name=evil, configuration=evil, images=(evil,) * 12)))
    assert sum(tag == "script" for tag, _ in page.tags) == 3
    (model,) = data(page, "scores")["models"]
    assert model["name"] == model["title"] == evil
    assert evil in "".join(page.text)


def test_placeholders_in_names_are_just_text(renamed):
    page = Page(gallery(renamed(name="{{images}}", configuration="{{table}}")))
    assert data(page, "scores")["models"][0]["name"] == "{{images}}"
    assert "{{table}}" in "".join(page.text)


def test_the_script_finds_every_element_that_it_asks_for(page):
    ids = {of["id"] for _, of in page.tags if "id" in of}
    asked = set(re.findall(r'byId\("([\w-]+)"\)', (TEMPLATE.parent / "gallery.js").read_text()))
    assert asked
    assert asked <= ids


def test_both_color_schemes_define_the_same_colors():
    light, dark = re.findall(
        r":root \{(.*?)\}", (TEMPLATE.parent / "gallery.css").read_text(), re.DOTALL
    )
    names = [set(re.findall(r"(--[\w-]+):", scheme)) for scheme in (light, dark)]
    assert names[0] == names[1]
    used = set(re.findall(r"var\((--[\w-]+)\)", (TEMPLATE.parent / "gallery.css").read_text()))
    assert used <= names[0] | {"--hue", "--columns"}


@pytest.mark.parametrize("shape", [(512, 1024), (1024, 512), (100, 60)])
def test_large_images_are_reduced_in_proportion_and_small_ones_kept(shape):
    height, width = decoded(module.encode(np.zeros((*shape, 3), np.uint8))).shape[:2]
    assert max(height, width) == min(LARGEST_SIDE, max(shape))
    assert width / height == pytest.approx(shape[1] / shape[0])


def test_a_report_of_200_images_and_3_models_stays_below_25_megabytes(evaluation):
    """By the size of drawn facades at 256x256, which have more detail than blurred outputs."""
    from pix2pix_ilm.data.synthetic.dataset import draw_pair

    sizes = [len(module.encode(pixels)) for seed in range(3) for pixels in draw_pair(seed, 256)]
    label, photo = np.mean(sizes[::2]), np.mean(sizes[1::2])
    assert 200 * (label + 4 * photo) < 25e6
    assert evaluation.label_maps[0].shape == (32, 32, 3)


def test_models_are_titled_by_what_tells_them_apart(evaluation):
    first, second, ilm, _ = evaluation.scores
    assert model_titles(evaluation.scores) == [
        *("IN / IN, seed 0", "IN / IN, seed 1"),
        *("ILM+IN / IN", "BN / BN"),
    ]
    later = replace(first, name="later", step=1600)
    assert model_titles([first, later, ilm]) == [
        *("IN / IN, step 800", "IN / IN, step 1600"),
        "ILM+IN / IN",
    ]
    twin = replace(first, name="twin")
    assert model_titles([first, twin, second]) == ["runs/in-0", "twin", "IN / IN, seed 1"]
