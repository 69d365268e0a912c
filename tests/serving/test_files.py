import numpy as np
import pytest
from PIL import Image

from pix2pix_ilm.data.palette import FACADES_PALETTE
from pix2pix_ilm.data.synthetic.dataset import draw_pair
from pix2pix_ilm.errors import UserError
from pix2pix_ilm.serving.files import translate_files
from pix2pix_ilm.serving.translator import Translator


@pytest.fixture
def folder(tmp_path):
    """Three label maps, of two sizes."""
    folder = tmp_path / "labels"
    folder.mkdir()
    for name, size in (("1", 32), ("2", 48), ("10", 32)):
        Image.fromarray(draw_pair(int(name), size)[0]).save(folder / f"{name}.png")
    return folder


def test_every_image_of_a_folder_is_translated_under_its_name(make_checkpoint, folder, tmp_path):
    checkpoint, out = make_checkpoint(), tmp_path / "deep" / "out"
    translate_files([folder], checkpoint, out, device="cpu")
    assert sorted(path.name for path in out.iterdir()) == ["1.png", "10.png", "2.png"]
    label_map = np.asarray(Image.open(folder / "2.png"))
    expected = Translator.load(checkpoint, "cpu")([label_map])[0]
    assert np.array_equal(np.asarray(Image.open(out / "2.png")), expected)


@pytest.mark.parametrize(("direction", "half"), [("BtoA", 1), ("AtoB", 0)])
def test_of_a_side_by_side_pair_the_label_map_is_translated(
    make_checkpoint, tmp_path, direction, half
):
    label_map, photo = draw_pair(3, 32)
    halves = [label_map, photo] if half == 0 else [photo, label_map]
    Image.fromarray(np.hstack(halves)).save(tmp_path / "pair.png")
    checkpoint = make_checkpoint(direction=direction)
    translate_files([tmp_path / "pair.png"], checkpoint, tmp_path / "out", side_by_side=True)
    expected = Translator.load(checkpoint, "cpu")([label_map])[0]
    assert np.array_equal(np.asarray(Image.open(tmp_path / "out" / "pair.png")), expected)


def test_bad_files_are_named_and_the_others_translated(make_checkpoint, folder, tmp_path):
    (folder / "bad.png").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"3 of 4 images translated; not these \(1\):\n.*bad.png"):
        translate_files([folder], make_checkpoint(), tmp_path / "out", device="cpu")
    assert len(list((tmp_path / "out").iterdir())) == 3


def test_where_nothing_can_be_translated_no_folder_is_left(make_checkpoint, tmp_path):
    checkpoint = make_checkpoint()
    for out in (tmp_path / "out", tmp_path / "out" / "deep" / "down"):
        with pytest.raises(UserError, match=r"0 of 1 images translated"):
            translate_files([tmp_path / "no.png"], checkpoint, out, device="cpu")
        assert not (tmp_path / "out").exists()
    (tmp_path / "mine").mkdir()
    with pytest.raises(UserError, match=r"0 of 1 images translated"):
        translate_files([tmp_path / "no.png"], make_checkpoint("b"), tmp_path / "mine")
    assert (tmp_path / "mine").exists()


def test_photos_that_cannot_be_written_are_named(make_checkpoint, folder, tmp_path):
    (tmp_path / "out" / "2.png" / "x").mkdir(parents=True)
    with pytest.raises(UserError, match=r"2 of 3 images translated; not these \(1\):\n.*2.png"):
        translate_files([folder], make_checkpoint(), tmp_path / "out", device="cpu")


def test_a_missing_input_is_named(make_checkpoint, tmp_path):
    with pytest.raises(UserError, match=r"nowhere.png: no such file"):
        translate_files([tmp_path / "nowhere.png"], make_checkpoint(), tmp_path / "out")


def test_others_are_translated_beside_a_missing_input_and_one_too_large(
    make_checkpoint, folder, tmp_path
):
    checkpoint, wide = make_checkpoint(), tmp_path / "wide.png"
    Image.new("RGB", (5000, 16)).save(wide)
    (out := tmp_path / "out").mkdir()
    Image.new("RGB", (8, 8)).save(out / "nowhere.png")  # of an earlier run
    with pytest.raises(UserError) as refusal:
        translate_files([tmp_path / "nowhere.png", wide, folder / "1.png"], checkpoint, out)
    assert "1 of 3 images translated" in str(refusal.value)
    assert f"{wide}: expected sides of 1 to 4096 pixels" in str(refusal.value)
    assert "nowhere.png: no such file" in str(refusal.value)
    assert (out / "1.png").exists()


def test_an_empty_folder_is_refused(make_checkpoint, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="empty: no images found"):
        translate_files([tmp_path / "empty"], make_checkpoint(), tmp_path / "out")


def test_no_input_is_overwritten(make_checkpoint, folder):
    before = (folder / "1.png").read_bytes()
    with pytest.raises(UserError, match="would be overwritten"):
        translate_files([folder], make_checkpoint(), folder)
    assert (folder / "1.png").read_bytes() == before


def test_two_inputs_of_one_name_are_refused(make_checkpoint, folder, tmp_path):
    Image.open(folder / "1.png").save(tmp_path / "1.webp")
    with pytest.raises(UserError, match="would both become"):
        translate_files([folder, tmp_path / "1.webp"], make_checkpoint(), tmp_path / "out")


def test_colored_and_index_maps_of_a_model_of_classes_give_one_photo(make_checkpoint, tmp_path):
    checkpoint = make_checkpoint(label_classes=FACADES_PALETTE)
    label_map = draw_pair(3, 40)[0]
    indices = FACADES_PALETTE.nearest(label_map)[..., 0]
    for name, pixels in (("colors", label_map), ("indices", indices), ("bad", indices + 100)):
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    inputs = [tmp_path / f"{name}.png" for name in ("colors", "indices", "bad")]
    with pytest.raises(UserError, match=r"2 of 3 .*\n.*bad\.png: expected indices of the 12 label"):
        translate_files(inputs, checkpoint, tmp_path / "out", device="cpu")
    one, other = (np.asarray(Image.open(tmp_path / "out" / path.name)) for path in inputs[:2])
    assert np.array_equal(one, other)
    assert np.array_equal(one, Translator.load(checkpoint, "cpu")([label_map])[0])
