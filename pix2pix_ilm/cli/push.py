"""``pix2pix-ilm push``: a trained model for everyone, on the Hugging Face hub."""

from dataclasses import dataclass

import tyro
from tyro.conf import Positional

from pix2pix_ilm.cli.flags import refuse_idle
from pix2pix_ilm.terminal import say


@dataclass(frozen=True, kw_only=True)
class Push:
    """Upload a trained model to the Hugging Face hub: weights and a model card."""

    checkpoint: Positional[str]
    """The trained model: a folder such as checkpoints/NAME, or a model of the package."""
    repository: Positional[str]
    """OWNER/NAME on the hub; made if it is missing."""
    private: bool = False
    """Make it for its owner alone."""
    float16: bool = False
    """Half the size, slightly different photos: weights in float16."""
    data: str | None = None
    """Pairs to measure the model on, as of 'evaluate': its card then has the metrics."""
    split: str = "test"
    """With --data: split of it."""

    def __post_init__(self) -> None:
        refuse_idle(self, {"split": "data"})


def run(prog: str, arguments: list[str]) -> None:
    """Upload a trained model to the Hugging Face hub."""
    options = tyro.cli(Push, prog=prog, args=arguments)
    from pix2pix_ilm.hub import push

    say(f"Done: {push(**vars(options))}")
