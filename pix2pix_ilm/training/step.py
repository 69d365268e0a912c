"""One step of pix2pix: the discriminator's update, then the generator's against it.

Straight-line code without a wait for the device: losses are returned as tensors.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel

from pix2pix_ilm.data.augment import augment_pairs
from pix2pix_ilm.training.losses import (
    Objective,
    adversarial_loss,
    discriminator_loss,
    feature_matching_loss,
    l1_loss,
    perceptual_loss,
)

Backward = Callable[[Tensor], None]


@dataclass(frozen=True)
class Networks:
    """Both networks and their optimizers."""

    generator: nn.Module
    discriminator: nn.Module
    generator_optimizer: Optimizer
    discriminator_optimizer: Optimizer
    average: AveragedModel | None = None
    """The average of the generator's weights, if there is one."""

    @property
    def parts(self) -> dict[str, nn.Module | Optimizer]:
        """Return all that has a state, by name."""
        return {name: part for name, part in vars(self).items() if part is not None}

    @property
    def generator_in_use(self) -> nn.Module:
        """Return the generator to make photos with: the average, if there is one."""
        return self.generator if self.average is None else self.average.module

    @property
    def finite(self) -> bool:
        """Return True if no weight or average is infinite or NaN; the device is waited for."""
        networks = [part for part in self.parts.values() if isinstance(part, nn.Module)]
        tensors = (of for network in networks for of in network.state_dict().values())
        weights = [of for of in tensors if of.is_floating_point()]  # counters lie elsewhere
        return bool(torch.stack([of.isfinite().all() for of in weights]).all())

    def update_average(self) -> None:
        """Move the average, if there is one, toward the generator."""
        if self.average is not None:
            self.average.update_parameters(self.generator)

    @property
    def unwrapped_discriminator(self) -> nn.Module:
        """Return the discriminator, to pass gradients through while its weights need none.

        Without DDP: that would wait for gradients which never come.
        """
        network = self.discriminator
        return network.module if isinstance(network, DistributedDataParallel) else network

    def set_learning_rate(self, learning_rate: float) -> None:
        """Give both optimizers a learning rate; in place where a CUDA graph reads it."""
        for optimizer in (self.generator_optimizer, self.discriminator_optimizer):
            for group in optimizer.param_groups:
                if isinstance(group["lr"], Tensor):
                    group["lr"].fill_(learning_rate)
                else:
                    group["lr"] = learning_rate

    def unwrap(self, accelerator: Accelerator) -> "Networks":
        """Return the networks without what distributes them, to save and restore."""
        return replace(
            self,
            generator=accelerator.unwrap_model(self.generator),
            discriminator=accelerator.unwrap_model(self.discriminator),
        )


def train_step(
    networks: Networks,
    label_map: Float[Tensor, "b c1 h w"],
    photo: Float[Tensor, "b c2 h w"],
    objective: Objective,
    backward: Backward = torch.Tensor.backward,
    size: int | None = None,
) -> Float[Tensor, " losses"]:
    """Update both networks on one batch of images in [-1, 1]; return the objective's losses.

    Args:
        networks: both, with their optimizers.
        label_map: of the batch.
        photo: of the batch; the output is compared with it, and judged, at its own size.
        objective: the terms of the losses.
        backward: computes the gradients of a loss.
        size: height and width at which the generator makes its output; unset: the batch's.
    """
    output = output_at(size or label_map.shape[-1], networks.generator, label_map)
    discriminator = discriminator_step(networks, label_map, photo, output, objective, backward)
    generator = generator_step(networks, label_map, photo, output, objective, backward)
    return torch.stack((discriminator, *generator))


def output_at(
    size: int, generator: nn.Module, label_map: Float[Tensor, "b c1 h w"]
) -> Float[Tensor, "b c2 h w"]:
    """Return the output for a label map that is enlarged for it, reduced to the map's own size."""
    if size == label_map.shape[-1]:
        return generator(label_map)
    enlarged = F.interpolate(label_map, size=(size, size), mode="nearest-exact")
    output = generator(enlarged)
    return F.interpolate(output, size=label_map.shape[2:], mode="bilinear", antialias=True)


def discriminator_step(
    networks: Networks,
    label_map: Float[Tensor, "b c1 h w"],
    photo: Float[Tensor, "b c2 h w"],
    output: Float[Tensor, "b c2 h w"],
    objective: Objective,
    backward: Backward,
) -> Float[Tensor, ""]:
    """Teach the discriminator to tell the photo from the generator's output."""
    seen = augment_pairs(objective.augmentation, label_map, photo, output.detach())
    real, fake = judge_both(networks.discriminator, *seen)
    loss = discriminator_loss(real, fake, objective.gan_loss)

    networks.discriminator_optimizer.zero_grad()
    backward(loss)
    networks.discriminator_optimizer.step()
    return loss.detach()


def judge_both(
    discriminator: nn.Module,
    label_map: Float[Tensor, "b c1 h w"],
    photo: Float[Tensor, "b c2 h w"],
    output: Float[Tensor, "b c2 h w"],
) -> tuple[Float[Tensor, "b 1 h2 w2"], Float[Tensor, "b 1 h2 w2"]]:
    """Return logits of the real and the fake pairs: of one batch, unless BatchNorm mixes them."""
    if any(isinstance(module, nn.BatchNorm2d) for module in discriminator.modules()):
        return discriminator(label_map, photo), discriminator(label_map, output)
    logits = discriminator(torch.cat([label_map, label_map]), torch.cat([photo, output]))
    real, fake = logits.chunk(2)
    return real, fake


def generator_step(
    networks: Networks,
    label_map: Float[Tensor, "b c1 h w"],
    photo: Float[Tensor, "b c2 h w"],
    output: Float[Tensor, "b c2 h w"],
    objective: Objective,
    backward: Backward,
) -> list[Float[Tensor, ""]]:
    """Teach the generator to pass for the photo and to be close to it."""
    discriminator = networks.unwrapped_discriminator.requires_grad_(False)
    try:
        seen_map, seen_photo, seen_output = augment_pairs(
            objective.augmentation, label_map, photo, output
        )
        hidden: list[Tensor] | None = [] if objective.feature_matching else None
        logits = discriminator(seen_map, seen_output, hidden)
        losses = [adversarial_loss(logits, objective.gan_loss), l1_loss(output, photo)]
        loss = losses[0] + objective.l1_weight * losses[1]
        if hidden is not None:
            wanted: list[Tensor] = []
            with torch.no_grad():
                discriminator(seen_map, seen_photo, wanted)
            losses.append(feature_matching_loss(hidden, wanted))
            loss = loss + objective.feature_matching * losses[-1]
        if objective.perceptual:
            losses.append(perceptual_loss(output, photo))
            loss = loss + objective.perceptual * losses[-1]

        networks.generator_optimizer.zero_grad()
        backward(loss)
        networks.generator_optimizer.step()
    finally:  # where capturing the step in a CUDA graph fails, the same networks train on
        discriminator.requires_grad_(True)
    return [term.detach() for term in losses]
