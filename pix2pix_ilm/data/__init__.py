"""Files of image pairs, and the batches drawn from them."""

from typing import Literal

Direction = Literal["AtoB", "BtoA"]
"""Side of the label maps and side of the photos: from A to B, or from B to A."""
