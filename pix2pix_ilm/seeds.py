"""Seeds that follow from what they are for, so that no state of a generator is ever saved."""

import numpy as np

INIT, ORDER, STEP, SAMPLE, CONVOLUTION = range(5)
"""Purposes of seeds: the networks' weights, the order of an epoch's pairs, all that is random in a
training step, the dropout masks of a sampled photo, the weights of one convolution."""


def derive_seed(seed: int, purpose: int, *indices: int) -> int:
    """Return the 63-bit seed of one purpose.

    Each purpose has its own number of indices, as ``SeedSequence`` takes (1, 2) and (1, 2, 0) for
    the same: INIT none, ORDER the epoch, STEP the process and the step, SAMPLE the sample's number,
    CONVOLUTION those of its network and of the layer.
    Seeds differ where any part does, for parts from 0 to below 2**32.

    Raises:
        ValueError: a negative part.
    """
    parts = (seed, purpose, *indices)
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> 1)
