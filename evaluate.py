"""``python evaluate.py ...`` is ``pix2pix-ilm evaluate ...``."""

import sys

from pix2pix_ilm.cli import main

if __name__ == "__main__":
    main(["evaluate", *sys.argv[1:]])
