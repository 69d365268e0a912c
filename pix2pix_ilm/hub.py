"""Trained generators for others: folders to share, and repositories on the Hugging Face hub.

Both hold what a checkpoint's folder holds, and a model card.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import torch
from huggingface_hub import HfApi, ModelCard, PyTorchModelHubMixin
from huggingface_hub.errors import HFValidationError
from PIL import Image
from torch import Tensor

from pix2pix_ilm.checkpoints import (
    DISCRIMINATOR,
    STATE,
    ModelConfig,
    discriminator_weights,
    is_checkpoint,
    load_generator,
    resolve_checkpoint,
    save_discriminator,
    save_generator,
)
from pix2pix_ilm.data.datasets import named_path
from pix2pix_ilm.errors import UserError
from pix2pix_ilm.evaluation.evaluate import evaluate_checkpoints, make_scorer
from pix2pix_ilm.evaluation.record import (
    METRICS_FILE,
    RecordedMetrics,
    read_metrics,
    record_metrics,
)
from pix2pix_ilm.evaluation.scores import Sampling
from pix2pix_ilm.files import (
    is_folder,
    making_folder,
    read_bytes,
    temporary_folder,
    write_json,
)
from pix2pix_ilm.model_card import (
    CARD_FILE,
    CARD_MARK,
    LIBRARY,
    PICTURE,
    can_draw_label_maps,
    model_card,
    picture,
)
from pix2pix_ilm.models.generator import GeneratorConfig, UNetGenerator


class PretrainedGenerator(UNetGenerator, PyTorchModelHubMixin):
    """A trained generator with ``from_pretrained``, ``save_pretrained`` and ``push_to_hub``.

    Examples:
        >>> generator = PretrainedGenerator.from_pretrained("checkpoints/NAME")  # or "OWNER/NAME"
        >>> generator.push_to_hub("OWNER/NAME")

    Attributes:
        model_config: what it was trained for; None for weights that were never trained.
        record: its metrics, if they were recorded.
    """

    model_config: ModelConfig | None = None
    record: RecordedMetrics | None = None

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__(config)

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | Path, **options: Any
    ) -> "PretrainedGenerator":
        """Load a trained generator, in evaluation mode.

        Args:
            pretrained_model_name_or_path: a checkpoint, as of ``resolve_checkpoint``.
            **options: ``revision``: branch, tag or commit on the hub; ``map_location``: device.

        Raises:
            UserError: not a checkpoint, or weights that do not fit.
        """
        revision = options.pop("revision", None)
        folder = resolve_checkpoint(pretrained_model_name_or_path, revision)
        return super().from_pretrained(str(folder), **options)

    @classmethod
    def _from_pretrained(
        cls, *, model_id: str, map_location: str = "cpu", **_: Any
    ) -> "PretrainedGenerator":
        folder = Path(model_id)
        generator, model_config = load_generator(folder)
        loaded = cls(model_config.generator)
        loaded.load_state_dict(generator.state_dict())
        loaded.model_config = model_config
        loaded.record = without_paths(read_metrics(folder, model_config.step))
        return loaded.to(map_location).eval()

    def _save_pretrained(self, save_directory: Path) -> None:
        self.write(save_directory, torch.float32)

    def write(self, save_directory: Path, dtype: torch.dtype) -> None:
        """Write weights (in a floating-point type), configuration, metrics and picture."""
        model_config = self.trained()
        save_generator(save_directory, converted(self.state_dict(), dtype), model_config)
        if self.record:
            write_json(save_directory / METRICS_FILE, self.record)
        if can_draw_label_maps(model_config):
            Image.fromarray(picture(self, model_config)).save(save_directory / PICTURE)

    def generate_model_card(self, *_: Any, **__: Any) -> ModelCard:
        """Return the card: what the generator is, how good it is, and whom to cite."""
        return model_card(self.trained(), self.record)

    def set_noise(self, noise: float) -> None:
        """Change the strength of the random pattern; metrics of the photos before are dropped."""
        before = self.config.noise
        super().set_noise(noise)
        if noise != before:
            self.record = None

    def trained(self) -> ModelConfig:
        """Return what is told of the generator, as it is now; ValueError for fresh weights."""
        if self.model_config is None:
            raise ValueError(
                "model_config: expected what the generator was trained for, found None"
            )
        trained = self.model_config
        return replace(trained, generator=self.config, data=trained.data_name)


def export_folder(
    checkpoint: str | Path,
    out: Path,
    *,
    float16: bool = False,
    noise: float | None = None,
    data: str | None = None,
    split: str = "test",
) -> None:
    """Write a trained model as a folder to share: no training state, no paths, a model card.

    The card has the metrics that were recorded, or those of these very weights, measured now. What
    an earlier export has left in the folder is replaced.

    Args:
        checkpoint: the trained model, as of ``resolve_checkpoint``.
        out: new or empty folder, or one of an earlier export, for config.json, model.safetensors,
            README.md and, for facades, a picture; with discriminator.safetensors, to train on with,
            if the checkpoint has one.
        float16: store the weights in half precision; everybody computes with them in float32.
        noise: strength of the generator's random pattern, as of its configuration; unset: that of
            its training.
        data: pairs to measure what was written on, for the card and metrics.json; unset: none.
        split: of the data.

    Raises:
        UserError: no checkpoint, weights that float16 cannot hold, noise for a generator without,
            no such data, or a folder that cannot be written, or is not empty and no earlier export;
            what is there is then intact.
    """
    check_replaceable(out)
    generator = PretrainedGenerator.from_pretrained(checkpoint)
    if noise is not None:
        generator.set_noise(noise)
    dtype = torch.float16 if float16 else torch.float32
    weights = converted(generator.state_dict(), dtype)
    discriminator = converted(discriminator_weights(resolve_checkpoint(checkpoint)), dtype)
    beside = {f"discriminator: {name}": weight for name, weight in discriminator.items()}
    for name, weight in (weights | beside).items():
        if not weight.isfinite().all():
            raise UserError(f"{name}: has weights that float16 cannot hold; export it as float32")
    generator.load_state_dict(weights)  # what the picture shows is what is written
    with replacing_files(out) as folder:
        generator.write(folder, dtype)
        if discriminator:
            save_discriminator(folder, discriminator)
        if data is not None:
            scorer = make_scorer(Sampling(), "alex", "auto", batch_size=8)
            record_metrics(evaluate_checkpoints([folder], data, split, scorer))
            generator.record = without_paths(read_metrics(folder, generator.trained().step))
            write_json(folder / METRICS_FILE, generator.record)
        generator.generate_model_card().save(folder / CARD_FILE)


def without_paths(record: RecordedMetrics | None) -> RecordedMetrics | None:
    """Return metrics that call their data by its name, without where it lies."""
    if record is None or "data" not in record.protocol:
        return record
    name = Path(named_path(str(record.protocol["data"]))).name
    return replace(record, protocol=record.protocol | {"data": name})


def check_replaceable(folder: Path) -> None:
    """Refuse a run's folder, and one that has something in it but no export with its card."""
    if (folder / STATE).exists():
        raise UserError(f"{folder}: is the folder of a training run; choose another one")
    card = folder / CARD_FILE
    if is_checkpoint(folder) and card.is_file() and CARD_MARK in read_bytes(card).splitlines():
        return
    if is_folder(folder) and any(not path.name.startswith(".") for path in folder.iterdir()):
        raise UserError(f"{folder}: has other files than an earlier export; choose a new folder")


