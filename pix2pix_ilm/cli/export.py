"""``pix2pix-ilm export``: from a checkpoint to files for others."""

from dataclasses import dataclass
from pathlib import Path

import tyro
from tyro.conf import Positional

from pix2pix_ilm.cli.compatibility import name_export
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
    data: str | None = None
    """Pairs to measure the model on, as of 'evaluate': its card then has the metrics."""
    split: str = "test"
    """Split of the data."""


def run(prog: str, arguments: list[str]) -> None:
    """Export a trained model: as ONNX, or as a small folder to share."""
    options = tyro.cli(Onnx | Folder, prog=prog, args=name_export(arguments))
    if isinstance(options, Folder):
        from pix2pix_ilm.hub import export_folder

        export_folder(**vars(options))
        say(f"Done: {options.out}")
        return
    from pix2pix_ilm.serving.onnx_export import export_onnx

    differences = export_onnx(**vars(options))
    say(
        f"Done: {options.out}; largest differences from PyTorch, of values in [-1, 1]: "
        f"{differences.random:.1e} (random label maps), {differences.drawn:.1e} (drawn ones)"
    )
