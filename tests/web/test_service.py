import shutil
import zipfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pix2pix_ilm.data.cache import load_pairs
from pix2pix_ilm.data.images import encode_label_maps, read_image
from pix2pix_ilm.data.pairs import find_pairs
from pix2pix_ilm.data.palette import FACADES_PALETTE, LabelClass, Palette
from pix2pix_ilm.errors import UserError
from pix2pix_ilm.inference import flushes_denormals
from pix2pix_ilm.models.generator import GeneratorConfig
from pix2pix_ilm.serving.translator import Translator
from pix2pix_ilm.web.model_store import ModelStore
from pix2pix_ilm.web.painter import EXAMPLES, draw_facade, encode_drawing
from pix2pix_ilm.web.service import (
    VARIATIONS,
    TranslationRequest,
    TranslationService,
    caption,
    measure,
    metrics_table,
    save_photos,
)
from pix2pix_ilm.web.uploads import resize, snap_to_palette


@pytest.fixture
def service(make_checkpoint, tmp_path, monkeypatch):
    make_checkpoint("model")
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    return TranslationService(ModelStore(tmp_path, device="cpu"))


@pytest.fixture
def upload(service, tmp_path):  # noqa: ARG001  the service sets the upload folder
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


def test_examples_are_made_once_for_weights_and_by_a_model_of_facades(make_checkpoint, tmp_path):
    sky, wall = LabelClass(name="sky", color=(0, 0, 255)), LabelClass(name="wall", color=(9, 9, 9))
    make_checkpoint("a", label_classes=Palette(classes=(sky, wall)))
    service = TranslationService(ModelStore(tmp_path, device="cpu"))
    assert service.draw_examples() == []

    folder = make_checkpoint("b")
    service.store.scan()
    pictures = service.draw_examples()
    assert service.draw_examples() is pictures
    label_map = resize(draw_facade(EXAMPLES[3]), 32, 32)
    photo = Translator.load(folder, "cpu")([label_map])[0]
    assert np.array_equal(pictures[3], np.hstack([label_map, photo]))

    shutil.rmtree(folder)
    make_checkpoint("b")  # of other weights
    service.store.scan()
    assert not np.array_equal(service.draw_examples()[3], pictures[3])


def test_the_pages_worker_flushes_denormals(service):
    model, seen = service.store.get("model"), []
    network = service.store.load(model).generator
    network.register_forward_pre_hook(lambda *_: seen.append(flushes_denormals()))
    with ThreadPoolExecutor(1) as worker:
        worker.submit(service.make_photo, noise(32, 32), model).result()
    assert seen == [True]


def test_a_photo_is_what_the_translator_makes(service):
    label_map = noise(40, 70)
    photo = service.make_photo(label_map, service.store.get("model"))
    expected = Translator.load(service.store.get("model").folder, "cpu")([label_map])[0]
    assert np.array_equal(photo.image, expected)
    assert np.array_equal(photo.label_map, label_map)
    assert photo.seconds > 0


def test_a_painting_takes_the_size_that_the_model_was_trained_on(service):
    label_map = draw_facade(0)
    photo = service.make_photo(label_map, service.store.get(None), painted=True)
    assert photo.image.shape == photo.label_map.shape == (32, 32, 3)
    assert np.array_equal(photo.label_map, resize(label_map, 32, 32))


def test_a_drawing_is_translated_and_written(service):
    drawing = draw_facade(0)
    request = TranslationRequest(source="paint", drawing=encode_drawing(drawing), model="model")
    translation = service.translate(request)
    assert translation.metrics == ""
    (photo,) = translation.photos
    assert np.array_equal(photo.label_map, resize(drawing, 32, 32))
    assert np.array_equal(read_image(translation.downloads.photos[0]), photo.image)


def test_an_upload_keeps_its_size_and_colors_unless_it_is_snapped(service, upload):
    path = upload("a.png", noise(32, 48))
    kept, snapped = (
        service.translate(TranslationRequest(source="upload", upload=path, snap=snap))
        for snap in (False, True)
    )
    assert np.array_equal(kept.photos[0].label_map, noise(32, 48))
    assert np.array_equal(
        snapped.photos[0].label_map, snap_to_palette(noise(32, 48), FACADES_PALETTE)[0]
    )
    assert "moved to the nearest color" in snapped.caption


