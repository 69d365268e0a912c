"""The command line of version 0.1, in today's words."""

import argparse
from collections.abc import Iterable

RENAMED = {"--accelerate-step": "--step-mode", "--accelerate_step": "--step-mode"}
EXPORTS = {"onnx", "folder", "page", "-h", "--help"}  # what export's arguments begin with


def rename_flags(arguments: Iterable[str]) -> list[str]:
    """Return arguments in which flags that were renamed have today's names."""
    parts = (argument.partition("=") for argument in arguments)
    return [f"{RENAMED.get(flag, flag)}{equals}{value}" for flag, equals, value in parts]


def name_export(arguments: list[str]) -> list[str]:
    """Return export's arguments that begin with what to write: ONNX if --out ends in .onnx."""
    if not arguments or arguments[0] in EXPORTS:
        return arguments
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--out", nargs="?", const="", default="")
    given, _ = parser.parse_known_args(arguments)
    return ["onnx" if given.out.lower().endswith(".onnx") else "folder", *arguments]
