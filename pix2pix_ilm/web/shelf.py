"""The trained models that a visitor can choose from."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock

from pix2pix_ilm.devices import Device
from pix2pix_ilm.errors import UserError
from pix2pix_ilm.evaluation.record import Record, read_metrics
from pix2pix_ilm.evaluation.scores import configuration_label
from pix2pix_ilm.serving.translator import Translator
from pix2pix_ilm.training.runs import MODEL_CONFIG, WEIGHTS, ModelConfig, read_model_config

PREFERRED = "facades-ilm"
LOADED = 4  # models kept in memory
SHOWN = {"rmse": "RMSE {:.1f}", "lpips": "LPIPS {:.3f}", "ssim": "SSIM {:.3f}"}


@dataclass(frozen=True, kw_only=True)
class Model:
    """One trained model, as the list shows it."""

    name: str
    folder: Path
    config: ModelConfig
    record: Record | None

    @property
    def label(self) -> str:
        """Name, norms (generator / discriminator) and metrics in one line."""
        parts = [f"{self.name}: {configuration_label(self.config)}"]
        metrics = self.record.metrics if self.record else {}
        parts += [
            shown.format(metrics[name].mean) for name, shown in SHOWN.items() if name in metrics
        ]
        return ", ".join(parts)


class Shelf:
    """All models of a folder, and those named one by one.

    Args:
        folder: whose subfolders are looked through anew for every page, so that a training that
            just ended is there; it may be missing.
        chosen: further checkpoints, which come first.
        device: where to compute.

    Raises:
        UserError: one of ``chosen`` is no checkpoint.
    """

    def __init__(self, folder: Path, chosen: Sequence[Path] = (), device: Device = "auto") -> None:
        for checkpoint in chosen:
            read_model_config(checkpoint)
        self.folder = folder
        self.chosen = list(chosen)
        self.device: Device = device
        self.at_work = Lock()  # one translation at a time: dropout is a switch in the network

    def models(self) -> dict[str, Model]:
        """Name -> model, the default one first."""
        found = sorted(self.folder.glob(f"*/{MODEL_CONFIG}"), key=lambda file: file.stat().st_mtime)
        folders = [file.parent for file in reversed(found)]
        folders.sort(key=lambda folder: folder.name != PREFERRED)
        models: dict[str, Model] = {}
        for folder in (*self.chosen, *folders):
            model = read_model(folder)
            if model is not None:
                models.setdefault(model.name, model)
        return models

    def get(self, name: str | None) -> Model:
        """The model of a name, or the default one; UserError, in words for a visitor."""
        models = self.models()
        if not models:
            raise UserError("There is no trained model yet.")
        if not name:
            return next(iter(models.values()))
        if name not in models:
            raise UserError(f"There is no model {name!r}; choose one of {', '.join(models)}.")
        return models[name]

    def translator(self, model: Model) -> Translator:
        """The model, loaded; UserError, in words for a visitor."""
        try:
            return load(model.folder, (model.folder / WEIGHTS).stat().st_mtime_ns, self.device)
        except (UserError, OSError):
            raise UserError(
                f"The model {model.name!r} cannot be loaded; choose another one."
            ) from None


def read_model(folder: Path) -> Model | None:
    """What stands in a checkpoint's folder; None if it is none (any more)."""
    try:
        config = read_model_config(folder)
    except UserError:
        return None
    name = folder.resolve().name
    return Model(name=name, folder=folder, config=config, record=read_metrics(folder, config.step))


@lru_cache(LOADED)
def load(folder: Path, written: int, device: Device) -> Translator:  # noqa: ARG001
    """A translator, kept in memory until other weights are written into its folder."""
    return Translator.load(folder, device)
