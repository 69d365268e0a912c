import numpy as np
import pytest
import torch
from PIL import Image

from pix2pix_ilm import metrics
from pix2pix_ilm.data.cache import load_pairs
from pix2pix_ilm.data.pairs import find_pairs
from pix2pix_ilm.errors import UserError
from pix2pix_ilm.evaluation import scores
from pix2pix_ilm.evaluation.baselines import constant_color
from pix2pix_ilm.evaluation.scores import (
    Sampling,
    Scorer,
    diversity,
    measure,
    norm_title,
    table_metrics,
)
from pix2pix_ilm.serving.translator import Translator

QUICK = [metric for metric in table_metrics() if metric.name in ("rmse", "l1", "psnr")]


@pytest.fixture
def pairs(drawn_pairs):
    return load_pairs(find_pairs(drawn_pairs, "train[:5]"), 32, direction="BtoA")


def test_a_checkpoint_is_scored_on_what_it_translates(make_checkpoint, pairs):
    folder = make_checkpoint(seed=3)
    scores, images = Scorer(columns=table_metrics()).checkpoint(folder, pairs)
    photos = Translator.load(folder, "cpu")(list(pairs.label_map.numpy()))
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
    photos = Translator.load(folder, "cpu")(list(pairs.label_map.numpy()), sample=0)
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


def test_gray_models_are_scored_as_gray_photos(make_checkpoint, drawn_pairs):
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


@pytest.mark.parametrize(
    ("columns", "needed"), [(table_metrics(), r"LPIPS \(alex\) .* 31x31"), (QUICK, "RMSE .* 11x11")]
)
def test_images_too_small_for_a_metric_are_named(tmp_path, noise, columns, needed):
    outputs = save(tmp_path / "out", a=noise(31), b=noise(31)[:, :10])
    targets = save(tmp_path / "target", a=noise(31), b=noise(31)[:, :10])
    with pytest.raises(UserError, match=f"^{outputs}/b.png: {needed} pixels, found 10x31$"):
        Scorer(columns=columns).folders(outputs, targets)


WAYS = {
    "checkpoint": lambda scorer, pairs, folder, _: scorer.checkpoint(folder, pairs),
    "baseline": lambda scorer, pairs, *_: scorer.baseline("baseline", constant_color(pairs), pairs),
    "folders": lambda scorer, _pairs, _folder, data: scorer.folders(data, data),
}


@pytest.mark.parametrize("processes", [2, 17])
@pytest.mark.parametrize("way", WAYS)
def test_processes_share_the_images_however_many_they_are(
    make_checkpoint, drawn_pairs, monkeypatch, way, processes
):
    """Sixteen images, and the shares of all processes one after the other."""
    scorer, folder, data = (
        Scorer(columns=QUICK, batch_size=3),
        make_checkpoint(),
        drawn_pairs / "train",
    )
    pairs = load_pairs(find_pairs(drawn_pairs, "train"), 32, direction="BtoA")
    alone, _ = WAYS[way](scorer, pairs, folder, data)
    shards, photos = [], []
    everything = torch.zeros(16, len(QUICK), dtype=torch.float64)
    monkeypatch.setattr(scores, "gather_shards", lambda own, _: shards.append(own) or everything)
    monkeypatch.setattr(scores, "gather_photos", lambda own, _: photos.append(own) or own)
    for process in range(processes):
        mine = list(range(process, 16, processes))
        monkeypatch.setattr(scores, "process_shard", lambda _, mine=mine: mine)
        WAYS[way](scorer, pairs, folder, data)
    assert [len(shard) for shard in shards] == [len(own) for own in photos]
    for i in range(16):
        values = shards[i % processes][i // processes].tolist()
        assert values == pytest.approx([alone.values[m.name][i] for m in QUICK], rel=1e-2)


def test_scores_are_averaged_in_float64_on_the_cpu(request):
    images = torch.randint(0, 256, (3, 2, 32, 32, 3), dtype=torch.uint8)
    expected, spread = measure(images, images[1], QUICK), diversity(images, "alex")
    assert expected.dtype is spread.dtype is torch.float64
    request.getfixturevalue("without_float64")
    assert torch.equal(measure(images, images[1], QUICK), expected)
    torch.testing.assert_close(diversity(images, "alex"), spread, check_dtype=True)


def test_norms_are_named_as_in_the_paper():
    labels = [norm_title(name) for name in ("in", "ilm-in", "ilm-gn", "none")]
    assert labels == ["IN", "ILM+IN", "ILM+GN", "no norm"]
