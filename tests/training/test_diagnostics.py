import json

import pytest
import torch
from torch import nn

from pix2pix_ilm.training.diagnostics import (
    DIAGNOSTICS,
    TITLES,
    diagnosis_curves,
    gradient_ratio,
    read_diagnoses,
)
from pix2pix_ilm.training.losses import Objective


class Weighted(nn.Module):
    """Judges a pair by its photo alone, times a number."""

    def forward(self, _label_map, photo):
        return 3 * photo.mean(dim=1, keepdim=True)


@pytest.mark.parametrize("l1_weight", [1.0, 100.0])
@pytest.mark.usefixtures("without_float64")
def test_the_ratio_is_that_of_the_gradients_norms(l1_weight):
    images = torch.rand(3, 1, 3, 8, 8)
    objective = Objective(gan_loss="hinge", l1_weight=l1_weight)
    # Every value's gradient is -3 / count, and that of the mean of |x - y| is +-1 / count.
    assert gradient_ratio(Weighted(), *images, objective) == pytest.approx(3 / l1_weight)


def statistics(value):
    spread = {"over_images": value, "over_channels": 2.0, "constant_fraction": 0.0}
    return {
        "layer": "x", "omega": spread, "beta": spread, "dead_mean_rows": 0.0,
        "dead_var_rows": value / 10, "saturated_fraction": value / 100,
    }  # fmt: skip


def test_curves_are_means_over_layers(tmp_path):
    rows = [
        {"step": 10 * i, "epoch": i, "gradient_ratio": 0.1 * i, "generator": [],
         "discriminator": [statistics(1.0 * i), statistics(3.0 * i)]}
        for i in (1, 2)
    ]  # fmt: skip
    (tmp_path / DIAGNOSTICS).write_text(json.dumps({"diagnoses": rows}))
    curves = {name: (x.tolist(), y.tolist()) for name, (x, y) in diagnosis_curves(tmp_path).items()}
    assert curves.pop("gradient_ratio") == ([10, 20], pytest.approx([0.1, 0.2]))
    assert curves == {
        "discriminator_omega": ([10, 20], pytest.approx([1.0, 2.0])),
        "discriminator_dead": ([10, 20], pytest.approx([0.2, 0.4])),
        "discriminator_saturated": ([10, 20], pytest.approx([0.02, 0.04])),
    }
    assert set(curves) < set(TITLES)


def test_a_run_that_was_never_looked_at_has_no_diagnoses(tmp_path):
    assert read_diagnoses(tmp_path) == []
    assert diagnosis_curves(tmp_path) == {}
