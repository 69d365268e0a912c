"""One line per configuration: metrics, how near the photos are to real ones, and pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill

import numpy as np
import torch
from jaxtyping import Bool, UInt8
from PIL import Image, ImageDraw
from torch import Tensor

from pix2pix_ilm.data.images import as_array
from pix2pix_ilm.data.palette import FACADES_PALETTE
from pix2pix_ilm.evaluation.baselines import has_facades_colors
from pix2pix_ilm.evaluation.evaluate import Evaluation
from pix2pix_ilm.evaluation.report import nulled
from pix2pix_ilm.evaluation.scores import as_rgb
from pix2pix_ilm.evaluation.table_formats import escape_markdown
from pix2pix_ilm.evaluation.tables import format_number
from pix2pix_ilm.files import write_atomically, write_json
from pix2pix_ilm.metrics.appearance import contrast, erode, periodic_artifacts, saturation
from pix2pix_ilm.metrics.distribution import frechet_distance, kernel_distance, pooled_features
from pix2pix_ilm.reproduction.painted_maps import painted_maps
from pix2pix_ilm.reproduction.studies import Arm
from pix2pix_ilm.serving.translator import Translator

PERIODS = (2, 4, 8, 16)  # pixels
FLAT_CLASSES = ("facade", "background")
SHOWN = {"rmse_rgb": 2, "lpips": 3, "ssim": 3, "haarpsi": 3}
"""Metrics of the table, and their digits; the others are in ``summary.json``."""
TITLE_WIDTH, TITLE_CHARACTERS = 150, 20  # pixels, and as many characters of the default font
JPEG_QUALITY = 90

Images = Sequence[UInt8[np.ndarray, "_ _ 3"]]
Artifacts = dict[str, tuple[float | None, ...]]
"""Class -> amplitude in gray levels, in its flat regions, of a pattern that repeats every 2, 4, 8
and 16 pixels; None where no image has such regions. Empty without label maps of CMP Facades."""


@dataclass(frozen=True, kw_only=True)
class Appearance:
    """Properties of a set of photos, and their distances from the real ones."""

    frechet: float | None
    """Over pooled AlexNet features; None for the real photos themselves."""
    kernel: float | None
    saturation: float
    contrast: float
    artifacts: Artifacts


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """Measurements of one training."""

    configuration: str
    flags: str
    seed: int | None
    step: int | None
    metrics: dict[str, float]
    """Means over images."""
    appearance: Appearance
    painted_artifacts: Artifacts
    """In photos of painted label maps."""


@dataclass(frozen=True, kw_only=True)
class StudySummary:
    """Content of ``summary.json``."""

    protocol: dict[str, str | int | bool]
    photos: Appearance
    runs: list[RunSummary]


def write_summary(evaluation: Evaluation, runs: Mapping[Path, Arm], out: Path) -> None:
    """Write ``summary.json`` and ``summary.md``, and ``painted.jpg`` of painted label maps.

    Patterns in walls, and painted label maps, are for those in the colors of CMP Facades alone.

    Args:
        evaluation: of the runs.
        runs: folder -> its configuration.
        out: folder for the files.
    """
    targets = stack(evaluation.targets)
    features = pooled_features(targets)
    facades = has_facades_colors(stack(evaluation.label_maps))
    regions = flat_regions(evaluation.label_maps) if facades else {}
    painted = list(painted_maps(evaluation.targets[0].shape[0]).values()) if facades else []
    painted_regions = flat_regions(painted) if facades else {}
    summaries: list[RunSummary] = []
    rows: dict[str, Images] = {"label maps": painted}
    for scores in evaluation.scores:
        if scores.baseline:
            continue
        run = Path(scores.name)
        photos = stack(evaluation.outputs[scores.name])
        of_painted = translate(run, painted) if facades else []
        own = pooled_features(photos)
        distances = frechet_distance(own, features), kernel_distance(own, features)
        summaries.append(
            RunSummary(
                configuration=runs[run].title,
                flags=runs[run].flags,
                seed=scores.seed,
                step=scores.step,
                metrics={name: float(np.mean(of)) for name, of in scores.values.items()},
                appearance=appearance(photos, regions, *distances),
                painted_artifacts=artifacts(stack(of_painted), painted_regions) if facades else {},
            )
        )
        rows.setdefault(runs[run].title, of_painted)  # of the first seed
    summary = StudySummary(
        protocol=dict(evaluation.protocol), photos=appearance(targets, regions), runs=summaries
    )
    write_json(out / "summary.json", summary)
    write_atomically(out / "summary.md", lambda file: file.write(to_markdown(summary).encode()))
    if facades:
        picture = contact_sheet(rows)
        write_atomically(
            out / "painted.jpg", lambda file: picture.save(file, "JPEG", quality=JPEG_QUALITY)
        )


def stack(images: Images) -> UInt8[Tensor, "n h w 3"]:
    """Return images of one size as a tensor."""
    return torch.from_numpy(np.stack(images))


def translate(checkpoint: Path, label_maps: Images) -> Images:
    """Return a checkpoint's photos of colored label maps, as RGB."""
    translator = Translator.load(checkpoint)
    channels = 3 if translator.config.palette else translator.config.generator.in_channels
    photos = translator([as_array(Image.fromarray(one), channels) for one in label_maps])
    return list(as_rgb(stack(photos)).numpy())


