"""Does ILM Norm help a classifier at every batch size? The question of the paper's Table 4.

A small ResNet with GroupNorm is trained against its ILM version at each batch size, from the same
weights over the same images; nothing else changes between batch sizes, as in the paper. Without
augmentation and at this size the errors are far from the paper's: compare the columns.

    python examples/classification.py --data digits --epochs 10
    python examples/classification.py --data CIFAR10 --root data/cifar10 --epochs 30 --seeds 5
"""

import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
import torchvision.datasets
import tyro
from jaxtyping import Float, Int
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock

from pix2pix_ilm import convert_norms
from pix2pix_ilm.devices import Device, pick_device
from pix2pix_ilm.errors import UserError
from pix2pix_ilm.evaluation.statistics import student_interval
from pix2pix_ilm.terminal import make_console

Split = tuple[Float[Tensor, "images c h w"], Int[Tensor, " images"]]


@dataclass(frozen=True, kw_only=True)
class Options:
    """Compare GroupNorm with ILM+GN over batch sizes."""

    data: Literal["CIFAR10", "CIFAR100", "MNIST", "FashionMNIST", "digits"] = "CIFAR10"
    """A data set of torchvision, or scikit-learn's digits (8x8, installed with it)."""
    root: Path = Path("data")
    """The folder that holds torchvision's data set."""
    download: bool = False
    """Let torchvision download the data set into the folder."""
    batch_sizes: tuple[int, ...] = (2, 4, 8, 16, 32, 64)
    seeds: int = 3
    """Trainings of each network at each batch size."""
    epochs: int = 10
    learning_rate: float = 0.01
    """At the start; it falls to 0 along a cosine."""
    width: int = 32
    """Channels of the first layers."""
    num_groups: int = 8
    """Groups of the GroupNorm layers."""
    key_group_size: int = 16
    """Channels per key group of the ILM norms."""
    device: Device = "auto"
    """Device to compute on; auto: the fastest that is there."""

    def __post_init__(self) -> None:
        if self.seeds < 2:
            raise UserError(f"--seeds: expected at least 2 for an interval, found {self.seeds}")
        counts = {"batch-sizes": min(self.batch_sizes, default=0), "epochs": self.epochs}
        divisors = {"num-groups": self.num_groups, "key-group-size": self.key_group_size}
        for name, value in {**counts, "width": self.width, **divisors}.items():
            if value < 1:
                raise UserError(f"--{name}: expected at least 1, found {value}")
        for name, value in divisors.items():
            if self.width % value:
                expected = f"a divisor of the width {self.width}"
                raise UserError(f"--{name}: expected {expected}, found {value}")


def main(options: Options, console: Console) -> None:
    """Train every network, and print the test errors with 95 % intervals over seeds."""
    device = pick_device(options.device)
    train, test = ((images.to(device), classes.to(device)) for images, classes in load(options))
    resnet = small_resnet(train, options)
    convert_norms(resnet, options.key_group_size, report=lambda done: console.print(str(done)))
    shown = Table("batch size", title=f"{options.data}: test error in percent, 95 % over seeds")
    for column in ("GN", "ILM+GN", "ILM+GN minus GN, by seed"):
        shown.add_column(column, justify="right")
    for size in track(options.batch_sizes, console=console):
        plain, ilm = (
            [
                test_error(seed, size, with_ilm, train, test, options)
                for seed in range(options.seeds)
            ]
            for with_ilm in (False, True)
        )
        differences = [second - first for first, second in zip(plain, ilm, strict=True)]
        shown.add_row(str(size), *map(cell, (plain, ilm, differences)))
    console.print(shown)


def load(options: Options) -> tuple[Split, Split]:
    """Images in [0, 1] and classes, to train on and to test on.

    Raises:
        UserError: the data set is not there.
    """
    if options.data == "digits":
        return digits()
    kind = getattr(torchvision.datasets, options.data)
    try:
        train, test = (
            kind(options.root, train=train, download=options.download) for train in (True, False)
        )
    except RuntimeError:
        raise UserError(
            f"--root: expected {options.data}, found none in {options.root}; "
            "name its folder, or add --download"
        ) from None
    return tensors(train.data, train.targets), tensors(test.data, test.targets)


def digits() -> tuple[Split, Split]:
    """scikit-learn's 1797 digits; the last 360, by other writers, are the test images."""
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise UserError(
            "--data digits: expected scikit-learn, found none; install it with "
            "'(uv) pip install scikit-learn', or choose a data set of torchvision"
        ) from None
    pixels, targets = load_digits(return_X_y=True)
    images, classes = tensors(np.reshape(pixels, (-1, 8, 8)) * (255 / 16), targets)
    return (images[:-360], classes[:-360]), (images[-360:], classes[-360:])


def tensors(images: object, classes: object) -> Split:
    """From 0..255 to [0, 1], channels first."""
    maps = torch.as_tensor(images).float() / 255
    maps = maps[:, None] if maps.ndim == 3 else maps.permute(0, 3, 1, 2)
    return maps.contiguous(), torch.as_tensor(classes).long()


def small_resnet(train: Split, options: Options) -> nn.Module:
    """Three residual blocks of torchvision's ResNet behind a 3x3 convolution, with GroupNorm."""
    (images, classes), width = train, options.width
    norm = partial(nn.GroupNorm, options.num_groups)
    layers = [nn.Conv2d(images.shape[1], width, 3, padding=1, bias=False), norm(width), nn.ReLU()]
    for inner, outer in ((width, width), (width, 2 * width), (2 * width, 4 * width)):
        stride = outer // inner
        shortcut = nn.Sequential(nn.Conv2d(inner, outer, 1, stride, bias=False), norm(outer))
        layers.append(BasicBlock(inner, outer, stride, shortcut, norm_layer=norm))
    head = nn.Linear(4 * width, int(classes.max()) + 1)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), head).to(images.device)


def test_error(
    seed: int, batch_size: int, with_ilm: bool, train: Split, test: Split, options: Options
) -> float:
    """Percent of test images misclassified after one training; the seed decides all else alike."""
    torch.manual_seed(seed)
    network = small_resnet(train, options)
    if with_ilm:
        convert_norms(network, options.key_group_size)
    fit(network, train, batch_size, torch.Generator().manual_seed(seed), options)
    images, classes = test
    with torch.inference_mode():
        guesses = torch.cat([network(batch).argmax(1) for batch in images.split(500)])
    return 100 * (guesses != classes).float().mean().item()


def fit(
    network: nn.Module, train: Split, batch_size: int, order: torch.Generator, options: Options
) -> None:
    """SGD with the paper's momentum and weight decay, over the images in an order of its own."""
    images, classes = train
    optimizer = torch.optim.SGD(
        network.parameters(), options.learning_rate, momentum=0.9, weight_decay=5e-4
    )
    steps = options.epochs * -(-len(images) // batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(options.epochs):
        shuffled = torch.randperm(len(images), generator=order).to(images.device)
        for batch in shuffled.split(batch_size):
            loss = F.cross_entropy(network(images[batch]), classes[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()


def cell(values: list[float]) -> str:
    interval = student_interval(values)
    return f"{interval.mean:.2f} ± {interval.high - interval.mean:.2f}"


if __name__ == "__main__":
    try:
        main(tyro.cli(Options), make_console())
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
