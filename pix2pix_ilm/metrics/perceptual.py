"""Perceptual metrics of generated images against their targets, one number per image."""

import warnings
from functools import cache
from http.client import HTTPException
from pathlib import Path
from pickle import UnpicklingError
from typing import Literal, get_args

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from pix2pix_ilm.data.images import to_model_range
from pix2pix_ilm.errors import UserError
from pix2pix_ilm.metrics.image import Images, PerImage, check_images

LpipsNet = Literal["alex", "vgg", "squeeze"]

LPIPS_SMALLEST = 31  # pixels: AlexNet's layers leave nothing of anything smaller
HAARPSI_SMALLEST = 16  # pixels: its largest wavelet
LPIPS_CHUNK = 16  # images: keeps memory flat, whatever the batch
ALEXNET_FEATURES = Path(__file__).parent / "weights" / "alexnet_features.safetensors"
TORCHVISION_WEIGHTS = {
    "vgg": "VGG16_Weights.IMAGENET1K_V1",
    "squeeze": "SqueezeNet1_1_Weights.IMAGENET1K_V1",
}


def lpips(images: Images, targets: Images, net: LpipsNet = "alex") -> PerImage:
    """Return the learned perceptual distance, version 0.1: 0 (equal) to about 1, lower is better.

    Source: Zhang, Isola, Efros, Shechtman, Wang, "The Unreasonable Effectiveness of Deep Features
    as a Perceptual Metric", CVPR 2018, by its authors' package ``lpips``.

    Args:
        images: uint8 (B, H, W, 3), height and width at least 31 pixels.
        targets: likewise.
        net: network whose features are compared. The weights of "alex", the authors' choice for
            a metric, come with this package; those of the others are downloaded once.

    Raises:
        UserError: the weights of "vgg" or "squeeze" are not there and cannot be downloaded.
    """
    check_images(images, targets, LPIPS_SMALLEST)
    network = lpips_network(net, images.device)
    chunks = zip(images.split(LPIPS_CHUNK), targets.split(LPIPS_CHUNK), strict=True)
    with torch.no_grad():
        return torch.cat(
            [network(to_model_range(x), to_model_range(y)).flatten() for x, y in chunks]
        )


@cache
@torch.inference_mode(False)  # also where the first to ask is: gradients shall pass it later
def lpips_network(net: LpipsNet, device: torch.device) -> nn.Module:
    """Build the frozen LPIPS network, once per kind and device.

    Its linear layers come with the ``lpips`` package. The trunk is made with random weights, since
    the package would otherwise download it, and then filled with the pretrained ones.
    """
    from lpips import LPIPS

    if net not in get_args(LpipsNet):
        raise ValueError(f"net: expected one of {', '.join(get_args(LpipsNet))}, found {net!r}")
    weights = trunk_weights(net)
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        # lpips calls torchvision's models in a way that torchvision warns about.
        warnings.filterwarnings("ignore", category=UserWarning, module=r"torchvision\.models")
        network = LPIPS(net=net, pnet_rand=True, verbose=False)
    # slice2.3.weight of the trunk is features.3.weight of torchvision's network.
    named = {key: f"features.{key.split('.', 1)[1]}" for key in network.net.state_dict()}
    network.net.load_state_dict({key: weights[name] for key, name in named.items()})
    return network.eval().requires_grad_(False).to(device)


def trunk_weights(net: LpipsNet) -> dict[str, Tensor]:
    """Load pretrained weights under torchvision's names, at least those of ``features.*``."""
    if net == "alex":
        return load_file(ALEXNET_FEATURES)
    return download_weights(TORCHVISION_WEIGHTS[net])


def download_weights(name: str) -> dict[str, Tensor]:
    """Load torchvision's weights of this name, from torch hub's cache if they are there.

    Raises:
        UserError: naming the address, the reason, and the file that would make it work.
    """
    from torchvision.models import get_weight

    url = get_weight(name).url
    try:
        return torch.hub.load_state_dict_from_url(
            url, map_location="cpu", check_hash=True, weights_only=True
        )
    except (OSError, HTTPException, RuntimeError, EOFError, UnpicklingError) as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        file = Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[1]
        raise UserError(
            f"LPIPS needs the pretrained weights {url}, which cannot be loaded ({reason}); save "
            f"that file as {file}, or use the network alex, whose weights come with this program"
        ) from None


def haarpsi(images: Images, targets: Images) -> PerImage:
    """Return the Haar wavelet-based perceptual similarity: 0 to 1 (equal), higher is better.

    Source: Reisenhofer, Bosse, Kutyniok, Wiegand, "A Haar Wavelet-Based Perceptual Similarity Index
    for Image Quality Assessment", Signal Processing: Image Communication 2018; computed by ``piq``.
    No loss of this package is made of what it measures.
    """
    from piq import haarpsi as similarity

    check_images(images, targets, HAARPSI_SMALLEST)
    pair = (x.permute(0, 3, 1, 2).float() / 255 for x in (images, targets))
    return similarity(*pair, reduction="none")