def test_two_models_are_compared_and_measured_and_one_is_not_compared_with_itself(
    service, upload, make_checkpoint
):
    make_checkpoint("other")
    path = upload("a.png", noise(32, 32))
    request = TranslationRequest(
        source="upload", upload=path, model="model", second_model="other", reference=path
    )
    translation = service.translate(request)
    assert [photo.model.name for photo in translation.photos] == ["model", "other"]
    assert translation.metrics.count('<th scope="row">') == 2
    translation = service.translate(replace(request, second_model="model"))
    assert len(translation.photos) == 1
    default = service.store.get(None).name
    translation = service.translate(replace(request, model="", second_model=default))
    assert len(translation.photos) == 1


def test_checkpoints_are_looked_through_for_unknown_models_and_not_for_strokes(
    service, make_checkpoint, monkeypatch
):
    scans = []
    scan = ModelStore.scan
    monkeypatch.setattr(ModelStore, "scan", lambda store: scans.append(1) or scan(store))
    drawing = encode_drawing(draw_facade(0))
    request = TranslationRequest(source="paint", drawing=drawing, model="model")
    for _ in range(3):
        service.translate(request)
    assert not scans
    make_checkpoint("later")
    for _ in range(3):
        service.translate(replace(request, second_model="later"))
    assert len(scans) == 1
    with pytest.raises(UserError, match="no model 'other'"):
        service.translate(replace(request, model="other"))
    assert len(scans) == 2


def test_variations_differ_repeat_and_leave_no_dropout_on(service):
    label_map = noise(32, 32)
    plain = service.make_photo(label_map, service.store.get(None)).image
    one, other, again = (
        service.make_photo(label_map, service.store.get(None), sample=sample).image
        for sample in (0, 1, 0)
    )
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    assert np.array_equal(service.make_photo(label_map, service.store.get(None)).image, plain)


def test_gray_models_see_gray_and_answer_in_color(service, make_checkpoint):
    make_checkpoint("gray", in_channels=1, out_channels=1)
    photo = service.make_photo(noise(32, 32), service.store.get("gray"))
    assert photo.image.shape == (32, 32, 3)
    assert (photo.image == photo.image[..., :1]).all()


@pytest.mark.parametrize(
    ("file", "different"),
    [
        ({"format": "PNG"}, 0.0),
        ({"format": "JPEG", "quality": 90, "subsampling": 0}, 0.01),  # of pixels, at edges
    ],
)
def test_a_painted_map_is_to_the_network_what_training_makes_of_the_same_file(
    service, make_checkpoint, tmp_path, file, different
):
    make_checkpoint("classes", label_classes=FACADES_PALETTE, image_size=256)
    drawing = draw_facade(0)
    (tmp_path / "pairs").mkdir()
    pair = Image.fromarray(np.hstack([noise(256, 256), drawing]))
    pair.save(tmp_path / "pairs" / "1.png", **file)
    (paths, cache) = find_pairs(tmp_path / "pairs", "val"), tmp_path / "cache"
    pairs = load_pairs(paths, 256, direction="BtoA", label_channels=FACADES_PALETTE, cache=cache)
    trained = encode_label_maps(pairs.label_map, pairs.palette)

    model, seen = service.store.get("classes"), []
    network = service.store.load(model).generator
    network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].clone()))
    request = TranslationRequest(source="paint", drawing=encode_drawing(drawing), model="classes")
    (photo,) = service.translate(request).photos
    assert np.array_equal(photo.label_map, drawing)
    assert (seen[0] != trained).any(dim=1).double().mean() <= different


def test_a_model_of_classes_shows_their_colors_of_any_upload(service, make_checkpoint, upload):
    make_checkpoint("classes", label_classes=FACADES_PALETTE)
    label_map = noise(40, 48)
    indices = FACADES_PALETTE.nearest(label_map)
    paths = [upload("colors.png", label_map), upload("indices.png", indices[..., 0])]
    one, other = (
        service.translate(TranslationRequest(source="upload", upload=path, model="classes"))
        for path in paths
    )
    for translation in (one, other):
        (photo,) = translation.photos
        assert np.array_equal(photo.label_map, FACADES_PALETTE.paint(indices))
        assert np.array_equal(read_image(translation.downloads.label_map), photo.label_map)
        assert np.array_equal(photo.image, one.photos[0].image)
    batch = service.translate_batch([*paths, upload("bad.png", indices[..., 0] + 100)], "classes")
    assert np.array_equal(*map(read_image, batch.photos))
    assert len(batch.problems) == 1
    assert batch.problems[0].startswith("bad.png: expected indices of the 12 label classes")
    photo = service.translate_file(paths[1], "classes")
    assert np.array_equal(read_image(Path(photo)), one.photos[0].image)


