"""A trained generator as a folder: configuration and weights, named, read and written.

config.json           the generator's configuration, and what it was trained for
model.safetensors     its weights
metrics.json          its metrics, where they were recorded
discriminator.safetensors   weights to train on with, where it is no run
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PureWindowsPath

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as to_safetensors
from torch import Tensor

from pix2pix_ilm.data import Direction
from pix2pix_ilm.data.datasets import FACADES_DATA
from pix2pix_ilm.data.images import Channels
from pix2pix_ilm.data.palette import Palette
from pix2pix_ilm.errors import SettingError, UserError, shorten
from pix2pix_ilm.files import is_folder, read_json, write_atomically, write_json
from pix2pix_ilm.models.generator import GeneratorConfig, UNetGenerator
from pix2pix_ilm.models.norms import NormName

MODEL_CONFIG, WEIGHTS, METRICS_FILE = "config.json", "model.safetensors", "metrics.json"
DISCRIMINATOR, STATE = "discriminator.safetensors", "training_state.pt"
SHIPPED_MODELS = ("facades-ilm", "facades-in")
"""Names of the trained models that come with the package, the default one first."""
PACKAGED = Path(__file__).parent / "shipped"  # where a wheel has them
CLONED = Path(__file__).parents[1] / "checkpoints"  # and a clone
LARGEST_IMAGE = 1024  # pixels a side that a generator may have been trained on


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Content of ``config.json``: what a trained generator is, and was trained for."""

    generator: GeneratorConfig
    image_size: int
    """Height and width of the images it was trained on."""
    direction: Direction
    """BtoA: the right half of a side-by-side image is the input; AtoB: the left one."""
    data: str
    """Data set that it was trained on."""
    step: int | None
    """Training steps behind the weights; None if they came from elsewhere."""
    discriminator_norm: NormName | None = None
    """Normalization of the discriminator that it was trained against."""
    seed: int | None = None
    """Seed of the training."""
    palette: Palette | None = None
    """Classes of its label maps, which it takes one-hot; None: it takes their gray or color."""
    recipe: dict[str, bool | int | float | str] | None = None
    """Settings of its training, by their flags' names: those that seeds have in common, and that
    nothing else here tells. None: nobody knows them."""

    def __post_init__(self) -> None:
        channels = self.generator.in_channels
        fitting = (1, 3) if self.palette is None else (len(self.palette),)
        if channels not in fitting:
            expected = " or ".join(map(str, fitting))
            raise SettingError("generator.in_channels", expected, channels)
        multiple, most = self.generator.size_multiple, LARGEST_IMAGE
        if not 1 <= self.image_size <= most or self.image_size % multiple:
            expected = f"a multiple of {multiple} up to {most}"
            raise SettingError("image_size", expected, self.image_size)
        if self.step is not None and self.step < 0:
            raise SettingError("step", "at least 0", self.step)

    @property
    def data_name(self) -> str:
        """Return the name of its data, without where they lie on somebody's disk."""
        return PureWindowsPath(self.data).name or self.data  # it knows either kind of slash

    @property
    def reads_facades(self) -> bool:
        """Return True if it was trained on label maps of CMP Facades, by the name of its data."""
        return self.data_name in FACADES_DATA and self.direction == "BtoA"

    @property
    def label_channels(self) -> Channels:
        """Return what its label maps are read as."""
        return self.generator.in_channels if self.palette is None else self.palette


def save_generator(folder: Path, weights: Mapping[str, Tensor], config: ModelConfig) -> None:
    """Write weights and configuration into a folder; errors as in ``write_atomically``."""
    write_weights(folder / WEIGHTS, weights)
    write_json(folder / MODEL_CONFIG, config)


def save_discriminator(folder: Path, weights: Mapping[str, Tensor]) -> None:
    """Write a discriminator's weights into a checkpoint's folder."""
    write_weights(folder / DISCRIMINATOR, weights)


