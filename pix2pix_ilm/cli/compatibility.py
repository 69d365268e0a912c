"""The command line of version 0.1, in today's words."""

from collections.abc import Iterable

RENAMED = {"--accelerate-step": "--step-mode", "--accelerate_step": "--step-mode"}


def rename_flags(arguments: Iterable[str]) -> list[str]:
    """Return arguments in which flags that were renamed have today's names."""
    parts = (argument.partition("=") for argument in arguments)
    return [f"{RENAMED.get(flag, flag)}{equals}{value}" for flag, equals, value in parts]
