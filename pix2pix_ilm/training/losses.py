"""The terms of the pix2pix objective, as pure functions.

Sources: binary cross-entropy, Isola et al. (CVPR 2017); least squares, Mao et al. (ICCV 2017);
hinge, Lim and Ye (2017).
"""

from typing import Literal

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

GanLoss = Literal["bce", "least-squares", "hinge"]


def discriminator_loss(
    real: Float[Tensor, "b 1 h w"], fake: Float[Tensor, "b 1 h w"], kind: GanLoss
) -> Float[Tensor, ""]:
    """Return half the sum of both errors: real pairs should have high logits, fake ones low.

    The half slows the discriminator down against the generator, as in pix2pix.
    """
    if kind == "hinge":
        return (F.relu(1 - real).mean() + F.relu(1 + fake).mean()) / 2
    return (distance(real, 1.0, kind) + distance(fake, 0.0, kind)) / 2


def adversarial_loss(fake: Float[Tensor, "b 1 h w"], kind: GanLoss) -> Float[Tensor, ""]:
    """Return how far the discriminator is from taking the generator's photos for real ones."""
    return -fake.mean() if kind == "hinge" else distance(fake, 1.0, kind)


def distance(
    logits: Float[Tensor, "b 1 h w"], target: float, kind: Literal["bce", "least-squares"]
) -> Float[Tensor, ""]:
    """Return the mean error of the logits against one target, 0 (fake) or 1 (real)."""
    targets = logits.new_full((), target).expand_as(logits)
    if kind == "bce":
        return F.binary_cross_entropy_with_logits(logits, targets)
    return F.mse_loss(logits, targets)


def l1_loss(output: Float[Tensor, "b c h w"], photo: Float[Tensor, "b c h w"]) -> Float[Tensor, ""]:
    """Return the mean absolute difference of images in [-1, 1]: 0 to 2."""
    return F.l1_loss(output, photo)