def test_a_model_of_colors_sees_them_beside_a_model_of_classes(service, make_checkpoint, upload):
    make_checkpoint("classes", label_classes=FACADES_PALETTE)
    label_map = noise(40, 48)
    request = TranslationRequest(source="upload", upload=upload("a.png", label_map))
    (alone,) = service.translate(replace(request, model="model")).photos
    both = replace(request, model="classes", second_model="model")
    _, beside = service.translate(both).photos
    assert np.array_equal(beside.image, alone.image)
    assert np.array_equal(beside.label_map, label_map)


@pytest.mark.parametrize("direction", ["AtoB", "BtoA"])
def test_a_kept_pair_can_be_trained_on(service, make_checkpoint, direction):
    make_checkpoint("other", direction=direction)
    photo = service.make_photo(noise(32, 48), service.store.get("other"))
    files = save_photos([photo], photo.label_map)
    left, right = np.split(read_image(files.pair), 2, axis=1)
    label_map, image = (left, right) if direction == "AtoB" else (right, left)
    assert np.array_equal(label_map, photo.label_map)
    assert np.array_equal(image, photo.image)
    assert np.array_equal(read_image(files.label_map), photo.label_map)
    assert np.array_equal(read_image(files.photos[0]), photo.image)
    assert files.photos[0].name == "photo-other.png"


def test_variations_need_dropout(service, make_checkpoint):
    make_checkpoint("plain", generator=GeneratorConfig(ngf=4, dropout=0.0))
    request = TranslationRequest(source="paint", drawing=encode_drawing(draw_facade(0)))
    assert len(service.draw_variations(replace(request, model="model"))) == VARIATIONS
    with pytest.raises(UserError, match="without dropout"):
        service.draw_variations(replace(request, model="plain"))


def test_a_batch_skips_bad_files_and_names_them(service, upload):
    paths = [
        upload("one.png", noise(32, 40)),
        upload("bad.png", b"nonsense"),
        upload("two.png", noise(20, 20)),
    ]
    batch = service.translate_batch(paths, None)
    assert [photo.name for photo in batch.photos] == ["one.png", "two.png"]
    assert read_image(batch.photos[0]).shape == (32, 40, 3)
    assert batch.problems == [
        "bad.png is not an image that can be read here (PNG, JPEG, WEBP, BMP, GIF)."
    ]
    with zipfile.ZipFile(batch.zipped) as archive:
        assert archive.namelist() == ["one.png", "two.png"]
        assert archive.read("two.png") == batch.photos[1].read_bytes()


def test_files_of_one_name_all_get_their_photo(service, upload):
    paths = [upload(name, noise(20, 20)) for name in ("a.png", "a.bmp", "a.gif")]
    photos = service.translate_batch(paths, None).photos
    assert Counter(photo.name for photo in photos) == Counter(["a.png", "a-2.png", "a-3.png"])


def test_a_batch_of_only_bad_files_is_refused(service, upload):
    with pytest.raises(UserError, match=r"a\.png is not an image"):
        service.translate_batch([upload("a.png", b"")], None)


@pytest.mark.parametrize(("count", "reason"), [(0, "Choose some"), (101, "at most 100")])
def test_a_batch_has_a_sensible_size(service, count, reason):
    with pytest.raises(UserError, match=reason):
        service.translate_batch(["a.png"] * count, None)


def test_the_caption_tells_model_size_time_and_notes(service):
    photo = service.make_photo(noise(32, 48), service.store.get(None))
    line = caption([photo], ["<reduced>"])
    assert line.startswith("<b>model</b> 48x32, ")
    assert line.endswith(" ms · &lt;reduced&gt;")


def test_a_photo_measured_against_itself_is_perfect(service):
    photo = service.make_photo(noise(64, 64), service.store.get(None))
    assert measure(photo.image, photo.image) == ["0.0", "1.000", "0.000"]
    table = metrics_table([photo, photo], photo.image)
    assert table.count("<td>0.0</td>") == 2


def test_a_reference_of_another_size_is_resized_and_small_photos_have_no_lpips(service):
    photo = service.make_photo(noise(20, 20), service.store.get(None))
    rmse, _ssim, lpips = measure(photo.image, noise(50, 70))
    assert float(rmse) > 0
    assert lpips == "too small"


def test_names_of_models_that_are_as_long_as_a_folders_can_be_make_files_of_their_own(
    service, make_checkpoint
):
    names = [f"{'m' * 250}{end}" for end in "ab"]
    for name in names:
        make_checkpoint(name)
    photos = [service.make_photo(noise(32, 32), service.store.get(name)) for name in names]
    files = save_photos(photos, photos[0].label_map)
    assert len(set(files.photos)) == 2
    assert all(photo.is_file() for photo in files.photos)