def write_weights(path: Path, weights: Mapping[str, Tensor]) -> None:
    """Write tensors as safetensors; errors as in ``write_atomically``."""
    serialized = to_safetensors({name: value.contiguous() for name, value in weights.items()})
    write_atomically(path, lambda file: file.write(serialized))


def read_model_config(checkpoint: str | Path) -> ModelConfig:
    """Read what a checkpoint says of its generator; arguments as of ``resolve_checkpoint``."""
    return read_json(resolve_checkpoint(checkpoint) / MODEL_CONFIG, ModelConfig)


def load_generator(checkpoint: str | Path) -> tuple[UNetGenerator, ModelConfig]:
    """Load a trained generator, in evaluation mode on the CPU, and what its folder says of it.

    Args:
        checkpoint: as of ``resolve_checkpoint``.

    Raises:
        UserError: not a checkpoint, or weights that are damaged or do not fit its configuration.
    """
    folder = resolve_checkpoint(checkpoint)
    config = read_model_config(folder)
    with torch.device("meta"):  # no memory before it is known to be needed
        generator = UNetGenerator(config.generator)
    try:
        weights = check_weights(load_file(folder / WEIGHTS), generator.state_dict())
        weights = {name: tensor.clone() for name, tensor in weights.items()}  # not of the file
        generator.load_state_dict(weights, assign=True)
    except (OSError, SafetensorError, RuntimeError, UserError) as error:
        *_, reason = str(error).strip().splitlines() or [type(error).__name__]
        raise UserError(f"{folder / WEIGHTS}: cannot be loaded ({reason.strip()})") from None
    return generator.eval(), config


def load_weights(generator: UNetGenerator, checkpoint: str | Path) -> ModelConfig:
    """Load a checkpoint's weights into a generator of the same architecture; return its config.

    Args:
        generator: on any device; its dropout and the strength of its noise may be others.
        checkpoint: as of ``resolve_checkpoint``.

    Raises:
        UserError: not a checkpoint, or of another architecture; names the setting that differs.
    """
    loaded, config = load_generator(checkpoint)
    if loaded.config.noise and generator.config.noise:
        loaded.set_noise(generator.config.noise)
    ours = generator.config.architecture
    for name, theirs in loaded.config.architecture.items():
        if theirs != ours[name]:
            raise SettingError(f"generator.{name}", f"{theirs}, as {checkpoint} has", ours[name])
    generator.load_state_dict(loaded.state_dict())
    return config


def find_shipped() -> dict[str, Path]:
    """Return the folders of the trained models that come with the package, by name."""
    home = PACKAGED if PACKAGED.is_dir() else CLONED
    return {name: home / name for name in SHIPPED_MODELS if is_checkpoint(home / name)}


def is_checkpoint(folder: Path) -> bool:
    """Return True if there is a folder with a generator's configuration."""
    return is_folder(folder) and (folder / MODEL_CONFIG).is_file()


def resolve_checkpoint(checkpoint: str | Path, revision: str | None = None) -> Path:
    """Find the folder of a checkpoint.

    Args:
        checkpoint: a folder; as a text, also a name in ``checkpoints/``, that of a model which
            comes with the package, or OWNER/NAME on the Hugging Face hub, with @REVISION after it
            if need be, from where it is downloaded once.
        revision: branch, tag or commit on the hub.

    Raises:
        UserError: there is no such checkpoint, or the hub cannot be reached.
    """
    name, folder = str(checkpoint), Path(checkpoint)
    if is_checkpoint(folder):
        return folder
    if isinstance(checkpoint, str):
        if is_checkpoint("checkpoints" / folder):
            return "checkpoints" / folder
        if shipped := find_shipped().get(name):
            return shipped
    if is_folder(folder):
        raise UserError(f"{name}: not a checkpoint (no {MODEL_CONFIG} in it)")
    owner, _, rest = name.partition("@")[0].partition("/")
    on_hub = isinstance(checkpoint, str) and owner and rest and "/" not in rest
    if not on_hub or is_folder(Path(owner)):
        raise UserError(
            f"{name}: no such checkpoint; expected a folder with {MODEL_CONFIG} in it, a name in "
            f"checkpoints/, {' or '.join(SHIPPED_MODELS)}, or OWNER/NAME on the Hugging Face hub"
        )
    return download_checkpoint(name, revision)


