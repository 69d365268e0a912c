import numpy as np
import pytest
import torch
from PIL import Image

from pix2pix_ilm.data.cache import load_pairs
from pix2pix_ilm.data.pairs import find_pairs
from pix2pix_ilm.errors import UserError
from pix2pix_ilm.evaluation import metrics
from pix2pix_ilm.evaluation.scores import Sampling, Scorer, norm_label, table_metrics
from pix2pix_ilm.serving.translator import Translator

QUICK = [metric for metric in table_metrics() if metric.name in ("rmse", "l1", "psnr")]


@pytest.fixture
def pairs(drawn_pairs):
    return load_pairs(find_pairs(drawn_pairs, "train[:5]"), 32, direction="BtoA")


def test_a_checkpoint_is_scored_on_what_it_translates(make_checkpoint, pairs):
    folder = make_checkpoint(seed=3)
    scores, images = Scorer(columns=table_metrics()).checkpoint(folder, pairs)
    photos = Translator.load(folder, "cpu")(list(pairs.label.numpy()))
    assert np.abs(np.stack(images).astype(int) - np.stack(photos)).max() <= 1
    expected = metrics.lpips(torch.from_numpy(np.stack(images)), pairs.photo)
    assert scores.values["lpips"] == pytest.approx(expected.tolist(), rel=1e-4)
    assert scores.images == pairs.names
    assert (scores.configuration, scores.seed, scores.step) == ("ILM+IN / IN", 3, 7)
    assert scores.diversity == ()


def test_scores_do_not_depend_on_the_batch_size(make_checkpoint, pairs):
    folder = make_checkpoint()
    sampling = Sampling(dropout=True, samples=2)
    one, many = (
        Scorer(columns=QUICK, sampling=sampling, batch_size=size).checkpoint(folder, pairs)[0]
        for size in (1, 4)
    )
    for name in one.values:
        assert one.values[name] == pytest.approx(many.values[name], rel=1e-2)


def test_dropout_draws_samples_that_differ_and_can_be_drawn_again(make_checkpoint, pairs):
    folder = make_checkpoint()

    def scored(**sampling):
        return Scorer(columns=QUICK, sampling=Sampling(**sampling)).checkpoint(folder, pairs)

    still, _ = scored()
    dropped, _ = scored(dropout=True, samples=3)
    again, _ = scored(dropout=True, samples=3)
    other, _ = scored(dropout=True, samples=3, seed=1)
    assert dropped == again
    assert dropped.values != still.values
    assert dropped.values != other.values
    assert len(dropped.diversity) == len(pairs)
    assert min(dropped.diversity) > 0


def test_samples_are_the_translators(make_checkpoint, pairs):
    folder = make_checkpoint()
    scorer = Scorer(columns=QUICK, sampling=Sampling(dropout=True), batch_size=4)
    _, images = scorer.checkpoint(folder, pairs)
    photos = Translator.load(folder, "cpu")(list(pairs.label.numpy()), sample=0)
    assert np.array_equal(np.stack(images), np.stack(photos))


def test_values_are_means_over_the_samples(make_checkpoint, pairs):
    folder = make_checkpoint()
    three, _ = Scorer(columns=QUICK, sampling=Sampling(dropout=True, samples=3)).checkpoint(
        folder, pairs
    )
    one, first = Scorer(columns=QUICK, sampling=Sampling(dropout=True)).checkpoint(folder, pairs)
    measured = metrics.rmse(torch.from_numpy(np.stack(first)), pairs.photo)
    assert one.values["rmse"] == pytest.approx(measured.tolist(), rel=1e-5)
    assert three.values["rmse"] != one.values["rmse"]


def test_grey_models_are_scored_as_grey_photos(make_checkpoint, drawn_pairs):
    folder = make_checkpoint(in_channels=1, out_channels=1)
    files = find_pairs(drawn_pairs, "val")
    pairs = load_pairs(files, 32, direction="BtoA", label_channels=1, photo_channels=1)
    _, images = Scorer(columns=QUICK).checkpoint(folder, pairs)
    assert images[0].shape == (32, 32, 3)
    assert (images[0] == images[0][..., :1]).all()


def save(folder, **images):
    folder.mkdir()
    for name, pixels in images.items():
        Image.fromarray(pixels).save(folder / f"{name}.png")
    return folder


@pytest.fixture
def noise():
    rng = np.random.default_rng(0)
    return lambda size=32: rng.integers(0, 256, (size, size, 3), np.uint8)


def test_folders_are_matched_by_name(tmp_path, noise):
    first, second, third = noise(), noise(), noise(48)
    outputs = save(tmp_path / "out", a=first, b=second, c=third)
    targets = save(tmp_path / "target", b=second, a=second, c=third)
    scores, images = Scorer(columns=QUICK).folders(outputs, targets)
    assert scores.images == ("a", "b", "c")
    assert scores.values["rmse"][0] > 50
    assert scores.values["rmse"][1:] == (0, 0)
    assert np.array_equal(images[2], third)


def test_an_unmatched_image_is_named(tmp_path, noise):
    outputs = save(tmp_path / "out", a=noise(), b=noise())
    targets = save(tmp_path / "target", a=noise())
    with pytest.raises(UserError, match=r"without a partner \(1\):\n.*b.png"):
        Scorer(columns=QUICK).folders(outputs, targets)


def test_images_of_unequal_size_are_named(tmp_path, noise):
    outputs = save(tmp_path / "out", a=noise(), b=noise())
    targets = save(tmp_path / "target", a=noise(), b=noise(48))
    with pytest.raises(UserError, match=r"b.png: A is 32x32 but B .* is 48x48"):
        Scorer(columns=QUICK).folders(outputs, targets)


def test_norms_are_named_as_in_the_paper():
    labels = [norm_label(name) for name in ("in", "ilm-in", "ilm-gn", "none")]
    assert labels == ["IN", "ILM+IN", "ILM+GN", "no norm"]
