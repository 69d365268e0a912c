"""Changes of convert_norms to torchvision's networks: a table in Markdown.

Weights are counted, not computed with: nothing is downloaded, and no memory is filled.

    python benchmarks/conversions.py
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn
from torchvision import models
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.models.detection.faster_rcnn import FastRCNNConvFCHead
from torchvision.models.optical_flow import raft_large, raft_small

from pix2pix_ilm.models.conversion import Conversion, convert_norms

group_norm = partial(nn.GroupNorm, 32)


@dataclass(frozen=True, kw_only=True)
class Network:
    """A network of torchvision, and how it is converted."""

    build: Callable[[], nn.Module]
    key_group_size: int = 16
    arguments: dict[str, Any]
    """Further arguments of convert_norms."""


def mask_rcnn() -> nn.Module:
    """Mask R-CNN, R-50-FPN, with GroupNorm in the backbone and in a 4conv1fc box head."""
    backbone = resnet_fpn_backbone(
        backbone_name="resnet50", weights=None, norm_layer=group_norm, trainable_layers=5
    )
    box_head = FastRCNNConvFCHead((256, 7, 7), [256] * 4, [1024], norm_layer=group_norm)
    return MaskRCNN(backbone, num_classes=91, box_head=box_head)


def resnet(depth: int, **arguments: Any) -> nn.Module:  # noqa: ANN401
    return models.get_model(f"resnet{depth}", weights=None, **arguments)


NETWORKS = {
    "ResNet-50, GroupNorm": Network(build=partial(resnet, 50, norm_layer=group_norm), arguments={}),
    "ResNet-50, BatchNorm": Network(build=partial(resnet, 50), arguments={"batch_norm": True}),
    "RAFT large, feature encoder": Network(
        build=partial(raft_large, weights=None), arguments={"select": "feature_encoder.*"}
    ),
    "RAFT small": Network(build=partial(raft_small, weights=None), key_group_size=8, arguments={}),
    "ConvNeXt-tiny": Network(build=partial(models.convnext_tiny, weights=None), arguments={}),
    "Mask R-CNN, box head": Network(build=mask_rcnn, arguments={"select": "roi_heads.box_head.*"}),
}


def main() -> None:
    print(row("network", "arguments", "K", "layers", "weights", "added", "percent"))
    print(row(*["---"] * 7))
    for name, network in NETWORKS.items():
        arguments = ", ".join(f"`{key}={value!r}`" for key, value in network.arguments.items())
        print(row(name, arguments, str(network.key_group_size), *figures(conversion_of(network))))


def row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def conversion_of(network: Network) -> Conversion:
    reports: list[Conversion] = []
    with torch.device("meta"):
        module = network.build()
    convert_norms(module, network.key_group_size, report=reports.append, **network.arguments)
    return reports[0]


def figures(conversion: Conversion) -> list[str]:
    return [
        str(len(conversion.changed)),
        f"{conversion.weights_before:,}",
        f"{conversion.weights_added:,}",
        f"{conversion.percent:.3f} %",
    ]


if __name__ == "__main__":
    main()
