"""``pix2pix-ilm export``: from a checkpoint to files for others."""

from dataclasses import dataclass
from pathlib import Path

import tyro
from tyro.conf import Positional

from pix2pix_ilm.cli.compatibility import name_export
from pix2pix_ilm.cli.flags import refuse_idle
from pix2pix_ilm.terminal import say


@dataclass(frozen=True, kw_only=True)
class Onnx:
    """Write the generator as one ONNX file, if it computes there what it does in PyTorch."""

    checkpoint: Positional[str]
    """The trained model: a folder such as checkpoints/NAME, a model of the package, or OWNER/NAME
    on the Hugging Face hub."""
    out: Path
    """The file, such as model.onnx."""
    size: int | None = None
    """Height and width of its images; unset: those of the training."""
    dynamic_size: bool = False
    """Leave height and width open, for any multiples of what the U-Net halves (256 for 256x256)."""
    float16: bool = False
    """Half the size, slightly different photos: convolutions in float16."""


@dataclass(frozen=True, kw_only=True)
class Folder:
    """Write the generator as a small folder to share: weights and a model card."""

    checkpoint: Positional[str]
    """The trained model: a folder such as checkpoints/NAME, a model of the package, or OWNER/NAME
    on the Hugging Face hub."""
    out: Path
    """The folder."""
    float16: bool = False
    """Half the size, slightly different photos: weights in float16."""
    noise: float | None = None
    """Strength of the random pattern of a generator that was trained with --generator.noise: less
    makes flat areas smoother; unset: that of its training."""
    data: str | None = None
    """Pairs to measure the model on, as of 'evaluate': its card then has the metrics."""
    split: str = "test"
    """With --data: split of it."""

    def __post_init__(self) -> None:
        refuse_idle(self, {"split": "data"})


@dataclass(frozen=True, kw_only=True)
class Page:
    """Write a page that needs no server: the networks run in the visitor's browser."""

    checkpoints: Positional[tuple[str, ...]]
    """The trained models, the first of which is chosen: folders such as checkpoints/NAME, models
    of the package, or OWNER/NAME on the Hugging Face hub."""
    out: Path
    """The folder, new or empty, for any web host."""
    runtime: Path | None = None
    """Folder with the files of onnxruntime-web's dist; unset: npm fetches them, once."""


def run(prog: str, arguments: list[str]) -> None:
    """Export trained models: as ONNX, as a small folder to share, or as a page."""
    options = tyro.cli(Onnx | Folder | Page, prog=prog, args=name_export(arguments))
    if isinstance(options, Folder):
        from pix2pix_ilm.hub import export_folder

        export_folder(**vars(options))
        say(f"Done: {options.out}")
        return
    if isinstance(options, Page):
        report_page(options)
        return
    from pix2pix_ilm.serving.onnx_export import export_onnx

    differences = export_onnx(**vars(options))
    say(
        f"Done: {options.out}; largest differences from PyTorch, of values in [-1, 1]: "
        f"{differences.random:.1e} (random label maps), {differences.drawn:.1e} (drawn ones)"
    )


def report_page(options: Page) -> None:
    """Write a page, and say how large it is and how to look at it."""
    from pix2pix_ilm.web.static_page import export_page

    page = export_page(**vars(options))
    for name, found in page.differences.items():
        largest = max(found.random, found.drawn)
        say(f"{name}: at most {largest:.1e} from PyTorch, of values in [-1, 1]")
    say(
        f"Done: {options.out}, {page.bytes / 1e6:.0f} MB; look at it with: "
        f"python -m http.server --directory {options.out}"
    )
