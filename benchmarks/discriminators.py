"""Changes of photos that discriminators mind: how much less real they make them.

Every photo of a split is blurred, or changed in contrast, brightness or by noise; the table has how
far that lowers the discriminator's mean logit, in units of the gap between photos and its own
generator's outputs: 0 for what it does not see, 1 for what makes a photo as unreal as an output.

    python benchmarks/discriminators.py checkpoints/ilm/*-seed0 --data facades --split val
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import tyro
from jaxtyping import Float
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torchvision.transforms.functional import gaussian_blur
from tyro.conf import Positional

from pix2pix_ilm.checkpoints import read_model_config
from pix2pix_ilm.data.datasets import data_folder
from pix2pix_ilm.data.images import encode_label_maps, to_model_range
from pix2pix_ilm.evaluation.evaluate import read_split
from pix2pix_ilm.inference import evaluating
from pix2pix_ilm.training import run_folder
from pix2pix_ilm.training.setup import build_networks, make_accelerator

Photos = Float[Tensor, "n c h w"]
BLUR = 5  # pixels of the kernel


@dataclass(frozen=True, kw_only=True)
class Options:
    """Measure how discriminators mind changes of real photos."""

    runs: Positional[tuple[Path, ...]]
    """Folders of trainings."""
    data: str = "facades"
    """Pairs, as of ``evaluate``."""
    split: str = "val"
    """Split of them."""


def noisy(photos: Photos) -> Photos:
    return photos + 0.05 * torch.randn(photos.shape, generator=torch.Generator().manual_seed(0))


def paler(photos: Photos) -> Photos:
    mean = photos.mean(dim=(1, 2, 3), keepdim=True)
    return mean + 0.8 * (photos - mean)


Change = Callable[[Photos], Photos]
CHANGES: dict[str, Change] = {
    "blur, sigma 0.5": lambda photos: gaussian_blur(photos, [BLUR, BLUR], [0.5, 0.5]),
    "blur, sigma 1": lambda photos: gaussian_blur(photos, [BLUR, BLUR], [1.0, 1.0]),
    "a fifth less contrast": paler,
    "brighter by a tenth": lambda photos: (photos + 0.2).clamp(-1, 1),
    "noise of 6 gray levels": noisy,
}
"""Title -> change of photos in [-1, 1]."""


@torch.no_grad()
def measure(run: Path, data: str, split: str, changes: Iterable[Change]) -> list[float]:
    config = replace(run_folder.open_run(run).config, device="cpu", data=data)
    networks = build_networks(config, make_accelerator(config), saved=True)
    run_folder.restore(run, networks)
    generator, discriminator = networks.generator_in_use, networks.discriminator
    pairs = read_split(data_folder(data, config.image_size), split, read_model_config(run))
    label_maps = encode_label_maps(pairs.label_map, pairs.palette)
    photos = to_model_range(pairs.photo)

    def judge(images: Photos) -> Float[Tensor, " n"]:
        of_pairs = zip(label_maps.split(1), images.split(1), strict=True)
        return torch.stack([discriminator(*pair).mean() for pair in of_pairs])

    with evaluating(generator), evaluating(discriminator):
        real = judge(photos)
        outputs = torch.cat([generator(one) for one in label_maps.split(1)])
        gap = (real - judge(outputs)).mean()
        falls = [(real - judge(change(photos))).mean() for change in changes]
    return [(fall / gap).item() for fall in falls]


def main(options: Options) -> None:
    table = Table(title="how much less real, in gaps between photos and outputs")
    for column in ("", *CHANGES):
        table.add_column(column)
    for run in options.runs:
        falls = measure(run, options.data, options.split, CHANGES.values())
        table.add_row(str(run), *(f"{fall:+.2f}" for fall in falls))
    Console().print(table)


if __name__ == "__main__":
    main(tyro.cli(Options))
