"""SSIM of a checkpoint's outputs under the conventions that papers leave unsaid.

python benchmarks/conventions.py checkpoints/NAME --data data/facades --split paper
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import tyro
from rich.console import Console
from rich.table import Table
from skimage.color import rgb2gray
from skimage.metrics import structural_similarity
from tyro.conf import Positional

from pix2pix_ilm.evaluation.evaluate import evaluate_checkpoints, make_scorer
from pix2pix_ilm.evaluation.scores import Image, Sampling

WINDOWS: dict[str, dict[str, Any]] = {
    "Gaussian 11x11, sigma 1.5": {
        "gaussian_weights": True,
        "sigma": 1.5,
        "use_sample_covariance": False,
    },
    "uniform 7x7": {},
}


@dataclass(frozen=True, kw_only=True)
class Options:
    """Compare conventions of SSIM, with dropout off and on."""

    checkpoints: Positional[tuple[str, ...]]
    data: str = "facades"
    split: str = "test"


def main(options: Options) -> None:
    shown = Table("window", "images", "data range", "dropout")
    for name in options.checkpoints:
        shown.add_column(name, justify="right")
    outputs, targets = {}, []
    for dropout in (False, True):
        scorer = make_scorer(Sampling(dropout=dropout), "alex", "auto", 8)
        evaluation = evaluate_checkpoints(options.checkpoints, options.data, options.split, scorer)
        outputs[dropout] = evaluation.outputs
        targets = evaluation.targets
    for (window, settings), gray, data_range, dropout in product(
        WINDOWS.items(), (False, True), (1, 2), (False, True)
    ):
        means = [
            mean_ssim(images, targets, gray, data_range=data_range, **settings)
            for images in outputs[dropout].values()
        ]
        row = (window, "gray" if gray else "RGB", str(data_range), "on" if dropout else "off")
        shown.add_row(*row, *(f"{mean:.3f}" for mean in means))
    Console().print(shown)


def mean_ssim(
    images: Sequence[Image],
    targets: Sequence[Image],
    gray: bool,
    **settings: Any,  # noqa: ANN401
) -> float:
    """Mean over images of SSIM of floats in [0, 1]."""
    axis = None if gray else 2
    return float(
        np.mean(
            [
                structural_similarity(
                    as_floats(image, gray), as_floats(target, gray), channel_axis=axis, **settings
                )
                for image, target in zip(images, targets, strict=True)
            ]
        )
    )


def as_floats(image: np.ndarray, gray: bool) -> np.ndarray:
    return rgb2gray(image) if gray else image / 255


if __name__ == "__main__":
    main(tyro.cli(Options))
