"""The trained models that a visitor can choose from."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock

from pix2pix_ilm.checkpoints import MODEL_CONFIG, WEIGHTS, ModelConfig, read_model_config
from pix2pix_ilm.devices import Device
from pix2pix_ilm.errors import UserError
from pix2pix_ilm.evaluation.record import RecordedMetrics, read_metrics
from pix2pix_ilm.evaluation.scores import configuration_label
from pix2pix_ilm.serving.translator import Translator
from pix2pix_ilm.web.uploads import shortened

PREFERRED = "facades-ilm"
LOADED = 4  # models kept in memory
SHOWN = {"rmse": "RMSE {:.1f}", "lpips": "LPIPS {:.3f}", "ssim": "SSIM {:.3f}"}


@dataclass(frozen=True, kw_only=True)
class Model:
    """One trained model, as the list shows it."""

    name: str
    folder: Path
    config: ModelConfig
    record: RecordedMetrics | None

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
        return self.look()[0]

    def look(self) -> tuple[dict[str, Model], dict[str, str]]:
        """Name -> model, the default one first; name of a broken one -> what is wrong with it."""
        found = sorted(self.folder.glob(f"*/{MODEL_CONFIG}"), key=time_written, reverse=True)
        folders = [file.parent for file in found]
        folders.sort(key=lambda folder: folder.name != PREFERRED)
        models, broken = dict[str, Model](), dict[str, str]()
        for folder in (*self.chosen, *folders):
            name = folder.resolve().name
            try:
                models.setdefault(name, read_model(folder))
            except (UserError, ValueError, OverflowError) as error:
                broken[name] = str(error)
        return models, {name: broken[name] for name in broken if name not in models}

    def get(self, name: str | None) -> Model:
        """The model of a name, or the default one; UserError, in words for a visitor."""
        models, broken = self.look()
        if name and name in models:
            return models[name]
        if name and name in broken:
            raise UserError(f"The model {shortened(name)!r} is broken; choose another one.")
        if not models:
            raise UserError("There is no trained model yet.")
        if not name:
            return next(iter(models.values()))
        raise UserError(
            f"There is no model {shortened(name)!r}; choose one of {', '.join(models)}."
        )

    def translator(self, model: Model) -> Translator:
        """The model, loaded; UserError, in words for a visitor."""
        try:
            return load(model.folder, (model.folder / WEIGHTS).stat().st_mtime_ns, self.device)
        except (UserError, OSError, ValueError, OverflowError):
            raise UserError(
                f"The model {shortened(model.name)!r} cannot be loaded; choose another one."
            ) from None


def time_written(file: Path) -> float:
    """When a file was written; 0 if it is not there (any more)."""
    try:
        return file.stat().st_mtime
    except OSError:
        return 0


def read_model(folder: Path) -> Model:
    """What stands in a checkpoint's folder; UserError if it is none (any more)."""
    config = read_model_config(folder)
    name = folder.resolve().name
    return Model(name=name, folder=folder, config=config, record=read_metrics(folder, config.step))


@lru_cache(LOADED)
def load(folder: Path, written: int, device: Device) -> Translator:  # noqa: ARG001
    """A translator, kept in memory until other weights are written into its folder."""
    return Translator.load(folder, device)
