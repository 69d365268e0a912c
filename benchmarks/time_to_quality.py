"""Minutes of training until photos are as good as a threshold: four recipes, trained on 200 pairs.

    python benchmarks/time_to_quality.py --data data/facades --out checkpoints/time-to-quality

"plain" is the usual port's recipe (``plain_recipe.py``), "facades" and "best" are presets, and
"best, growing" trains at half the size before. All have the same width, a constant learning rate,
and LPIPS measured on the folder val after every epoch. Stop it at any time; the same command goes
on.

Steps of all recipes are timed in turns in one process at the end, and minutes are steps times that:
what else a machine had to do while one of them trained does not count.
"""

import json
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import train_step
import tyro
from plain_recipe import Recipe
from rich.console import Console
from rich.table import Table
from torch import nn

from pix2pix_ilm import metrics
from pix2pix_ilm.data.cache import PairedImages, load_pairs
from pix2pix_ilm.data.images import to_model_range, to_uint8
from pix2pix_ilm.data.pairs import find_pairs
from pix2pix_ilm.figures import COLORS, FAINT, new_figure, own_style, write_figure
from pix2pix_ilm.files import make_folder, write_atomically
from pix2pix_ilm.inference import evaluating
from pix2pix_ilm.reproduction.study import train_or_resume
from pix2pix_ilm.training.config import PRESETS, TrainConfig
from pix2pix_ilm.training.logging import read_losses
from pix2pix_ilm.training.run_folder import METRICS

Course = list[tuple[float, float]]
"""Images trained on, and LPIPS on val."""
TRAIN = "train[:200]"
BATCH = 10


@dataclass(frozen=True, kw_only=True)
class Options:
    """Measure how long training takes until photos are good, by recipe."""

    data: Path = Path("data/facades")
    """Side-by-side pairs with train and val."""
    out: Path = Path("checkpoints/time-to-quality")
    """Folder for the trainings, the table and the plot."""
    only: tuple[str, ...] = ("plain", "facades", "best", "best, growing")
    """Recipes to go on with; the table has what is there of all."""
    thresholds: tuple[float, ...] = (0.50, 0.45, 0.441)
    """LPIPS; the last is that of the ILM Norm paper's IN / IN."""
    ngf: int = 32
    """Width of both networks' first layers."""
    image_size: int = 256
    plain_epochs: int = 100
    """Of "plain" and "facades"."""
    best_epochs: int = 20
    """Of "best"."""
    half_epochs: int = 12
    """Of "best, growing", at half the size."""
    whole_epochs: int = 10
    """Of "best, growing", at the whole size."""
    rounds: int = 7
    """Turns in which steps are timed."""


def main(options: Options) -> None:
    make_folder(options.out)
    trainings = configs(options)
    if "plain" in options.only:
        train_plain(options)
    for recipe, parts in trainings.items():
        if recipe in options.only:
            for config in parts:
                train_or_resume(config)
    courses = {"plain": read_plain(options.out)} | {
        recipe: read_course(parts[-1]) for recipe, parts in trainings.items()
    }
    courses = {recipe: course for recipe, course in courses.items() if course}
    seconds = step_seconds(options, trainings)
    half_steps = options.half_epochs * len(find_pairs(options.data, TRAIN))
    before = {"best, growing": half_steps * seconds["best at half the size"] / 60}
    minutes = {
        recipe: [
            (before.get(recipe, 0) + images * seconds[recipe] / 60, lpips)
            for images, lpips in course
        ]
        for recipe, course in courses.items()
    }
    # What the growing one saw at half the size took its time, too.
    courses = {
        recipe: [(images + half_steps * (recipe in before), lpips) for images, lpips in course]
        for recipe, course in courses.items()
    }
    found = {"seconds_per_step": seconds, "images": courses, "minutes": minutes}
    text = json.dumps(found, indent=1) + "\n"
    write_atomically(options.out / "time-to-quality.json", lambda file: file.write(text.encode()))
    draw(minutes, options)
    Console().print(table(minutes, courses, seconds, options))


