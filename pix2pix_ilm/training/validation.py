"""What a run shows of its validation pairs while it trains."""

from pathlib import Path

import torch
from torch import nn
from torchvision.utils import make_grid

from pix2pix_ilm.data.cache import PairedImages
from pix2pix_ilm.data.images import write_image
from pix2pix_ilm.files import make_folder
from pix2pix_ilm.inference import generate
from pix2pix_ilm.models.generator import UNetGenerator


def write_samples(folder: Path, generator: nn.Module, pairs: PairedImages, step: int) -> None:
    """Write a grid of label maps above the generator's photos above the true ones.

    Args:
        folder: the run's; the grid becomes ``samples/step-0000000.png`` in it.
        generator: without what distributes it.
        pairs: a column each.
        step: steps done.
    """
    assert isinstance(generator, UNetGenerator)
    outputs = [generate(generator, one, palette=pairs.palette) for one in pairs.label_map.split(1)]
    output, label_map = torch.cat(outputs), pairs.painted_label_map
    channels = max(label_map.shape[3], output.shape[3])
    rows = [
        images.permute(0, 3, 1, 2).expand(-1, channels, -1, -1)
        for images in (label_map, output, pairs.photo)
    ]
    grid = make_grid(torch.cat(rows), nrow=len(pairs), padding=4, pad_value=255)
    make_folder(folder / "samples")
    path = folder / "samples" / f"step-{step:07d}.png"
    write_image(path, grid.permute(1, 2, 0).cpu().numpy())
