"""Pictures of the documentation show what they are of."""

from pathlib import Path

from PIL import Image

from pix2pix_ilm.data.palette import PALETTE

IMAGES = Path(__file__).parents[1] / "docs" / "images"


def test_the_picture_of_the_page_shows_every_color_of_the_palette():
    """A picture reduced to 256 colors shows balconies and shutters in one."""
    with Image.open(IMAGES / "page.png") as page:
        assert page.mode == "RGB"
        colors = {color for _, color in page.getcolors(page.width * page.height)}
    assert set(PALETTE.values()) <= colors
