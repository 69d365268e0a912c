"""The trained models that a visitor can choose from."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock

from pix2pix_ilm.checkpoints import (
    MODEL_CONFIG,
    SHIPPED_MODELS,
    WEIGHTS,
    ModelConfig,
    read_model_config,
    resolve_checkpoint,
)
from pix2pix_ilm.data.palette import FACADES_PALETTE, Palette
from pix2pix_ilm.devices import Device
from pix2pix_ilm.errors import UserError
from pix2pix_ilm.evaluation.record import RecordedMetrics, read_metrics
from pix2pix_ilm.evaluation.scores import configuration_title
from pix2pix_ilm.serving.onnx_runtime import ONNX_MODEL
from pix2pix_ilm.serving.translator import Translator
from pix2pix_ilm.web.error_handlers import shorten

MODELS_IN_MEMORY = 4
METRICS_IN_SUMMARY = {
    "rmse_rgb": "RMSE (RGB) {:.1f}",
    "lpips": "LPIPS {:.3f}",
    "ssim": "SSIM {:.3f}",
}


@dataclass(frozen=True, kw_only=True)
class Model:
    """A trained model, as the list shows it."""

    name: str
    folder: Path
    config: ModelConfig
    record: RecordedMetrics | None

    @property
    def painted_classes(self) -> Palette | None:
        """Return the classes that its label maps can be painted with; None: nobody knows them."""
        if self.config.palette is None and self.config.reads_facades:
            return FACADES_PALETTE
        return self.config.palette

    @property
    def norms(self) -> str:
        """Return the norms (generator / discriminator), or the one that both have."""
        return " / ".join(dict.fromkeys(configuration_title(self.config).split(" / ")))

    @property
    def title(self) -> str:
        """Return name and norms in a few words."""
        return f"{self.name}: {self.norms}"

    @property
    def summary(self) -> str:
        """Return norms, data, and metrics, if they were measured, in one line."""
        size = self.config.image_size
        parts = [self.norms, f"trained on {self.config.data_name} at {size}x{size}"]
        metrics = self.record.metrics if self.record else {}
        parts += [
            shown.format(metrics[name].mean)
            for name, shown in METRICS_IN_SUMMARY.items()
            if name in metrics
        ]
        return ", ".join(parts)


@dataclass(frozen=True, kw_only=True)
class Catalog:
    """The models that a scan has found."""

    models: dict[str, Model]
    """Name -> model, the default one first."""
    broken: dict[str, str]
    """Name of a model that cannot be used -> what is wrong with it."""

    @property
    def choices(self) -> list[tuple[str, str]]:
        """List titles, and the names behind them; broken ones come last."""
        usable = [(model.title, name) for name, model in self.models.items()]
        return usable + [(f"{name}: broken, cannot be used", name) for name in self.broken]


class ModelStore:
    """All models of a folder, and those named one by one.

    Args:
        folder: whose subfolders are checkpoints, which may be missing; None: there is none.
        chosen: further checkpoints, as of ``resolve_checkpoint``; they come first.
        device: where to compute.
        otherwise: folders of those to offer while there is no other.

    Attributes:
        catalog: what the last scan has found.
        inference_lock: held while a network runs: dropout is a switch in it.

    Raises:
        UserError: one of ``chosen`` is no checkpoint.
    """

    def __init__(
        self,
        folder: Path | None,
        chosen: Sequence[str] = (),
        device: Device = "auto",
        otherwise: Sequence[Path] = (),
    ) -> None:
        self.folder = folder
        self.chosen = list(
            zip(distinct_names(chosen), map(resolve_checkpoint, chosen), strict=True)
        )
        for _, checkpoint in self.chosen:
            read_model_config(checkpoint)
        self.otherwise = list(otherwise)
        self.device: Device = device
        self.inference_lock = Lock()
        self.catalog = self.scan()

    def scan(self) -> Catalog:
        """Look through the folder anew, so that a training that just ended is there."""
        found = list(self.folder.glob(f"*/{MODEL_CONFIG}")) if self.folder else []
        found.sort(key=time_written, reverse=True)
        folders = [file.parent for file in found]
        folders.sort(key=lambda folder: folder.name != SHIPPED_MODELS[0])
        named = [*self.chosen, *((self.name_of(folder), folder) for folder in folders)]
        models, broken = read_models(named)
        if not models:
            models, _ = read_models((folder.name, folder) for folder in self.otherwise)
        self.catalog = Catalog(models=models, broken=broken)
        return self.catalog

    def name_of(self, folder: Path) -> str:
        """Return a folder's name, with that of the one around it if a chosen model has the name."""
        other = dict(self.chosen).get(folder.name)
        place = folder.resolve()
        if other is None or other.resolve() == place:
            return folder.name
        return f"{place.parent.name}-{folder.name}"

    def get(self, name: str | None) -> Model:
        """Find a model, with a new scan only if the last one has not found it.

        Args:
            name: empty for the model that comes first in a new scan.

        Raises:
            UserError: no such model, or a broken one; the sentence is meant for the visitor.
        """
        if name and name in self.catalog.models:
            return self.catalog.models[name]
        catalog = self.scan()
        if name and name in catalog.models:
            return catalog.models[name]
        if name and name in catalog.broken:
            raise UserError(f"The model {shorten(name)!r} is broken; choose another one.")
        if not catalog.models:
            raise UserError("There is no trained model yet.")
        if not name:
            return next(iter(catalog.models.values()))
        raise UserError(
            f"There is no model {shorten(name)!r}; choose one of {', '.join(catalog.models)}."
        )

    def load(self, model: Model) -> Translator:
        """Load a model, or hand out the one in memory while its weights are the same.

        Raises:
            UserError: it cannot be loaded; the sentence is meant for the visitor.
        """
        try:
            written = (model.folder / WEIGHTS).stat().st_mtime_ns
            exported = time_written(model.folder / ONNX_MODEL)
            return load_translator(model.folder, (written, exported), self.device)
        except (UserError, OSError, ValueError, OverflowError):
            raise UserError(
                f"The model {shorten(model.name)!r} cannot be loaded; choose another one."
            ) from None


