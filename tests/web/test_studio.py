import zipfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from pix2pix_ilm.data.facades import PALETTE
from pix2pix_ilm.data.images import read_image
from pix2pix_ilm.errors import UserError
from pix2pix_ilm.inference import flushes_denormals
from pix2pix_ilm.serving.translator import Translator
from pix2pix_ilm.web import studio
from pix2pix_ilm.web.captions import describe, measure, metrics_table
from pix2pix_ilm.web.shelf import Shelf

COLOURS = set(PALETTE.values())


@pytest.fixture
def shelf(make_checkpoint, tmp_path, monkeypatch):
    make_checkpoint("model")
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    return Shelf(tmp_path, device="cpu")


@pytest.fixture
def upload(shelf, tmp_path):  # noqa: ARG001  the shelf sets the upload folder
    """Put an image into the upload folder."""

    def put(name: str, content: np.ndarray | bytes) -> str:
        path = tmp_path / "uploads" / name
        path.parent.mkdir(exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            Image.fromarray(content).save(path)
        return str(path)

    return put


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def test_the_pages_worker_flushes_denormals(shelf):
    network, seen = shelf.translator(shelf.get("model")).generator, []
    network.register_forward_pre_hook(lambda *_: seen.append(flushes_denormals()))
    with ThreadPoolExecutor(1) as worker:
        worker.submit(studio.translate, shelf, noise(32, 32), "model").result()
    assert seen == [True]


def test_a_photo_is_what_the_translator_makes(shelf):
    label = noise(40, 70)
    photo = studio.translate(shelf, label, "model")
    expected = Translator.load(shelf.get("model").folder, "cpu")([label])[0]
    assert np.array_equal(photo.image, expected)
    assert np.array_equal(photo.label, label)
    assert photo.seconds > 0


def test_a_painting_takes_the_size_that_the_model_was_trained_on(shelf):
    label = studio.draw_facade(0)
    photo = studio.translate(shelf, label, None, painted=True)
    assert photo.image.shape == photo.label.shape == (32, 32, 3)
    assert np.array_equal(photo.label, studio.to_size(label, 32, 32))


def test_variations_differ_repeat_and_leave_no_dropout_on(shelf):
    label = noise(32, 32)
    plain = studio.translate(shelf, label, None).image
    one, other, again = (
        studio.translate(shelf, label, None, sample=sample).image for sample in (0, 1, 0)
    )
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    assert np.array_equal(studio.translate(shelf, label, None).image, plain)


def test_grey_models_see_grey_and_answer_in_colour(shelf, make_checkpoint):
    make_checkpoint("grey", in_channels=1, out_channels=1)
    photo = studio.translate(shelf, noise(32, 32), "grey")
    assert photo.image.shape == (32, 32, 3)
    assert (photo.image == photo.image[..., :1]).all()


def test_random_facades_differ_and_have_only_the_palettes_colours():
    one, other = studio.draw_facade(), studio.draw_facade()
    assert not np.array_equal(one, other)
    assert {tuple(colour) for colour in one.reshape(-1, 3).tolist()} <= COLOURS
    assert np.array_equal(studio.draw_facade(3), studio.draw_facade(3))


def test_snapping_moves_to_the_nearest_colour_and_counts_what_moved():
    label = np.tile(np.array(PALETTE["door"], np.uint8), (10, 10, 1))
    label[0] = (3, 204, 250)
    snapped, share = studio.snap(label)
    assert (snapped == PALETTE["door"]).all()
    assert share == pytest.approx(0.1)
    again, moved = studio.snap(snapped)
    assert np.array_equal(again, snapped)
    assert moved == 0


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [(1024, 1024, (1024, 1024)), (100, 60, (100, 60)), (2048, 1024, (1024, 512)),
     (16, 4000, (4, 1024))],
)  # fmt: skip
def test_large_label_maps_are_reduced_without_new_colours(height, width, expected):
    label = studio.snap(noise(height, width))[0]
    reduced = studio.fit(label)
    assert reduced.shape[:2] == expected
    assert {tuple(colour) for colour in reduced.reshape(-1, 3).tolist()} <= COLOURS


@pytest.mark.parametrize("direction", ["AtoB", "BtoA"])
def test_a_kept_pair_can_be_trained_on(shelf, make_checkpoint, direction):
    make_checkpoint("other", direction=direction)
    photo = studio.translate(shelf, noise(32, 48), "other")
    files = studio.keep([photo])
    left, right = np.split(read_image(files.pair), 2, axis=1)
    label, image = (left, right) if direction == "AtoB" else (right, left)
    assert np.array_equal(label, photo.label)
    assert np.array_equal(image, photo.image)
    assert np.array_equal(read_image(files.label), photo.label)
    assert np.array_equal(read_image(files.photos[0]), photo.image)
    assert files.photos[0].name == "photo-other.png"


def test_a_batch_skips_bad_files_and_names_them(shelf, upload):
    paths = [
        upload("one.png", noise(32, 40)),
        upload("bad.png", b"nonsense"),
        upload("two.png", noise(20, 20)),
    ]
    photos, problems = studio.translate_batch(shelf, paths, None)
    assert [photo.name for photo in photos] == ["one.png", "two.png"]
    assert read_image(photos[0]).shape == (32, 40, 3)
    assert problems == [
        "bad.png is not an image that can be read here (PNG, JPEG, WEBP, BMP, GIF)."
    ]
    with zipfile.ZipFile(studio.pack(photos)) as archive:
        assert archive.namelist() == ["one.png", "two.png"]
        assert archive.read("two.png") == photos[1].read_bytes()


def test_files_of_one_name_all_get_their_photo(shelf, upload):
    paths = [upload(name, noise(20, 20)) for name in ("a.png", "a.bmp", "a.gif")]
    photos, _ = studio.translate_batch(shelf, paths, None)
    assert Counter(photo.name for photo in photos) == Counter(["a.png", "a-2.png", "a-3.png"])


def test_a_batch_of_only_bad_files_is_refused(shelf, upload):
    with pytest.raises(UserError, match=r"a\.png is not an image"):
        studio.translate_batch(shelf, [upload("a.png", b"")], None)


@pytest.mark.parametrize(("count", "reason"), [(0, "Choose some"), (101, "at most 100")])
def test_a_batch_has_a_sensible_size(count, reason):
    with pytest.raises(UserError, match=reason):
        studio.check_batch(["a.png"] * count)


def test_the_caption_tells_model_size_time_and_notes(shelf):
    photo = studio.translate(shelf, noise(32, 48), None)
    caption = describe([photo], ["<reduced>"])
    assert caption.startswith("<b>model</b> 48x32, ")
    assert caption.endswith(" ms · &lt;reduced&gt;")


def test_a_photo_measured_against_itself_is_perfect(shelf):
    photo = studio.translate(shelf, noise(64, 64), None)
    assert measure(photo.image, photo.image) == ["0.0", "1.000", "0.000"]
    table = metrics_table([photo, photo], photo.image)
    assert table.count("<td>0.0</td>") == 2


def test_a_reference_of_another_size_is_resized_and_small_photos_have_no_lpips(shelf):
    photo = studio.translate(shelf, noise(20, 20), None)
    rmse, _ssim, lpips = measure(photo.image, noise(50, 70))
    assert float(rmse) > 0
    assert lpips == "too small"
