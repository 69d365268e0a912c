"""Flags of a command: how a setting is spelled, and which have an effect only beside another."""

from collections.abc import Mapping
from dataclasses import fields

from pix2pix_ilm.errors import UserError


def flag_of(path: str) -> str:
    """Return the flag of a setting: --norm-options.reduction for norm_options.reduction."""
    return f"--{path.replace('_', '-')}"


def refuse_idle(options: object, needed: Mapping[str, str]) -> None:
    """Raise UserError for a setting that was given without the one it belongs to.

    Args:
        options: of a command, a dataclass.
        needed: setting -> another that must be given, too.
    """
    defaults = {field.name: field.default for field in fields(options)}  # pyright: ignore[reportArgumentType]
    given = {name for name, default in defaults.items() if getattr(options, name) != default}
    for name, other in needed.items():
        if name in given and other not in given:
            flag = flag_of(other)
            raise UserError(f"{flag_of(name)}: has no effect without {flag}; add {flag}")