def time_written(file: Path) -> float:
    """Return when a file was written; 0 if it is not there (any more)."""
    try:
        return file.stat().st_mtime
    except OSError:
        return 0


def distinct_names(checkpoints: Sequence[str]) -> list[str]:
    """Name checkpoints by their folders, with as many of those around as it takes to tell them."""
    paths = [Path(name).resolve().parts for name in checkpoints]

    def end_of(path: tuple[str, ...]) -> tuple[str, ...]:
        others = set(paths) - {path}
        ends = (path[-length:] for length in range(1, len(path)))
        return next((end for end in ends if all(o[-len(end) :] != end for o in others)), path)

    return ["-".join(end_of(path)) for path in paths]


def read_models(
    folders: Iterable[tuple[str, Path]],
) -> tuple[dict[str, Model], dict[str, str]]:
    """Read checkpoints by name, the first of every name; and what is wrong with those unread."""
    models, broken = dict[str, Model](), dict[str, str]()
    for name, folder in folders:
        try:
            config = read_model_config(folder)
            record = read_metrics(folder, config.step)
            model = Model(name=name, folder=folder, config=config, record=record)
            models.setdefault(name, model)
        except (UserError, ValueError, OverflowError) as error:
            broken[name] = str(error)
    return models, {name: problem for name, problem in broken.items() if name not in models}


@lru_cache(MODELS_IN_MEMORY)
def load_translator(
    folder: Path,
    written: tuple[int, float],  # noqa: ARG001
    device: Device,
) -> Translator:
    """Load a translator, kept in memory until weights or an export are written into its folder."""
    return Translator.load(folder, device)
