"""``pix2pix-ilm export``: from a checkpoint to files for others."""

from dataclasses import dataclass
from pathlib import Path

import tyro
from tyro.conf import Positional

from pix2pix_ilm.errors import UserError
from pix2pix_ilm.terminal import say


@dataclass(frozen=True, kw_only=True)
class Export:
    """Write a trained generator for others: as ONNX, or as a small folder with a model card."""

    checkpoint: Positional[Path]
    """Folder of the trained model, such as checkpoints/NAME."""
    out: Path
    """An ONNX file, such as model.onnx; or, without .onnx, a folder for weights and card."""
    size: int | None = None
    """With ONNX: height and width of its images; unset: those of the training."""
    dynamic_size: bool = False
    """With ONNX: leave height and width open, for any multiples of what the U-Net halves (256 for
    256x256)."""
    float16: bool = False
    """Half the size, slightly different photos: weights in float16, and in ONNX convolutions."""

    def __post_init__(self) -> None:
        if not self.as_onnx and (self.size or self.dynamic_size):
            raise UserError(
                f"--size, --dynamic-size: for ONNX only; expected --out to end in .onnx, found "
                f"{self.out}"
            )

    @property
    def as_onnx(self) -> bool:
        return self.out.suffix.lower() == ".onnx"


def run(prog: str, arguments: list[str]) -> None:
    """Export a trained model: as ONNX, or as a small folder to share."""
    options = tyro.cli(Export, prog=prog, args=arguments)
    if not options.as_onnx:
        from pix2pix_ilm.hub import share

        share(options.checkpoint, options.out, float16=options.float16)
        say(f"Done: {options.out}")
        return
    from pix2pix_ilm.serving.export import export_onnx

    differences = export_onnx(**vars(options))
    say(
        f"Done: {options.out}; largest differences from PyTorch, of values in [-1, 1]: "
        f"{differences.random:.1e} (random label maps), {differences.drawn:.1e} (drawn ones)"
    )
