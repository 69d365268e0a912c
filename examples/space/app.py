"""The page as a Hugging Face Space: it finds there under which names it is asked."""

from pix2pix_ilm.cli import main

if __name__ == "__main__":
    main(["demo"])