@contextmanager
def replacing_files(out: Path) -> Iterator[Path]:
    """Give a folder to fill, whose files come into ``out`` when the block ends well.

    They replace those of an earlier export, which is whole until then. Files that no export writes
    stay.

    Raises:
        UserError: a file cannot be written.
    """
    with making_folder(out), temporary_folder(out / CARD_FILE) as place:
        try:
            yield Path(place)
            written = {file.name for file in Path(place).iterdir()}
            for name in written:
                with Path(place, name).open("rb") as file:
                    os.fsync(file.fileno())
            for name in written:
                Path(place, name).replace(out / name)
            for name in {DISCRIMINATOR, METRICS_FILE, PICTURE} - written:
                (out / name).unlink(missing_ok=True)
        except UserError as error:
            raise UserError(str(error).replace(place, str(out))) from None
        except OSError as error:
            raise UserError(f"{out}: cannot be written ({error.strerror or error})") from None


def push(
    checkpoint: str | Path,
    repository: str,
    *,
    private: bool = False,
    float16: bool = False,
    data: str | None = None,
    split: str = "test",
) -> str:
    """Upload what ``export_folder`` writes to the Hugging Face hub; returns its address.

    Args:
        checkpoint: the trained model, as of ``resolve_checkpoint``.
        repository: OWNER/NAME, made if it is missing.
        private: make it for its owner alone.
        float16: as of ``export_folder``.
        data: likewise.
        split: likewise.

    Raises:
        UserError: as of ``export_folder``, or the hub does not take it.
    """
    api = HfApi(library_name=LIBRARY)
    with TemporaryDirectory() as folder:
        export_folder(checkpoint, Path(folder), float16=float16, data=data, split=split)
        try:
            address = api.create_repo(repository, private=private, exist_ok=True)
            message = "Upload a pix2pix generator"
            api.upload_folder(repo_id=repository, folder_path=folder, commit_message=message)
        except (OSError, HFValidationError, httpx.HTTPError) as error:
            reason = str(error).strip().splitlines()[0]
            raise UserError(
                f"{repository}: cannot be written on the Hugging Face hub ({reason}); expected "
                "OWNER/NAME, and a login that may write there ('hf auth login', or HF_TOKEN)"
            ) from None
    return str(address)


def converted(weights: dict[str, Tensor], dtype: torch.dtype) -> dict[str, Tensor]:
    """Return weights in another floating-point type; counters as they are."""
    return {
        name: weight.to(dtype) if weight.is_floating_point() else weight
        for name, weight in weights.items()
    }
