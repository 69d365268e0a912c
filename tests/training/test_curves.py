import json

import numpy as np
import pytest

from pix2pix_ilm.training.curves import POINTS, draw_curves, read_curves, smoothed


def write_log(folder, count, **more):
    folder.mkdir()
    rows = [
        {"step": 10 * i, "epoch": 1, "discriminator": 0.5 / i, "adversarial": 1.0, "l1": 0.2,
         "learning_rate": 1e-4, "images_per_s": 9.0}
        | ({name: of * i for name, of in more.items()} if i % 4 == 0 else {})
        for i in range(1, count + 1)
    ]  # fmt: skip
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_what_was_logged_at_some_steps_has_their_values_alone(tmp_path):
    curves = read_curves(write_log(tmp_path / "run", 9, val_lpips=0.1))
    assert set(curves) == {"discriminator", "adversarial", "l1", "val_lpips"}
    steps, values = curves["val_lpips"]
    assert steps.tolist() == [40, 80]
    assert values.tolist() == pytest.approx([0.4, 0.8])
    assert len(curves["l1"][0]) == 9


def test_there_is_a_panel_for_all_that_any_training_logged(tmp_path):
    plain = read_curves(write_log(tmp_path / "plain", 9))
    measured = [
        read_curves(write_log(tmp_path / f"{i}", 9 + i, val_ssim=0.1 + 0.2 * i)) for i in range(2)
    ]
    figure = draw_curves({"plain": [plain], "measured": measured})
    lines = {axes.get_title(loc="left"): axes.lines for axes in figure.axes}
    assert len(lines) == 4
    assert len(lines["discriminator's loss"]) == 2 + 3  # each seed, and each mean
    assert len(lines["SSIM on val: higher is better"]) == 3
    mean = lines["SSIM on val: higher is better"][-1]
    assert mean.get_xydata().tolist() == [[40, pytest.approx(0.8)], [80, pytest.approx(1.6)]]


def test_lines_of_many_configurations_are_told_apart(tmp_path):
    curves = read_curves(write_log(tmp_path / "run", 9))
    names = [f"configuration {i}" for i in range(24)]
    figure = draw_curves({name: [curves] for name in names})
    means = figure.axes[0].lines[1::2]
    assert [line.get_label() for line in means] == names
    assert len({(line.get_color(), line.get_linestyle()) for line in means}) == 24
    [legend] = figure.legends  # above the panels, where it hides no line
    assert [text.get_text() for text in legend.get_texts()] == names


def test_long_curves_are_averaged():
    steps = np.arange(1.0, 6001)
    middles, means = smoothed(steps, steps * 2)
    assert len(middles) == POINTS
    assert means == pytest.approx(2 * middles)
    assert middles[0] == 50.5
