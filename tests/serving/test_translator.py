import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pix2pix_ilm.checkpoints import load_generator
from pix2pix_ilm.data.images import to_model_range, to_uint8
from pix2pix_ilm.data.palette import FACADES_PALETTE
from pix2pix_ilm.errors import UserError
from pix2pix_ilm.serving.translator import Translator, batches


def draw_label_map(height: int, width: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (height, width, channels), np.uint8)


def test_a_translation_is_the_generators_output(make_checkpoint):
    folder = make_checkpoint()
    generator, _ = load_generator(folder)
    label_map = draw_label_map(32, 64)
    with torch.no_grad():
        expected = to_uint8(generator(to_model_range(torch.from_numpy(label_map)[None])))[0]
    difference = Translator.load(folder, "cpu")([label_map])[0].astype(int) - expected.numpy()
    assert np.abs(difference).max() <= 1  # a rounding of other kernels


@pytest.mark.parametrize("size", [(1, 1), (31, 33), (32, 32), (50, 7), (100, 130)])
def test_any_size_comes_back_in_its_own_size(make_checkpoint, size):
    photo = Translator.load(make_checkpoint(), "cpu")([draw_label_map(*size)])[0]
    assert photo.shape == (*size, 3)
    assert photo.dtype == np.uint8


def test_arrays_give_arrays_and_images_and_files_give_images(make_checkpoint, tmp_path):
    translator = Translator.from_pretrained(make_checkpoint(), "cpu")
    label_map = draw_label_map(40, 33)
    image, path = Image.fromarray(label_map), tmp_path / "map.png"
    image.save(path)
    photo = translator(label_map)
    assert isinstance(photo, np.ndarray)
    with Image.open(path) as undecoded, Image.open(path) as decoded:
        decoded.load()
        for given in (image, image.convert("RGBA"), undecoded, decoded, path, str(path)):
            shown = translator(given)
            assert isinstance(shown, Image.Image)
            assert np.array_equal(np.asarray(shown), photo)
    several = translator([image, label_map, path], batch_size=3)
    assert [isinstance(one, np.ndarray) for one in several] == [False, True, False]
    assert all(np.array_equal(np.asarray(one), several[1]) for one in several)
    with pytest.raises(UserError, match=r"nothing\.png: no such file"):
        translator(tmp_path / "nothing.png")


def test_index_maps_and_gray_photos_are_images_too(make_checkpoint):
    indices = Image.fromarray(draw_label_map(32, 32, 1)[..., 0] % 12)
    classes = make_checkpoint("classes", label_classes=FACADES_PALETTE, out_channels=1)
    photo = Translator.from_pretrained(classes, "cpu")(indices)
    assert (photo.mode, photo.size) == ("L", (32, 32))
    with pytest.raises(UserError, match="indices of the 12 label classes"):
        Translator.from_pretrained(classes, "cpu")(indices.point(lambda value: value + 6))


def test_samples_vary_and_repeat_and_leave_no_dropout_on(make_checkpoint):
    translator = Translator.load(make_checkpoint(), "cpu")
    label_maps = [draw_label_map(32, 32)]
    plain = translator(label_maps)[0]
    one, other, again = (translator(label_maps, sample=sample)[0] for sample in (0, 1, 0))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    assert np.array_equal(translator(label_maps)[0], plain)


def test_batches_give_what_single_images_give(make_checkpoint):
    translator = Translator.load(make_checkpoint(), "cpu")
    label_maps = [draw_label_map(32, 32, seed=s) for s in range(5)] + [
        draw_label_map(40, 32),
        draw_label_map(32, 32),
    ]
    together = translator(label_maps, batch_size=3)
    for label_map, photo in zip(label_maps, together, strict=True):
        difference = translator([label_map])[0].astype(int) - photo
        assert np.abs(difference).max() <= 1  # a rounding of other kernels


def test_fast_computes_a_copy_in_bfloat16(make_checkpoint, monkeypatch):
    generator, config = load_generator(make_checkpoint())
    label_map = draw_label_map(32, 32)
    plain = Translator(generator, config)([label_map])[0]
    for dtype, limit in ((torch.bfloat16, 20), (None, 0)):
        monkeypatch.setattr(
            "pix2pix_ilm.serving.translator.fast_dtype", lambda _, dtype=dtype: dtype
        )
        translator = Translator(generator, config, fast=True)
        assert next(translator.generator.parameters()).dtype == (dtype or torch.float32)
        assert np.abs(translator([label_map])[0].astype(float) - plain).mean() <= limit
    assert next(generator.parameters()).dtype == torch.float32


