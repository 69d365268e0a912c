"""``python app.py ...`` is ``pix2pix-ilm demo ...``."""

import sys

from pix2pix_ilm.cli import main

if __name__ == "__main__":
    main(["demo", *sys.argv[1:]])
