"""``python -m pix2pix_ilm`` is the same as ``pix2pix-ilm``."""

import sys


def run() -> None:
    """Run the command line; Ctrl-C while it is loaded ends the process without a traceback."""
    try:
        from pix2pix_ilm.cli import main

        main()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    run()