@pytest.mark.parametrize(("in_channels", "out_channels"), [(1, 3), (3, 1)])
def test_gray_goes_in_and_out(make_checkpoint, in_channels, out_channels):
    translator = Translator.load(
        make_checkpoint(in_channels=in_channels, out_channels=out_channels), "cpu"
    )
    assert translator([draw_label_map(32, 32, in_channels)])[0].shape == (32, 32, out_channels)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("label_map", "message"),
    [
        (draw_label_map(32, 32, 1), r"expected a \(height, width, 3\) uint8 image"),
        (draw_label_map(32, 32).astype(float), "uint8"),
        (draw_label_map(32, 32)[0], "uint8 image, found"),
        (np.zeros((0, 32, 3), np.uint8), "expected sides of 1 to 4096 pixels, found 32x0"),
        (np.zeros((1, 4097, 3), np.uint8), "found 4097x1"),
    ],
)
def test_what_is_no_label_map_is_refused(make_checkpoint, label_map, message):
    with pytest.raises(UserError, match=message):
        Translator.load(make_checkpoint(), "cpu")([label_map])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "^batch_size: expected at least 1, found 0"),
        ({"sample": -1}, "^sample: expected at least 0, found -1"),
    ],
)
def test_arguments_out_of_range_are_refused(make_checkpoint, options, message):
    with pytest.raises(ValueError, match=message):
        Translator.load(make_checkpoint(), "cpu")(draw_label_map(32, 32), **options)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "foo"}, r"^device: expected a device that is there \(auto, .*found 'foo'"),
        ({"backend": "foo"}, "^backend: expected one of auto, torch, onnx, found 'foo'"),
    ],
)
def test_devices_and_backends_that_are_none_are_refused(make_checkpoint, options, message):
    with pytest.raises(UserError, match=message):
        Translator.from_pretrained(make_checkpoint(), **options)


def test_any_iterable_is_translated(make_checkpoint):
    label_maps = [draw_label_map(32, 32), draw_label_map(32, 32)]
    translator = Translator.load(make_checkpoint(), "cpu")
    photos = translator(one for one in label_maps)
    for photo, expected in zip(photos, translator(label_maps), strict=True):
        assert np.array_equal(photo, expected)


def test_images_that_cannot_be_read_are_refused(make_checkpoint, tmp_path):
    path = tmp_path / "cut.png"
    Image.fromarray(draw_label_map(64, 64)).save(path)
    path.write_bytes(path.read_bytes()[:200])
    closed = Image.open(path)
    closed.close()
    translator = Translator.load(make_checkpoint(), "cpu")
    with Image.open(path) as cut:
        for image in (cut, closed):
            with pytest.raises(UserError, match=r"^an image cannot be read \(.+\)"):
                translator(image)


@given(
    sizes=st.lists(st.tuples(st.sampled_from([1, 2]), st.sampled_from([1, 2])), max_size=12),
    batch_size=st.integers(1, 4),
)
@settings(max_examples=50)
def test_batches_keep_the_order_and_never_mix_sizes(sizes, batch_size):
    images = [np.full((*size, 3), i, np.uint8) for i, size in enumerate(sizes)]
    made = list(batches(images, batch_size))
    assert [image for batch in made for image in batch] == images or not images
    assert all(1 <= len(batch) <= batch_size for batch in made)
    assert all(len({image.shape for image in batch}) == 1 for batch in made)


def test_a_model_of_classes_takes_their_colors_or_indices(make_checkpoint):
    translator = Translator.load(make_checkpoint(label_classes=FACADES_PALETTE), "cpu")
    label_map = draw_label_map(40, 33)
    indices = FACADES_PALETTE.nearest(label_map)
    photo, same, of_colors = translator([label_map, indices, FACADES_PALETTE.paint(indices)])
    assert photo.shape == (40, 33, 3)
    assert np.array_equal(photo, same)
    assert np.array_equal(photo, of_colors)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("label_map", "message"),
    [
        (np.full((32, 32, 1), 12, np.uint8), "indices of the 12 label classes.*found 12"),
        (
            np.zeros((32, 32, 12), np.uint8),
            r"a \(height, width, 3\) or \(height, width, 1\) uint8 image, found \(32, 32, 12\)",
        ),
    ],
)
def test_what_shows_no_classes_is_refused(make_checkpoint, label_map, message):
    translator = Translator.load(make_checkpoint(label_classes=FACADES_PALETTE), "cpu")
    with pytest.raises(UserError, match=message):
        translator([label_map])
