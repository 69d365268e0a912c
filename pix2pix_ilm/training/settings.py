"""A training's settings: read from a file, and as plain values by name for those elsewhere."""

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from pix2pix_ilm.checkpoints import ModelConfig
from pix2pix_ilm.data.datasets import named_path
from pix2pix_ilm.files import is_folder, read_bytes, read_json
from pix2pix_ilm.training.config import TrainConfig
from pix2pix_ilm.training.run_folder import RUN, RunRecord

OTHERWISE_KNOWN = (
    "data", "direction", "generator", "image_size", "label_classes", "seed",
)  # fmt: skip
"""Settings that a generator's folder has elsewhere."""
WITHOUT_EFFECT = (
    "name", "checkpoints", "val_split", "device", "step_mode", "tracker", "log_every",
    "sample_every", "save_every", "validate_every", "diagnose_every", "keep_best", "keep_every",
    "keep_last", "num_samples",
)  # fmt: skip
"""Settings that change nothing of what is learned."""

DIGEST_SHOWN = 12  # characters
Plain = bool | int | float | str


def hyper_parameters(config: TrainConfig) -> dict[str, Plain]:
    """Return all settings by their flags' names, such as generator.ngf, in plain types."""

    def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
        flat: dict[str, Any] = {}
        for name, value in values.items():
            nested = isinstance(value, dict) and name != "label_classes"
            flat |= flatten(value, f"{prefix}{name}.") if nested else {prefix + name: value}
        return flat

    settings = flatten(asdict(config))
    settings["label_classes"] = config.label_classes.title if config.label_classes else "none"
    return {
        name: value if isinstance(value, Plain) else str(value) for name, value in settings.items()
    }


def describe_generator(config: TrainConfig, data_digest: str = "") -> ModelConfig:
    """Return what is written beside a training's generator, but for its step.

    Args:
        config: the training's, with the batch of all processes.
        data_digest: of the pairs that it is trained on.
    """
    return ModelConfig(
        generator=config.sized_generator,
        image_size=config.image_size,
        direction=config.direction,
        data=named_path(config.data),
        step=None,
        discriminator_norm=config.discriminator.norm,
        seed=config.seed,
        palette=config.label_classes,
        # facades that are drawn are the same everywhere, their files may not be
        recipe=recipe(config, "" if config.data == "synthetic" else data_digest),
    )


def recipe(config: TrainConfig, data_digest: str = "") -> dict[str, Plain]:
    """Return the settings that tell how a generator was trained, beside what else is known of it.

    Two trainings whose generators, data, seeds and recipes are equal learn the same.

    Args:
        config: the training's, with the batch of all processes.
        data_digest: of the pairs that it is trained on.
    """
    settings = hyper_parameters(config)
    settings["decay_epochs"] = config.falling_epochs
    if config.falling_epochs == 0:
        del settings["epochs"]  # the number of steps tells
    if config.init_from is not None:
        settings["init_from"] = name_in_run(Path(config.init_from))
    if data_digest:
        settings["data_digest"] = data_digest[:DIGEST_SHOWN]
    return {
        name: value
        for name, value in settings.items()
        if name.partition(".")[0] not in (*OTHERWISE_KNOWN, *WITHOUT_EFFECT)
    }


def name_in_run(checkpoint: Path) -> str:
    """Return NAME, NAME/best or NAME/epochs/0005, without the folders that the run lies in."""
    if checkpoint.parent.name == "epochs":
        return Path(*checkpoint.parts[-3:]).as_posix()
    return Path(*checkpoint.parts[-2 if checkpoint.name == "best" else -1 :]).as_posix()


def read_settings(path: Path) -> TrainConfig:
    """Read the settings of a new run from a file.

    Args:
        path: a run's folder or ``run.json``, of which all but the name is taken; or JSON of some
            settings, such as {"lr": 1e-4, "generator": {"norm": "in"}}.

    Raises:
        UserError: no such file, or settings that are none; names the file and the setting.
    """
    path = path / RUN if is_folder(path) else path
    try:
        content = json.loads(read_bytes(path))
    except ValueError:
        content = None  # which read_json refuses
    if isinstance(content, dict) and "config" in content:
        return replace(read_json(path, RunRecord).config, name=None)
    return read_json(path, TrainConfig)
