"""Names from folders, files and visitors are text in the page and the gallery, never markup."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from pix2pix_ilm.checkpoints import MODEL_CONFIG
from pix2pix_ilm.evaluation.evaluate import Evaluation
from pix2pix_ilm.evaluation.gallery import gallery
from pix2pix_ilm.evaluation.record import METRICS_FILE, RecordedMetrics
from pix2pix_ilm.evaluation.scores import Scores, table_metrics
from pix2pix_ilm.evaluation.statistics import Interval, summarize
from pix2pix_ilm.files import write_json
from pix2pix_ilm.web.painter import draw_facade

pytestmark = pytest.mark.browser
MARKUP = "<img src=x onerror=window.hit=1>"
NAMES = (MARKUP, "${window.hit=1}{{window.hit=1}}", "[a](javascript:window.hit=1)<b>`'\"&lt;")
BROKEN = f"broken {MARKUP}"


@pytest.fixture
def odd_models(make_checkpoint, tmp_path):
    """Make models whose names, data, metrics and errors are markup; the last one is broken."""
    for name in (*NAMES, BROKEN):
        checkpoint = make_checkpoint(name)
        config = json.loads((checkpoint / MODEL_CONFIG).read_text()) | {"data": MARKUP}
        if name == BROKEN:
            config["image_size"] = MARKUP
        (checkpoint / MODEL_CONFIG).write_text(json.dumps(config))
        value = Interval(mean=1.0, low=0.0, high=2.0)
        record = RecordedMetrics(
            protocol={MARKUP: MARKUP}, step=7, metrics={"rmse_rgb": value, MARKUP: value}
        )
        write_json(checkpoint / METRICS_FILE, record)
    return tmp_path


@pytest.fixture
def odd_evaluation() -> Evaluation:
    """Evaluate two models on two images, named with markup that also ends a script."""
    images = [np.full((16, 16, 3), value, np.uint8) for value in (0, 255)]
    columns = [metric for metric in table_metrics() if metric.name == "rmse_rgb"]
    scores = [
        Scores(
            name=name,
            configuration=f"{name}</script>",
            images=(f"{MARKUP}</script>", f"</title>{MARKUP}"),
            values={"rmse_rgb": (1.0, 2.0)},
            seed=0,
        )
        for name in (MARKUP, "<script>window.hit=1</script>")
    ]
    return Evaluation(
        protocol={MARKUP: f"</style>{MARKUP}"},
        columns=columns,
        scores=scores,
        summary=summarize(scores),
        label_maps=images,
        targets=images,
        outputs={one.name: images for one in scores},
    )


def expect_text_alone(page):
    """Expect that nothing of the names ran, or stands in the page as an element."""
    assert page.evaluate("window.hit") is None
    expect(page.locator("img[onerror], a[href^='javascript:'], [src='x']")).to_have_count(0)


def test_names_of_models_and_files_are_text(serve_page, odd_models, visit, tmp_path):
    visitor = visit(serve_page(odd_models))
    label = tmp_path / f"{MARKUP}.png"
    Image.fromarray(draw_facade(1)).save(label)
    selected = visitor.page.get_by_role("tab", name="Upload", selected=True)
    expect(selected).to_be_visible()  # nobody knows the classes of such data
    visitor.drop_in("upload", label)
    expect(visitor.caption).to_contain_text("256x256")
    for name in NAMES:
        visitor.choose("model", f"{name}: ILM+IN")
        expect(visitor.caption).to_contain_text(f"{name} 256x256")
    visitor.choose("second", f"{MARKUP}: ILM+IN")
    expect(visitor.page.locator("#second-photo")).to_contain_text(MARKUP)
    visitor.choose("second", "none")
    expect(visitor.page.locator("#second-photo")).to_be_hidden()
    visitor.choose("model", f"{BROKEN}: broken, cannot be used")
    visitor.expect_toast(f"The model '{BROKEN}' is broken; choose another one.")
    visitor.choose("model", f"{MARKUP}: ILM+IN")
    bad = tmp_path / f"{MARKUP}.gif"
    bad.write_bytes(b"nonsense")
    visitor.open_tab("Batch")
    visitor.page.locator("#files input[type=file]").set_input_files([label, bad])
    expect(visitor.page.locator("#files")).to_contain_text("onerror")
    visitor.page.locator("#translate-batch").click()
    expect(visitor.toasts).to_contain_text(["is not an image"])
    expect(visitor.page.locator("#batch img")).to_have_count(1)
    expect_text_alone(visitor.page)


def test_names_in_the_gallery_are_text(new_page, odd_evaluation, tmp_path):
    file = tmp_path / "report.html"
    file.write_text(gallery(odd_evaluation), "utf-8")
    page = new_page(file.as_uri())
    expect(page.locator("#cards h2").last).to_contain_text(MARKUP)
    expect(page.locator("dl.protocol")).to_contain_text(f"</style>{MARKUP}")
    page.locator("#cards button").first.click()
    expect(page.locator("#viewer-title")).to_contain_text(MARKUP)
    expect_text_alone(page)


def test_the_best_of_an_images_models_is_marked_and_no_baseline(new_page, odd_evaluation, tmp_path):
    first = odd_evaluation.scores[0]
    names = ("worse", "better", "baseline")
    scores = [
        replace(first, name=name, values={"rmse_rgb": (value, value)}, baseline=name == "baseline")
        for name, value in zip(names, (3.0, 2.0, 1.0), strict=True)
    ]
    images = odd_evaluation.targets
    evaluation = replace(odd_evaluation, scores=scores, outputs=dict.fromkeys(names, images))
    file = tmp_path / "report.html"
    file.write_text(gallery(evaluation), "utf-8")
    page = new_page(file.as_uri())
    best = page.locator("#cards .best dd")
    expect(best).to_have_text(["2.00"] * len(images))
