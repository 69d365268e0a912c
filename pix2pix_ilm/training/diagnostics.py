"""Norms and gradients while a training goes on, at a few epochs: ``diagnostics.json``."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from pix2pix_ilm.data.cache import PairedImages
from pix2pix_ilm.data.images import encode_label_maps, to_model_range
from pix2pix_ilm.files import read_json, write_json
from pix2pix_ilm.inference import evaluating
from pix2pix_ilm.models.norm_statistics import LayerStatistics, layer_statistics
from pix2pix_ilm.training.curves import Curve
from pix2pix_ilm.training.losses import Objective, adversarial_loss, l1_loss
from pix2pix_ilm.training.step import Networks

DIAGNOSTICS = "diagnostics.json"
TITLES = {
    "gradient_ratio": "gradient at the output: adversarial to L1 term",
    **{
        f"{network}_{name}": f"{title}, {network}, mean over ILM layers"
        for network in ("generator", "discriminator")
        for name, title in {
            "omega": "omega's deviation over images to that over channels",
            "dead": "rows of W1 that never fire for variances",
            "saturated": "values of D_gamma within 0.02 of 0 or 1",
        }.items()
    },
}
"""Name of a curve -> its title."""


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """Norms and gradients after some steps."""

    step: int
    epoch: int
    gradient_ratio: float
    """Norm of the adversarial loss's gradient at the generator's photo, to that of the weighted L1
    loss; mean over images."""
    generator: list[LayerStatistics]
    discriminator: list[LayerStatistics]
    """Of pairs with the generator's photos."""


@dataclass(frozen=True, kw_only=True)
class Diagnoses:
    """Content of ``diagnostics.json``."""

    diagnoses: list[Diagnosis] = field(default_factory=list)


def write_diagnosis(
    folder: Path,
    networks: Networks,
    pairs: PairedImages,
    objective: Objective,
    step: int,
    epoch: int,
) -> None:
    """Measure a training's networks, and add it to what the run's folder has of earlier steps.

    Args:
        folder: the run's.
        networks: without what distributes them.
        pairs: images to look at, on the device.
        objective: of the training.
        step: steps done.
        epoch: epochs done.

    Raises:
        UserError: the file is damaged, or cannot be written.
    """
    label_maps = [encode_label_maps(one, pairs.palette) for one in pairs.label_map.split(1)]
    photos = [to_model_range(one) for one in pairs.photo.split(1)]
    generator, discriminator = networks.generator, networks.discriminator
    with evaluating(generator), evaluating(discriminator), torch.compiler.set_stance("force_eager"):
        with torch.no_grad():
            outputs = [generator(one) for one in label_maps]
        ratios = [
            gradient_ratio(discriminator, *images, objective)
            for images in zip(label_maps, outputs, photos, strict=True)
        ]
        found = Diagnosis(
            step=step,
            epoch=epoch,
            gradient_ratio=float(np.mean(ratios)),
            generator=layer_statistics(generator, [(one,) for one in label_maps]),
            discriminator=layer_statistics(
                discriminator, list(zip(label_maps, outputs, strict=True))
            ),
        )
    earlier = [one for one in read_diagnoses(folder) if one.step < step]
    write_json(folder / DIAGNOSTICS, Diagnoses(diagnoses=[*earlier, found]))


def gradient_ratio(
    discriminator: nn.Module,
    label_map: Float[Tensor, "b c1 h w"],
    output: Float[Tensor, "b c2 h w"],
    photo: Float[Tensor, "b c2 h w"],
    objective: Objective,
) -> float:
    """Compare the gradients of the adversarial and the weighted L1 loss at the output."""
    output = output.detach().requires_grad_()
    losses = (
        adversarial_loss(discriminator(label_map, output), objective.gan_loss),
        objective.l1_weight * l1_loss(output, photo),
    )
    norms = [torch.autograd.grad(loss, output)[0].cpu().double().norm() for loss in losses]
    return (norms[0] / norms[1]).item()


def read_diagnoses(folder: Path) -> list[Diagnosis]:
    """Return what a run's folder has, none if there is no file; errors as in ``read_json``."""
    path = folder / DIAGNOSTICS
    return read_json(path, Diagnoses).diagnoses if path.exists() else []


def diagnosis_curves(folder: Path) -> dict[str, Curve]:
    """Return a run's diagnoses over steps, by the names of ``TITLES``."""
    found = read_diagnoses(folder)
    if not found:
        return {}
    steps = np.array([one.step for one in found], np.float64)
    curves = {"gradient_ratio": (steps, np.array([one.gradient_ratio for one in found]))}
    for network in ("generator", "discriminator"):
        layers = [getattr(one, network) for one in found]
        if not layers[0]:
            continue
        for name, value_of in {
            "omega": lambda layer: layer.omega.over_images / max(layer.omega.over_channels, 1e-12),
            "dead": lambda layer: layer.dead_var_rows,
            "saturated": lambda layer: layer.saturated_fraction,
        }.items():
            means = [float(np.mean([value_of(layer) for layer in of])) for of in layers]
            curves[f"{network}_{name}"] = steps, np.array(means)
    return curves
