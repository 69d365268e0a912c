from pathlib import Path

import pytest
import torch
from accelerate.state import AcceleratorState, GradientState

from pix2pix_ilm.data.synthetic import synthesize


@pytest.fixture(autouse=True)
def _fixed_seed_and_one_thread():
    """On tensors this small, threads mostly wait for one another."""
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def _fresh_accelerator():
    """Let every test choose its own device and precision."""
    yield
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    """Keep the user's cache out of the tests, also in the processes that they start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIX2PIX_ILM_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def drawn_pairs(tmp_path_factory) -> Path:
    """A small data set: 16 training pairs and 2 each to validate and test, 32x32."""
    folder = tmp_path_factory.mktemp("drawn")
    synthesize(folder, 20, 32)
    return folder