def flat_regions(label_maps: Images) -> dict[str, Bool[Tensor, "n h w"]]:
    """Return where label maps show a wall, or background, and nothing else in the 9x9 around."""
    indices = torch.from_numpy(FACADES_PALETTE.nearest(np.stack(label_maps)))[..., 0]
    names = [one.name for one in FACADES_PALETTE.classes]
    return {name: erode(indices == names.index(name)) for name in FLAT_CLASSES}


def appearance(
    photos: UInt8[Tensor, "n h w 3"],
    regions: Mapping[str, Bool[Tensor, "n h w"]],
    frechet: float | None = None,
    kernel: float | None = None,
) -> Appearance:
    """Measure a set of photos."""
    return Appearance(
        frechet=frechet,
        kernel=kernel,
        saturation=saturation(photos).mean().item(),
        contrast=contrast(photos).mean().item(),
        artifacts=artifacts(photos, regions),
    )


def artifacts(
    photos: UInt8[Tensor, "n h w 3"], regions: Mapping[str, Bool[Tensor, "n h w"]]
) -> Artifacts:
    """Measure periodic artifacts in each class's regions."""
    measured = {
        name: [periodic_artifacts(photos, region, period) for period in PERIODS]
        for name, region in regions.items()
    }
    return {name: tuple(nulled(of)) for name, of in measured.items()}


def to_markdown(summary: StudySummary) -> str:
    """Write a row per configuration, in the study's order, beneath the photos' own."""
    periods = "/".join(map(str, PERIODS))
    head = [
        "configuration", "seeds", "RMSE (RGB) ↓", "LPIPS ↓", "SSIM ↑", "HaarPSI ↑", "Frechet ↓",
        "kernel ↓", "saturation", "contrast", f"walls {periods} px", f"painted walls {periods} px",
    ]  # fmt: skip
    photos = summary.photos
    looks = [
        f"{photos.saturation:.3f}",
        f"{photos.contrast:.3f}",
        join([photos.artifacts]),
    ]
    by_title: dict[str, list[RunSummary]] = {}
    for run in summary.runs:
        by_title.setdefault(run.configuration, []).append(run)
    rows = [head, ["---"] * len(head), ["real photos", *[""] * 7, *looks, ""]]
    rows += map(row_of, by_title.values())
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows) + "\n"


def row_of(runs: Sequence[RunSummary]) -> list[str]:
    """Write means over seeds, and their standard deviations where there are several."""

    def cell(values: Sequence[float | None], digits: int) -> str:
        known = np.array(values, np.float64)  # None becomes NaN
        spread = f" ± {known.std(ddof=1):.{digits}f}" if len(known) > 1 else ""
        return format_number(float(known.mean()), digits) + spread

    looks = [run.appearance for run in runs]
    return [
        escape_markdown(runs[0].configuration),
        str(len(runs)),
        *(cell([run.metrics[name] for run in runs], digits) for name, digits in SHOWN.items()),
        cell([of.frechet for of in looks], 1),
        cell([of.kernel for of in looks], 2),
        cell([of.saturation for of in looks], 3),
        cell([of.contrast for of in looks], 3),
        join([of.artifacts for of in looks]),
        join([run.painted_artifacts for run in runs]),
    ]


def join(found: Sequence[Artifacts]) -> str:
    """Write the mean over seeds of the amplitude in walls at each period."""
    amplitudes = [artifacts.get("facade", (None,) * len(PERIODS)) for artifacts in found]
    means = np.array(amplitudes, np.float64).mean(axis=0)  # None becomes NaN
    return " / ".join(format_number(float(mean), 1) for mean in means)


def contact_sheet(rows: Mapping[str, Images]) -> Image.Image:
    """Lay out images in rows, each with its title to the left."""
    height, width = next(iter(rows.values()))[0].shape[:2]
    count = max(map(len, rows.values()))
    sheet = Image.new("RGB", (TITLE_WIDTH + count * width, len(rows) * height), "white")
    draw = ImageDraw.Draw(sheet)
    for row, (title, images) in enumerate(rows.items()):
        draw.multiline_text((6, row * height + 6), fill(title, TITLE_CHARACTERS), fill="black")
        for column, image in enumerate(images):
            sheet.paste(Image.fromarray(image), (TITLE_WIDTH + column * width, row * height))
    return sheet
