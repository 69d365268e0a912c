"""``python -m pix2pix_ilm`` is the same as ``pix2pix-ilm``."""

from pix2pix_ilm.cli import main

if __name__ == "__main__":
    main()
