"""The classification example, end to end on a few images."""

import struct
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from programs import imported
from rich.console import Console

from pix2pix_ilm.errors import UserError


@pytest.fixture(scope="module")
def example():
    with imported("examples/classification.py") as program:
        yield program


def striped_images(count: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Images of two classes that anything can tell apart: horizontal and vertical stripes."""
    stripes = np.where(np.arange(side) % 4 < 2, 255, 0)
    vertical = np.broadcast_to(stripes, (side, side))
    classes = np.arange(count) % 2
    images = np.stack([vertical if one else vertical.T for one in classes])
    noise = np.random.default_rng(0).integers(-20, 20, images.shape)
    return (images + noise).clip(0, 255).astype(np.uint8), classes.astype(np.uint8)


@pytest.fixture
def mnist(tmp_path) -> Path:
    """A folder that torchvision takes for MNIST: 32 images to train on and 8 to test on."""
    folder = tmp_path / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for split, count in (("train", 32), ("t10k", 8)):
        images, classes = striped_images(count, 12)
        header = struct.pack(">4i", 0x803, *images.shape)
        (folder / f"{split}-images-idx3-ubyte").write_bytes(header + images.tobytes())
        header = struct.pack(">2i", 0x801, count)
        (folder / f"{split}-labels-idx1-ubyte").write_bytes(header + classes.tobytes())
    return tmp_path


TINY = {"width": 8, "num_groups": 2, "key_group_size": 4, "seeds": 2, "device": "cpu"}


def test_the_table_has_a_row_for_every_batch_size(example, mnist):
    options = example.Options(
        data="MNIST", root=mnist, epochs=3, batch_sizes=(4, 8), learning_rate=0.05, **TINY
    )
    console = Console(record=True, width=100)
    example.main(options, console)
    printed = console.export_text()
    assert "ILM Norm in 10 layers" in printed
    rows = [line.split("│")[1:-1] for line in printed.splitlines() if line.startswith("│")]
    assert [row[0].strip() for row in rows] == ["4", "8"]
    assert all("0.00 ± 0.00" in cell for row in rows for cell in row[1:])  # both learn the stripes


def test_both_networks_see_the_same_images_from_the_same_weights(example, monkeypatch):
    options = example.Options(epochs=1, **TINY)
    images, classes = (torch.as_tensor(part) for part in striped_images(8, 8))
    split = (images[:, None].float() / 255, classes.long())
    started = []

    def fit(network, train, _batch_size, order, _options):
        order = torch.randperm(len(train[0]), generator=order).tolist()
        started.append((network.state_dict(), order))

    monkeypatch.setattr(example, "fit", fit)
    for with_ilm in (False, True):
        example.test_error(3, 4, with_ilm, split, split, options)
    (plain, order), (ilm, same_order) = started
    assert len(ilm) == len(plain) + 3 * 10
    assert all(torch.equal(ilm[name], weight) for name, weight in plain.items())
    assert same_order == order


def test_digits_come_from_scikit_learn(example):
    (train, train_classes), (test, test_classes) = example.load(example.Options(data="digits"))
    assert (train.shape, test.shape) == ((1437, 1, 8, 8), (360, 1, 8, 8))
    assert (test.min(), test.max()) == (0, 1)
    assert set(train_classes.tolist()) == set(test_classes.tolist()) == set(range(10))


def test_digits_without_scikit_learn_say_what_to_do(example, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(UserError, match=r"--data digits: expected scikit-learn, found none"):
        example.load(example.Options(data="digits"))


def test_a_missing_data_set_names_the_folder(example, tmp_path):
    with pytest.raises(UserError, match=f"--root: expected CIFAR10, found none in {tmp_path}"):
        example.load(example.Options(root=tmp_path))


def test_one_seed_has_no_interval(example):
    with pytest.raises(UserError, match="--seeds: expected at least 2 for an interval, found 1"):
        example.Options(seeds=1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_groups": 5}, "--num-groups: expected a divisor of the width 32, found 5"),
        ({"key_group_size": 5}, "--key-group-size: expected a divisor of the width 32, found 5"),
        ({"key_group_size": 0}, "--key-group-size: expected at least 1, found 0"),
        ({"batch_sizes": (2, 0)}, "--batch-sizes: expected at least 1, found 0"),
        ({"epochs": 0}, "--epochs: expected at least 1, found 0"),
    ],
)
def test_impossible_sizes_are_refused_in_words(example, settings, message):
    with pytest.raises(UserError, match=f"^{message}$"):
        example.Options(**settings)
