"""``pix2pix-ilm translate``: from label maps to photos."""

from dataclasses import dataclass
from pathlib import Path

import tyro
from tyro.conf import Positional

from pix2pix_ilm.devices import Backend, Device, pick_device
from pix2pix_ilm.errors import UserError
from pix2pix_ilm.terminal import say


@dataclass(frozen=True, kw_only=True)
class Translate:
    """Translate label maps into photos with a trained model."""

    inputs: Positional[tuple[Path, ...]]
    """Images, or folders of images."""
    checkpoint: str = "facades-ilm"
    """The trained model: a folder such as checkpoints/NAME, a model of the package, or OWNER/NAME
    on the Hugging Face hub."""
    out: Path = Path("outputs")
    """Folder for the photos: PNG files with the inputs' names."""
    side_by_side: bool = False
    """The inputs are pairs side by side: translate only the half that is the label map."""
    fast: bool = False
    """Compute in bfloat16, where the processor has instructions for it."""
    device: Device = "auto"
    """Device to compute on; auto: the fastest that is there."""
    backend: Backend = "auto"
    """Program that computes: PyTorch, or ONNX Runtime, for which 'export onnx' must have written
    model.onnx into the checkpoint's folder; auto: that one on a CPU, if it is there."""

    def __post_init__(self) -> None:
        if not self.inputs:
            raise UserError(
                "translate: expected label maps, or folders of them, found none; "
                "see 'pix2pix-ilm translate --help'"
            )


def run(prog: str, arguments: list[str]) -> None:
    """Translate images with a trained model."""
    options = tyro.cli(Translate, prog=prog, args=arguments)
    from pix2pix_ilm.inference import fast_dtype
    from pix2pix_ilm.serving.files import translate_files

    if options.fast and fast_dtype(pick_device(options.device)) is None:
        say("--fast: this processor has no bfloat16 instructions; translating in float32")
    translate_files(**vars(options))
    say(f"Done: {options.out}")
