"""Time to translate one label map: the network by itself against the Translator's ways, in one run.

The variants take turns; ratios of their shortest turns are what to read on a shared machine. With
one thread (OMP_NUM_THREADS=1), CPU time is measured, in which other programs do not count.

    python benchmarks/translate.py --ngf 64
"""

import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Any, Literal

import torch
import tyro
from rich.console import Console
from rich.table import Table

from pix2pix_ilm.devices import Device, pick_device
from pix2pix_ilm.inference import fast_dtype, infer
from pix2pix_ilm.models.generator import GeneratorConfig, UNetGenerator
from pix2pix_ilm.models.norms import NormName
from pix2pix_ilm.serving.onnx_export import to_onnx
from pix2pix_ilm.serving.onnx_runtime import exported_network, make_session


@dataclass(frozen=True, kw_only=True)
class Options:
    """Measure translating with random weights."""

    ngf: int = 64
    """Width of the generator's first layer."""
    image_size: Literal[64, 128, 256, 512] = 256
    batch_size: int = 1
    device: Device = "auto"
    norms: tuple[NormName, ...] = ("in", "ilm-in")
    onnx: bool = True
    """Also run the networks by ONNX Runtime, where it is installed, on a CPU."""
    rounds: int = 40
    """Turns of each variant."""


def main(options: Options) -> None:
    Console().print(table(measure(options)))


@torch.inference_mode()
def measure(options: Options) -> dict[str, Any]:
    """Milliseconds of every turn, and the largest difference from the plain photo."""
    device = pick_device(options.device)
    shape = (options.batch_size, 3, options.image_size, options.image_size)
    label_map = torch.rand(shape, device=device) * 2 - 1
    variants = {
        f"{norm} {name}": network
        for norm in options.norms
        for name, network in networks(options, norm, device).items()
    }
    photos = {name: network(label_map) for name, network in variants.items()}
    turns: dict[str, list[float]] = {name: [] for name in variants}
    for turn in range(options.rounds):
        for name in sorted(variants, reverse=turn % 2 == 1):  # nobody always comes second
            turns[name].append(milliseconds(variants[name], label_map))
    return {
        "title": f"translating, ngf {options.ngf}, {options.image_size}x{options.image_size}, "
        f"batch {options.batch_size}, {device.type}, {torch.get_num_threads()} threads",
        "batch_size": options.batch_size,
        "variants": {
            name: {
                "milliseconds": turns[name],
                "difference": (photos[name] - photos[plain_of(name)]).abs().max().item(),
                "against": plain_of(name),
            }
            for name in variants
        },
    }


def networks(
    options: Options, norm: NormName, device: torch.device
) -> dict[str, Callable[[torch.Tensor], torch.Tensor]]:
    """Return the network by itself, and as the Translator runs it."""
    torch.manual_seed(0)
    depth = options.image_size.bit_length() - 1
    generator = UNetGenerator(GeneratorConfig(ngf=options.ngf, depth=depth, norm=norm)).eval()
    generator.to(device)
    made = {"plain": generator, "Translator": partial(infer, generator)}
    if dtype := fast_dtype(device):
        made["Translator, fast"] = partial(infer, deepcopy(generator).to(dtype))
    if options.onnx and device.type == "cpu" and find_spec("onnxruntime"):
        model = to_onnx(
            generator, options.image_size, None, dynamic_size=False, float16=False
        ).SerializeToString()
        made["ONNX Runtime"] = exported_network(make_session(model))
    return made


def plain_of(name: str) -> str:
    return f"{name.split()[0]} plain"


def milliseconds(network: Callable[[torch.Tensor], torch.Tensor], label_map: torch.Tensor) -> float:
    """Time of one translation."""
    alone = label_map.device.type == "cpu" and torch.get_num_threads() == 1
    clock = time.process_time if alone else time.perf_counter
    start = clock()
    network(label_map)
    if label_map.is_cuda:
        torch.cuda.synchronize()
    return 1e3 * (clock() - start)


def table(found: dict[str, Any]) -> Table:
    """Shortest turns, and their ratio to the plain network's."""
    shown = Table(title=found["title"])
    columns = ("variant", "ms (shortest)", "images/s", "speed-up", "difference")
    for column in columns:
        shown.add_column(column, justify="left" if column == "variant" else "right")
    shortest = {name: min(variant["milliseconds"]) for name, variant in found["variants"].items()}
    for name, variant in found["variants"].items():
        shown.add_row(
            name,
            f"{shortest[name]:.1f}",
            f"{1e3 * found['batch_size'] / shortest[name]:.1f}",
            f"{shortest[variant['against']] / shortest[name]:.2f}",
            f"{variant['difference']:.1e}",
        )
    return shown


if __name__ == "__main__":
    main(tyro.cli(Options))
