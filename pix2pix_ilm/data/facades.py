"""CMP Facades, the data set of pix2pix: its classes, download and verification.

Source: Tylecek and Sara, "Spatial Pattern Templates for Recognition of Objects with Regular
Structure", GCPR 2013; the 606 side-by-side images (photo left, label map right) are those that
Isola et al. distribute with pix2pix.
"""

PALETTE: dict[str, tuple[int, int, int]] = {
    "background": (0, 0, 223),
    "facade": (0, 48, 255),
    "window": (0, 128, 255),
    "door": (0, 207, 255),
    "cornice": (32, 255, 223),
    "sill": (112, 255, 143),
    "balcony": (191, 255, 64),
    "blind": (255, 239, 0),
    "deco": (255, 159, 0),
    "molding": (255, 80, 0),
    "pillar": (255, 0, 0),
    "shop": (175, 0, 0),
}
"""The twelve classes and their RGB colours in flat regions of the label maps."""
