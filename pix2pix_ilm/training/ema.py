"""A running average of the generator's weights, whose photos are steadier than the last step's.

Source: Yazici et al., "The Unusual Effectiveness of Averaging in GAN Training", ICLR 2019.
"""

from torch import Tensor, nn
from torch.optim.swa_utils import PARAM_LIST, AveragedModel, get_ema_multi_avg_fn


def average_weights(generator: nn.Module, decay: float) -> AveragedModel:
    """Return a copy of a generator, to be moved toward it after every step.

    The decay of step t is min(decay, (1 + t) / (10 + t)), so that the average soon forgets where
    training began. BatchNorm's running statistics are copied as they are.

    Args:
        generator: without what distributes or compiles it.
        decay: share of the old average that is kept, 0 to below 1.
    """

    def move(averaged: PARAM_LIST, current: PARAM_LIST, steps: Tensor | int) -> None:
        # The steps are counted on the CPU: to read them does not wait for the device.
        kept = min(decay, (1 + int(steps)) / (10 + int(steps)))
        get_ema_multi_avg_fn(kept)(averaged, current, steps)

    return AveragedModel(generator, multi_avg_fn=move).requires_grad_(False)
