"""Joint augmentation: the same random crop and flip for label map and photo, on the device.

Source: the pix2pix recipe resizes to 286x286, crops 256x256 at random and mirrors every other
image. The resizing was done once, when the pairs were decoded.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from pix2pix_ilm.data.images import to_model_range


@dataclass(frozen=True)
class CropIndices:
    """Positions of the pixels that make up a batch of size x size crops."""

    index: Int64[Tensor, "b 1 1"]
    rows: Int64[Tensor, "b size 1"]
    columns: Int64[Tensor, "b 1 size"]

    def cut(self, images: UInt8[Tensor, "n h w c"]) -> UInt8[Tensor, "b size size c"]:
        """Cut the crops out of all n images. Copies nothing but the batch."""
        return images[self.index, self.rows, self.columns]

    def gather(self, images: UInt8[Tensor, "n h w c"]) -> Float[Tensor, "b c size size"]:
        """Cut the crops out of all n images: float32 in [-1, 1]."""
        return to_model_range(self.cut(images))


def random_crop_flip(
    index: Int64[Tensor, " b"],
    load_size: int,
    size: int,
    flip: bool,
    generator: torch.Generator | None = None,
) -> CropIndices:
    """Draw one random crop, mirrored or not, for every image of a batch.

    Args:
        index: positions of the images in the data set, on the device to work on.
        load_size: height and width of the stored images.
        size: height and width of the crops; at most ``load_size``.
        flip: mirror each image left to right with probability 1/2.
        generator: source of the draws, on the same device; None is torch's default one.
    """
    batch, device = index.shape[0], index.device
    margin = load_size - size + 1
    corner = torch.randint(margin, (2, batch, 1), generator=generator, device=device)
    mirrored = torch.rand((batch, 1), generator=generator, device=device) < (0.5 if flip else 0.0)
    steps = torch.arange(size, device=device)
    rows = corner[0] + steps
    columns = corner[1] + torch.where(mirrored, steps.flip(0), steps)
    return CropIndices(index[:, None, None], rows[:, :, None], columns[:, None, :])
