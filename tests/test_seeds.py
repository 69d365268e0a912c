import subprocess
import sys
from itertools import product

import pytest

from pix2pix_ilm.seeds import CONVOLUTION, INIT, ORDER, SAMPLE, STEP, derive_seed


@pytest.mark.parametrize(
    ("parts", "seed"),
    [
        ((0, INIT), 7896617691693857887),
        ((7, INIT), 8460147692890830636),
        ((0, ORDER, 0), 2918264622725855778),
        ((0, ORDER, 3), 5276725955892761082),
        ((7, ORDER, 199), 907493665424837962),
        ((0, STEP, 0, 0), 8597659618385908031),
        ((0, STEP, 0, 1), 6065617517247940904),
        ((7, STEP, 1, 80000), 3613868412311299875),
        ((2**40, STEP, 0, 5), 3264264366789117437),
    ],
)
def test_trainings_seeds_stay_for_ever(parts, seed):
    """Another value, and a run that was stopped under an earlier version would not go on as it
    would have."""
    assert derive_seed(*parts) == seed


def test_no_two_seeds_coincide_whatever_they_are_for():
    some = range(6)
    parts = [(seed, INIT) for seed in some]
    parts += [
        (seed, purpose, index) for seed, purpose, index in product(some, (ORDER, SAMPLE), some)
    ]
    parts += [
        (seed, purpose, *pair)
        for seed, purpose, *pair in product(some, (STEP, CONVOLUTION), some, some)
    ]
    assert len({derive_seed(*each) for each in parts}) == len(parts)


def test_no_two_seeds_of_trainings_are_equal():
    """Of any purpose: they take one, two or three numbers more than the training's own."""
    purposes = [
        (INIT,),
        *((ORDER, epoch) for epoch in range(50)),
        *((STEP, process, step) for process in range(4) for step in range(50)),
    ]
    seeds = {derive_seed(seed, *purpose) for seed in range(4) for purpose in purposes}
    assert len(seeds) == 4 * len(purposes)


def test_seeds_need_no_torch():
    program = "import sys, pix2pix_ilm.seeds; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)
