"""The terms of the objective, as pure functions, and which of them a training has.

Sources: binary cross-entropy, Isola et al. (CVPR 2017); least squares, Mao et al. (ICCV 2017);
hinge, Lim and Ye (2017); feature matching, Wang et al., pix2pixHD (CVPR 2018); perceptual loss,
Johnson et al. (ECCV 2016), in the form of LPIPS, Zhang et al. (CVPR 2018).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from pix2pix_ilm.data.augment import Augmentation
from pix2pix_ilm.metrics.perceptual import lpips_network

GanLoss = Literal["bce", "least-squares", "hinge"]


@dataclass(frozen=True, kw_only=True)
class Objective:
    """The terms of a training's losses, and their weights; a weight of 0 leaves a term out."""

    gan_loss: GanLoss
    l1_weight: float
    feature_matching: float = 0.0
    perceptual: float = 0.0
    augmentation: tuple[Augmentation, ...] = ()
    """Changes of the pairs that the discriminator sees."""

    @property
    def loss_names(self) -> tuple[str, ...]:
        """Return the names of the losses that a step returns, in its order."""
        optional = ("feature_matching", "perceptual")
        used = (name for name in optional if getattr(self, name))
        return ("discriminator", "adversarial", "l1", *used)


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


def feature_matching_loss(fake: Sequence[Tensor], real: Sequence[Tensor]) -> Float[Tensor, ""]:
    """Return the mean absolute difference of activations, (b, c, h, w) each, mean over layers."""
    distances = [F.l1_loss(x.float(), y.float()) for x, y in zip(fake, real, strict=True)]
    return torch.stack(distances).mean()


def perceptual_loss(
    output: Float[Tensor, "b c h w"], photo: Float[Tensor, "b c h w"]
) -> Float[Tensor, ""]:
    """Return the mean LPIPS (AlexNet) of images in [-1, 1]: 0 to about 1."""
    network = lpips_network("alex", output.device)
    height, width = output.shape[2:]
    return network(*(x.float().expand(-1, 3, height, width) for x in (output, photo))).mean()
