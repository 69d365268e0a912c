"""pix2pix with Instance-Level Meta Normalization: label maps to photos."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pix2pix_ilm.hub import PretrainedGenerator
    from pix2pix_ilm.models.conversion import convert_norms
    from pix2pix_ilm.models.norms import ILMNorm2d
    from pix2pix_ilm.serving.translator import Translator

__all__ = ["ILMNorm2d", "PretrainedGenerator", "Translator", "convert_norms"]

_HOMES = {
    "ILMNorm2d": "pix2pix_ilm.models.norms",
    "PretrainedGenerator": "pix2pix_ilm.hub",
    "Translator": "pix2pix_ilm.serving.translator",
    "convert_norms": "pix2pix_ilm.models.conversion",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is asked for: the command line starts without torch."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
