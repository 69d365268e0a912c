"""The command line: a module a command, which says what does what with which flags. No logic.

Every command imports what it needs when it runs, so that ``--help`` answers at once.
"""

import argparse
import sys
from collections.abc import Callable
from importlib.metadata import version

from pix2pix_ilm.cli import (
    data,
    demo,
    evaluate,
    export,
    import_weights,
    push,
    reproduce,
    train,
    translate,
)
from pix2pix_ilm.cli.flags import flag_of
from pix2pix_ilm.cli.process import ending_in_order, leave_process_group, tune_process
from pix2pix_ilm.errors import SettingError, UserError
from pix2pix_ilm.terminal import prepare_streams, say

COMMANDS: dict[str, Callable[[str, list[str]], None]] = {
    "train": train.run,
    "reproduce": reproduce.run,
    "evaluate": evaluate.run,
    "translate": translate.run,
    "demo": demo.run,
    "data": data.run,
    "import-weights": import_weights.run,
    "export": export.run,
    "push": push.run,
}
MISTAKE = 2
INTERRUPTED = 130  # as a shell reports Ctrl-C
HELP = {"-h", "--help", "--version"}  # whose reader may leave early, as head does


def main(arguments: list[str] | None = None) -> None:
    """Run the command that the arguments (by default the process's) name.

    Exits with 2 and one line for a person's mistakes, with 130 after Ctrl-C.
    """
    parser = argparse.ArgumentParser(
        prog="pix2pix-ilm",
        description="pix2pix with Instance-Level Meta Normalization: label maps to photos.",
        epilog="'pix2pix-ilm COMMAND --help' lists a command's flags.",
    )
    parser.add_argument("--version", action="version", version=version("pix2pix-ilm"))
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, command in COMMANDS.items():
        commands.add_parser(name, help=command.__doc__, add_help=False)
    given = sys.argv[1:] if arguments is None else arguments
    prepare_streams(announce=HELP.isdisjoint(given))
    chosen, rest = parser.parse_known_args(given)
    tune_process()
    try:
        with ending_in_order():
            COMMANDS[chosen.command](f"pix2pix-ilm {chosen.command}", rest)
        leave_process_group()
    except SettingError as error:
        say(f"error: {error.describe(flag_of(error.path))}")
        sys.exit(MISTAKE)
    except (UserError, OSError) as error:  # OSError: a full disk, a folder without permission
        say(f"error: {error}")
        sys.exit(MISTAKE)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
