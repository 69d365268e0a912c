from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from pix2pix_ilm.data.synthetic.dataset import draw_pair
from pix2pix_ilm.evaluation.evaluate import Evaluation
from pix2pix_ilm.evaluation.scores import Image, Scores, measure, table_metrics
from pix2pix_ilm.evaluation.statistics import summarize

IMAGES = 12
SIZE = 32
CHEAP = ("rmse_rgb", "ssim_paper", "psnr")
MODELS = {
    "runs/in-0": ("IN / IN", 0, 30.0),
    "runs/in-1": ("IN / IN", 1, 32.0),
    "runs/ilm": ("ILM+IN / IN", 0, 31.0),
    "runs/bad": ("BN / BN", 0, 90.0),
}
"""Name -> configuration, seed, and how much noise its outputs have."""


@pytest.fixture(scope="session")
def evaluation() -> Evaluation:
    """Three configurations on twelve drawn facades: photos with more or less noise as outputs."""
    labels, photos = zip(*(draw_pair(seed, SIZE) for seed in range(IMAGES)), strict=True)
    outputs = {
        name: [noisy(photo, sigma, seed=100 * seed + i) for i, photo in enumerate(photos)]
        for name, (_, seed, sigma) in MODELS.items()
    }
    columns = [metric for metric in table_metrics() if metric.name in CHEAP]
    targets = torch.from_numpy(np.stack(photos))

    def values_of(images: list[Image]) -> dict[str, tuple[float, ...]]:
        values = measure(torch.from_numpy(np.stack(images))[None], targets, columns)
        return {m.name: tuple(of) for m, of in zip(columns, values.t().tolist(), strict=True)}

    scores = [
        Scores(
            name=name,
            configuration=configuration,
            images=tuple(f"{i + 1}.png" for i in range(IMAGES)),
            values=values_of(outputs[name]),
            step=800,
            seed=seed,
        )
        for name, (configuration, seed, _) in MODELS.items()
    ]
    return Evaluation(
        protocol={"data": "drawn", "split": "test[:12]", "images": IMAGES, "dropout": False},
        columns=columns,
        scores=scores,
        summary=summarize(scores),
        label_maps=labels,
        targets=photos,
        outputs=outputs,
    )


def noisy(photo: Image, sigma: float, seed: int) -> Image:
    noise = np.random.default_rng(seed).normal(0, sigma, photo.shape)
    return (photo + noise).round().clip(0, 255).astype(np.uint8)


@pytest.fixture
def only(evaluation) -> Callable[[Sequence[str]], Evaluation]:
    """The evaluation of some of its models, by name."""

    def restrict(names: Sequence[str]) -> Evaluation:
        scores = [one for one in evaluation.scores if one.name in names]
        return replace(evaluation, scores=scores, summary=summarize(scores))

    return restrict


@pytest.fixture
def renamed(evaluation) -> Callable[..., Evaluation]:
    """The evaluation of its first model, with some of its fields replaced."""

    def replaced(**fields) -> Evaluation:
        first, *_ = evaluation.scores
        scores = [replace(first, **fields)]
        outputs = {scores[0].name: evaluation.outputs[first.name]}
        return replace(evaluation, scores=scores, summary=summarize(scores), outputs=outputs)

    return replaced