@cache
def download_checkpoint(name: str, revision: str | None) -> Path:
    """Return the local copy of OWNER/NAME[@REVISION] of the hub, which is asked once.

    Errors as in ``resolve_checkpoint``.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    repository, _, tag = name.partition("@")
    try:
        files = [MODEL_CONFIG, WEIGHTS, METRICS_FILE, DISCRIMINATOR]
        found = snapshot_download(repository, revision=tag or revision, allow_patterns=files)
    except (OSError, HFValidationError, LocalEntryNotFoundError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(
            f"{name}: no such folder, and no such repository to be had from the Hugging Face hub "
            f"({reason})"
        ) from None
    return resolve_checkpoint(Path(found))


def discriminator_weights(
    folder: Path, like: Mapping[str, Tensor] | None = None
) -> dict[str, Tensor]:
    """Return the weights of the discriminator beside a checkpoint's generator; none without one.

    Args:
        folder: a run's, or any checkpoint's.
        like: tensors whose types the weights get.

    Raises:
        UserError: the file is damaged; names it.
    """
    shared, state = folder / DISCRIMINATOR, folder / STATE
    path = next((path for path in (shared, state) if path.is_file()), None)
    if path is None:
        return {}
    try:
        saved = load_file(path) if path == shared else read_saved(path)
        if path == state and isinstance(saved, dict):
            saved = saved["discriminator"]
        return check_weights(saved, like or {})
    except KeyError:
        raise UserError(f"{path}: no discriminator in it") from None
    except (OSError, SafetensorError, UserError) as error:
        raise UserError(f"{path}: no discriminator can be read from it ({error})") from None


def read_saved(path: Path) -> object:
    """Return what ``torch.save`` wrote of tensors and plain values, on the CPU.

    Raises:
        UserError: anything else, such as a pickle of objects, whose code would have to run.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of TorchScript, which is refused all the same
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except OSError as error:
            raise UserError(f"cannot be read ({error.strerror})") from None
        except Exception:  # whatever a damaged file provokes
            raise UserError(
                "cannot be read (damaged, or more than plain weights, such as a whole module or "
                "TorchScript, which would have to run; save its state_dict())"
            ) from None


def check_weights(weights: object, like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return weights in the types of a network's own, after a look at every one.

    Args:
        weights: tensors by name; names that the network lacks are left to ``load_state_dict``.
        like: the network's own, e.g. on the meta device.

    Raises:
        UserError: names the first that is no tensor, of another kind of number, or not finite.
    """
    if not isinstance(weights, Mapping):
        raise UserError(f"expected tensors by name, found {type(weights).__name__}")
    checked: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        if not isinstance(tensor, Tensor):
            raise UserError(f"{shorten(name)}: expected a tensor, found {type(tensor).__name__}")
        if tensor.is_meta or tensor.layout != torch.strided:
            raise UserError(f"{name}: expected a dense tensor, found {tensor.layout}")
        wanted = like.get(name, tensor)
        whole = not tensor.is_floating_point()  # a counter may have become a fraction with others
        if tensor.is_complex() or (whole and wanted.is_floating_point()):
            raise UserError(f"{name}: expected {wanted.dtype}, found {tensor.dtype}")
        checked[name] = tensor.to(wanted.dtype)
        if not checked[name].isfinite().all():
            raise UserError(f"{name}: expected finite numbers, found infinite ones or NaN")
    return checked
