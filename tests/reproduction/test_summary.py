import numpy as np
import torch

from pix2pix_ilm.data.palette import FACADES_COLORS
from pix2pix_ilm.reproduction.summary import (
    Appearance,
    RunSummary,
    StudySummary,
    contact_sheet,
    flat_regions,
    to_markdown,
)


def appearance(saturation):
    artifacts = {"facade": (1.0, 2.0, 3.0, 4.04), "background": (None,) * 4}
    return Appearance(
        frechet=10.0, kernel=0.5, saturation=saturation, contrast=0.2, artifacts=artifacts
    )


def run(title, seed, rmse):
    return RunSummary(
        configuration=title,
        flags="",
        seed=seed,
        step=8,
        metrics={"rmse_rgb": rmse, "lpips": 0.4, "ssim": 0.25, "haarpsi": 0.3},
        appearance=appearance(0.1 * (seed + 1)),
        painted_artifacts={},
    )


def test_the_table_has_means_and_deviations_over_seeds():
    runs = [run("a", 0, 90.0), run("b", 0, 80.0), run("a", 1, 92.0)]
    table = to_markdown(StudySummary(protocol={}, photos=appearance(0.3), runs=runs))
    rows = [line.strip("| ").split(" | ") for line in table.splitlines()]
    of_a = next(row for row in rows if row[0] == "a")
    assert of_a[1:3] == ["2", "91.00 ± 1.41"]
    assert of_a[8] == "0.150 ± 0.071"
    assert of_a[10:] == ["1.0 / 2.0 / 3.0 / 4.0", "n/a / n/a / n/a / n/a"]
    assert next(row for row in rows if row[0] == "b")[1:3] == ["1", "80.00"]
    assert "| real photos |  |  |  |  |  |  |  | 0.300 | 0.200 |" in table
    assert [row[0] for row in rows[2:]] == ["real photos", "a", "b"]


def test_flat_regions_are_inside_their_class_by_four_pixels():
    label_map = np.full((64, 64, 3), FACADES_COLORS["background"], np.uint8)
    label_map[20:50, 10:60] = FACADES_COLORS["facade"]
    regions = flat_regions([label_map])
    expected = torch.zeros(1, 64, 64, dtype=torch.bool)
    expected[:, 24:46, 14:56] = True
    assert torch.equal(regions["facade"], expected)
    assert regions["background"][0, :16].all()
    assert not regions["background"][0, 16:54, 6:].any()


def test_a_contact_sheet_shows_every_image_in_its_place():
    images = {name: [np.full((32, 32, 3), 60 * i + 9 * j, np.uint8) for j in range(3)]
              for i, name in enumerate(("first", "a long name that wraps"))}  # fmt: skip
    sheet = np.asarray(contact_sheet(images))
    assert sheet.shape == (64, 150 + 96, 3)
    assert sheet[40, 150 + 70].tolist() == [78, 78, 78]
    assert sheet[:32, :150].min() < 30  # its title
