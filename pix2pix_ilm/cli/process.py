"""The process of a command: how its threads wait, what it warns of, how it parts from others."""

import os
import sys
import warnings

SPINS = "2000"  # as fast as GNU OpenMP's default where nothing else runs (docs/performance.md)


def tune_process() -> None:
    """Have idle threads sleep soon, and Pillow keep its warnings; before PyTorch is loaded.

    Threads of GNU OpenMP, PyTorch's on Linux, else spin for milliseconds when they wait for work,
    which makes training many times slower once another program wants a core. What the environment
    says of them is left alone. Files that Pillow cannot read are errors.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
    warnings.filterwarnings("ignore", module=r"PIL\.")


def leave_process_group() -> None:
    """Part with torchrun's other processes, if there are any: left to its exit, one may abort."""
    distributed = sys.modules.get("torch.distributed")  # loaded where processes could meet
    if distributed and distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()
