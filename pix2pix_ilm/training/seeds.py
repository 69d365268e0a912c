"""Seeds that follow from what they are for, so that no state of a generator is ever saved."""

import numpy as np

INIT, ORDER, STEP, DROPOUT = range(4)  # what a seed is for


def derive_seed(*parts: int) -> int:
    """A 63-bit seed that differs for every tuple of parts."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> 1)
