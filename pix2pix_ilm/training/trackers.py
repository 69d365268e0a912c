"""A run in the trackers of experiments: its name, hyper-parameters and samples."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from accelerate import Accelerator
from jaxtyping import UInt8
from PIL import Image

from pix2pix_ilm.training.config import TrainConfig
from pix2pix_ilm.training.settings import hyper_parameters

PROJECT = "pix2pix-ilm"
SAMPLES = "samples"
NAMES = {
    "wandb": "name",
    "trackio": "name",
    "mlflow": "run_name",
    "swanlab": "experiment_name",
    "clearml": "task_name",
}
"""Tracker -> argument of its start that names the run; others have the run's name as project."""


def open_trackers(accelerator: Accelerator, folder: Path, config: TrainConfig, start: int) -> None:
    """Start the tracker that a run was configured with.

    Args:
        accelerator: of the training.
        folder: the run's; TensorBoard's files lie in it.
        config: whose values are the hyper-parameters.
        start: steps that were done before; TensorBoard forgets those after them.
    """
    tracker = config.tracker
    settings: dict[str, Any] = {}
    if tracker in NAMES:
        settings[NAMES[tracker]] = folder.name
    elif tracker == "tensorboard":
        settings["purge_step"] = start + 1
    elif tracker == "dvclive":
        settings["dir"] = str(folder / "dvclive")
    accelerator.project_configuration.logging_dir = str(folder)
    project = PROJECT if tracker in NAMES else folder.name
    accelerator.init_trackers(
        "tensorboard" if tracker == "tensorboard" else project, init_kwargs={tracker: settings}
    )
    for opened in accelerator.trackers if accelerator.is_main_process else ():
        log_settings(opened, hyper_parameters(config))


def log_settings(tracker: Any, settings: dict[str, bool | int | float | str]) -> None:
    """Hand hyper-parameters to a tracker."""
    if tracker.name != "tensorboard":
        tracker.store_init_configuration(settings)
        return
    # Accelerate's own way leaves a new folder beside the losses for every start.
    from torch.utils.tensorboard.summary import hparams

    for summary in hparams(settings, {}):
        tracker.tracker.file_writer.add_summary(summary)


def log_samples(accelerator: Accelerator, grid: UInt8[np.ndarray, "h w c"], step: int) -> None:
    """Hand a sample grid to the trackers, each of which takes images in a way of its own."""
    for tracker in accelerator.trackers:
        LOG_IMAGE[tracker.name](tracker, grid, step)


def log_to_trackio(tracker: Any, grid: np.ndarray, step: int) -> None:
    """Log an image to trackio."""
    import trackio  # pyright: ignore[reportMissingImports]  one of many, if it is there

    tracker.log({SAMPLES: trackio.Image(grid)}, step=step)


def log_to_mlflow(_: Any, grid: np.ndarray, step: int) -> None:
    """Log an image to MLflow."""
    import mlflow  # pyright: ignore[reportMissingImports]

    mlflow.log_image(grid, key=SAMPLES, step=step)


LOG_IMAGE: dict[str, Callable[[Any, np.ndarray, int], object]] = {
    "tensorboard": lambda tracker, grid, step: tracker.log_images(
        {SAMPLES: grid[None]}, step=step, dataformats="NHWC"
    ),
    "wandb": lambda tracker, grid, step: tracker.log_images({SAMPLES: [grid]}, step=step),
    "swanlab": lambda tracker, grid, step: tracker.log_images({SAMPLES: [grid]}, step=step),
    "aim": lambda tracker, grid, step: tracker.log_images(
        {SAMPLES: Image.fromarray(grid)}, step=step
    ),
    "clearml": lambda tracker, grid, step: tracker.log_images({SAMPLES: grid}, step=step),
    "trackio": log_to_trackio,
    "mlflow": log_to_mlflow,
    "comet_ml": lambda tracker, grid, step: tracker.tracker.log_image(
        grid, name=SAMPLES, step=step
    ),
    "dvclive": lambda tracker, grid, _: tracker.tracker.log_image(f"{SAMPLES}.png", grid),
}
"""Tracker -> how it takes an image (h, w, c) uint8 of a step."""