def configs(options: Options) -> dict[str, list[TrainConfig]]:
    """Return the trainings of every recipe of ours, one after the other."""

    def make(preset: str, name: str, epochs: int, size: int = options.image_size) -> TrainConfig:
        _, config = PRESETS[preset]
        return replace(
            config,
            name=name,
            checkpoints=options.out,
            data=str(options.data),
            train_split=TRAIN,
            val_split="val",
            image_size=size,
            generator=replace(config.generator, ngf=options.ngf),
            discriminator=replace(config.discriminator, ndf=options.ngf),
            epochs=epochs,
            decay_epochs=0,
            validate_every=1,
            save_every=1,
            sample_every=epochs,
            tracker="none",
        )

    half = make("best", "best-half", options.half_epochs, options.image_size // 2)
    grown = make("best", "best-grown", options.whole_epochs)
    return {
        "facades": [make("facades", "facades", options.plain_epochs)],
        "best": [make("best", "best", options.best_epochs)],
        "best, growing": [half, replace(grown, init_from=str(options.out / "best-half"))],
    }


def read_course(config: TrainConfig) -> Course:
    """Read a training's LPIPS by images trained on."""
    rows = [row for _, row in read_losses(config.checkpoints / config.run_name / METRICS)]
    return [(row.step, row.val_lpips) for row in rows if row.val_lpips is not None]


def train_plain(options: Options) -> None:
    """Train the plain recipe, from where it was stopped; an epoch's LPIPS a line."""
    recipe = make_plain(options)
    state_file, course_file = options.out / "plain.pt", options.out / "plain.jsonl"
    course: Course = []
    parts: list[Any] = [recipe.generator, recipe.discriminator, *recipe.optimizers]
    if state_file.exists():
        states = torch.load(state_file, weights_only=True)
        for part, state in zip(parts, states["parts"], strict=True):
            part.load_state_dict(state)
        course = read_plain(options.out)[: states["epoch"]]  # lines may be newer than the save
    val = load_pairs(find_pairs(options.data, "val"), options.image_size, direction="BtoA")
    for epoch in range(len(course), options.plain_epochs):
        for _ in range(len(recipe.loader)):
            recipe.step()
        course.append((len(recipe.loader) * (epoch + 1), val_lpips(recipe.generator, val)))
        lines = "".join(json.dumps(point) + "\n" for point in course)
        state = {"epoch": epoch + 1, "parts": [part.state_dict() for part in parts]}
        write_atomically(course_file, lambda file, lines=lines: file.write(lines.encode()))
        write_atomically(state_file, lambda file, state=state: torch.save(state, file))
        Console().print(
            f"plain  epoch {epoch + 1}/{options.plain_epochs}  LPIPS {course[-1][1]:.3f}"
        )


def make_plain(options: Options) -> Recipe:
    """Make the plain recipe for the first 200 images, as they lie in a folder of links."""
    links = options.out / "plain-train"
    make_folder(links)
    for pair in find_pairs(options.data, TRAIN):
        link = links / pair.files[0].name
        if not link.is_symlink():
            link.symlink_to(pair.files[0].resolve())
    return Recipe(
        links,
        ngf=options.ngf,
        size=options.image_size,
        batch_size=1,
        norm="in",
        device=torch.device("cpu"),
        bf16=False,
        workers=1,
    )


@torch.inference_mode()
def val_lpips(generator: nn.Module, val: PairedImages) -> float:
    """Return the mean LPIPS of a network's photos of label maps in colors."""
    with evaluating(generator):
        photos = [to_uint8(generator(to_model_range(some))) for some in val.label_map.split(BATCH)]
    batches = zip(photos, val.photo.split(BATCH), strict=True)
    return torch.cat([metrics.lpips(*batch) for batch in batches]).double().mean().item()


def read_plain(folder: Path) -> Course:
    """Read the plain recipe's LPIPS by images trained on."""
    file = folder / "plain.jsonl"
    lines = file.read_text().splitlines() if file.exists() else []
    return [tuple(json.loads(line)) for line in lines]


def step_seconds(options: Options, trainings: dict[str, list[TrainConfig]]) -> dict[str, float]:
    """Measure a step of every recipe, in turns."""
    half, whole = trainings["best, growing"]
    steps: dict[str, Callable[[], Any]] = {"plain": make_plain(options).step}
    named = {
        "facades": trainings["facades"][0],
        "best": replace(whole, init_from=None),
        "best at half the size": half,
    }
    with tempfile.TemporaryDirectory() as cache:
        for name, config in named.items():
            steps[name] = train_step.make_training_step(config, options.data, Path(cache))
        turns: dict[str, list[float]] = {name: [] for name in steps}
        for _ in range(options.rounds):
            for name, step in steps.items():
                turns[name].append(train_step.time_turn(step, 3))
    medians = {name: statistics.median(of) for name, of in turns.items()}
    return medians | {"best, growing": medians["best"]}


def first_below(course: Course, threshold: float) -> float | None:
    """Return where a course is first at a threshold or below, or None."""
    return next((place for place, lpips in course if lpips <= threshold), None)


def table(
    minutes: dict[str, Course],
    images: dict[str, Course],
    seconds: dict[str, float],
    options: Options,
) -> Table:
    """Return minutes, and images, to every threshold."""
    shown = Table(title="minutes (images) until LPIPS on val")
    thresholds = [f"{value:g}" for value in options.thresholds]
    for column in ("recipe", "s a step", *thresholds, "least", "at the end"):
        shown.add_column(column, justify="left" if column == "recipe" else "right")
    for recipe, course in minutes.items():
        cells = []
        for threshold in options.thresholds:
            taken, seen = (first_below(of[recipe], threshold) for of in (minutes, images))
            cells.append("not reached" if taken is None else f"{taken:.0f} ({seen:.0f})")
        least = min(course, key=lambda point: point[1])
        cells += [f"{lpips:.3f} after {minute:.0f} min" for minute, lpips in (least, course[-1])]
        shown.add_row(recipe, f"{seconds[recipe]:.2f}", *cells)
    return shown


def draw(minutes: dict[str, Course], options: Options) -> None:
    """Write LPIPS over minutes as a picture."""
    with own_style():
        figure, (axes,) = new_figure(4.0)
        for (recipe, course), color in zip(minutes.items(), COLORS, strict=False):
            axes.plot(*zip(*course, strict=True), color=color, label=recipe)
        for threshold in options.thresholds:
            axes.axhline(threshold, color=FAINT, zorder=0)
        axes.set_xlabel("minutes of training")
        axes.set_ylabel("LPIPS on val")
        axes.legend(frameon=False)
    write_figure(figure, options.out / "time-to-quality.png")


if __name__ == "__main__":
    main(tyro.cli(Options))
