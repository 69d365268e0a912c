"""The one list of hyper-parameters, which is also the command line's, and the presets."""

import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AliasChoices, Field
from tyro.constructors import PrimitiveConstructorSpec

from pix2pix_ilm.data import Direction
from pix2pix_ilm.data.augment import Augmentation
from pix2pix_ilm.data.images import Channels
from pix2pix_ilm.data.palette import FACADES_PALETTE, Palette, find_palette
from pix2pix_ilm.devices import Device
from pix2pix_ilm.errors import SettingError
from pix2pix_ilm.models.discriminator import DiscriminatorConfig
from pix2pix_ilm.models.generator import GeneratorConfig
from pix2pix_ilm.models.norms import NormOptions
from pix2pix_ilm.training.losses import GanLoss, Objective

IMAGE_SIZES = (32, 64, 128, 256, 512, 1024)
MOST_EPOCHS = 10**6
Precision = Literal["fp32", "tf32", "bf16"]
StepMode = Literal["auto", "eager", "compile", "graph"]
Tracker = Literal[
    "tensorboard", "wandb", "trackio", "mlflow", "aim", "clearml", "comet_ml", "dvclive", "swanlab",
    "none",
]  # fmt: skip
ValidationMetric = Literal["rmse_rgb", "ssim", "lpips"]
LabelClasses = Annotated[
    Palette | None,
    PrimitiveConstructorSpec(
        nargs=1,
        metavar="facades|cityscapes|FILE|none",
        instance_from_str=lambda given: find_palette(given[0]),
        is_instance=lambda value: value is None or isinstance(value, Palette),
        str_from_instance=lambda palette: ["none" if palette is None else palette.title],
    ),
]
"""A palette; on the command line, what ``find_palette`` takes. run.json holds its classes."""


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Hyper-parameters of a training run. The defaults are the recipe of pix2pix."""

    name: str | None = None
    """Name of the run's folder; unset: made of the data and both norms."""
    checkpoints: Path = Path("checkpoints")
    """Folder for the run's folder."""

    data: str = "facades"
    """Folder of image pairs; 'facades', 'maps' and 'cityscapes' lie in data/, 'synthetic' is drawn
    on the spot."""
    direction: Direction = "BtoA"
    """Direction to translate in: AtoB (left half or folder A into the other), or BtoA."""
    train_split: str = "train"
    """Split to train on, or a slice of one, such as train[:200]."""
    val_split: str | None = None
    """Split to draw samples from; unset: val, else test, else train."""

    init_from: str | None = None
    """Checkpoint whose weights to start from: a folder, a model of the package, or OWNER/NAME on
    the Hugging Face hub; unset: random ones. They are its generator's and, where it has one of the
    same kind, its discriminator's. For another image size than its own, give its depth, too."""

    image_size: int = 256
    """Height and width to train on: a power of two from 32 to 1024."""
    load_size: int | None = None
    """Size to resize to before cropping; unset: 286/256 of the image size."""
    flip: bool = True
    """Mirror every other pair."""
    zoom: float = 0.0
    """Share of the steps with smaller crops, of 4 to 7 eighths of the image size (and not too small
    for the discriminator, nor for the perceptual loss): label maps are enlarged, and photos judged
    at the crop's size, so that none is blurred. So the generator sees large walls with little on
    them."""
    label_classes: LabelClasses = None
    """Classes of the label maps, which both networks get one-hot: those of CMP Facades, Cityscapes,
    or a JSON file as 'pix2pix-ilm data palette' writes it; none: they get the colors."""

    generator: GeneratorConfig = field(default_factory=GeneratorConfig)
    discriminator: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)

    epochs: int = 200
    """Passes over the training pairs."""
    decay_epochs: int | None = None
    """Number of last epochs that lower the learning rate linearly to 0; unset: half."""
    batch_size: int = 1
    """Pairs per step, in each process."""
    lr: float = 2e-4
    """Adam's learning rate, of both networks."""
    beta1: float = 0.5
    """Adam's decay of the gradient's mean."""
    beta2: float = 0.999
    """Adam's decay of the gradient's square."""
    gan_loss: GanLoss = "bce"
    """Adversarial loss: bce (the original), least-squares, or hinge."""
    l1_weight: float = 100.0
    """Weight of the L1 term beside the adversarial one."""
    feature_matching: float = 0.0
    """Weight of the difference between photos in the discriminator's hidden layers (pix2pixHD)."""
    perceptual: float = 0.0
    """Weight of LPIPS (AlexNet) between the generator's photo and the true one."""
    augment_discriminator: tuple[Augmentation, ...] = ()
    """Random changes of the pairs that the discriminator sees, lest it learn few images by heart
    (DiffAugment): any of color, translation, cutout."""
    ema: float = 0.0
    """Decay of the generator's average over steps, which then makes the photos; 0: no average."""
    seed: int = 0
    """Seed of everything random: weights, order, crops, flips, dropout."""

    device: Device = "auto"
    """Device to compute on; auto: the fastest that is there."""
    precision: Precision = "fp32"
    """fp32; tf32: fp32 whose products round more on a GPU; bf16: convolutions in bfloat16 (weights
    and statistics stay fp32)."""
    # accelerate_step: its name in the run.json of version 0.1
    step_mode: Annotated[
        StepMode, Field(validation_alias=AliasChoices("step_mode", "accelerate_step"))
    ] = "auto"
    """eager; compile the networks (torch.compile; needs a C++ compiler on the CPU); graph: compile
    them and replay the whole step as one CUDA graph; auto: graph on a single GPU, else eager."""

    tracker: Tracker = "tensorboard"
    """Tracker of settings, losses, metrics and samples, beside the run's own files; all but
    tensorboard are packages of their own."""
    log_every: int = 50
    """Steps between logged losses."""
    sample_every: int = 5
    """Epochs between sample grids."""
    save_every: int = 5
    """Epochs between saves."""
    validate_every: int | None = None
    """Epochs between validations: RMSE, SSIM and LPIPS on the folder val; unset: none."""
    diagnose_every: int | None = None
    """Epochs between looks at norms and gradients, for diagnostics.json; unset: none."""
    keep_best: ValidationMetric | None = None
    """With --validate-every: keep the generator that was best by this metric, in best/."""
    keep_every: int | None = None
    """Epochs between generators that are kept beside the last one, in epochs/; unset: none."""
    keep_last: int | None = None
    """With --keep-every: keep only so many of them, the last ones; unset: all."""
    num_samples: int = 6
    """Validation pairs in a sample grid."""

    def __post_init__(self) -> None:
        if self.image_size not in IMAGE_SIZES:
            sizes = ", ".join(map(str, IMAGE_SIZES))
            raise SettingError("image_size", f"one of {sizes}", self.image_size)
        if self.name is not None and (Path(self.name).name != self.name or self.name == ".."):
            raise SettingError("name", "a plain folder name", self.name)
        self._check_networks()
        self._check_pairs_of_settings()
        for name in ("batch_size", "log_every", "sample_every", "save_every", "num_samples"):
            self._check_range(name, 1)
        self._check_range("epochs", 1, MOST_EPOCHS)
        for name in ("keep_every", "keep_last", "validate_every", "diagnose_every"):
            self._check_range(name, 1)
        self._check_range("decay_epochs", 0, self.epochs)
        for name in ("lr", "l1_weight", "feature_matching", "perceptual", "seed"):
            self._check_range(name, 0)
        self._check_range("zoom", 0, 1)
        for name in ("beta1", "beta2", "ema"):
            if not 0 <= getattr(self, name) < 1:
                raise SettingError(name, "0 to below 1", getattr(self, name))

    def _check_networks(self) -> None:
        channels, classes = self.generator.in_channels, self.label_classes
        if classes is None and channels not in (1, 3):
            raise SettingError("generator.in_channels", "1 (gray) or 3 (color)", channels)
        if classes is not None and channels not in (3, len(classes)):
            expected = f"3 (the default) or the {len(classes)} of the label classes"
            raise SettingError("generator.in_channels", expected, channels)
        depth, n_layers = self.generator.depth, self.discriminator.n_layers
        if depth is not None and self.image_size % self.generator.size_multiple:
            expected = f"at most {self.image_size.bit_length() - 1} halvings of {self.image_size}"
            raise SettingError("generator.depth", expected, depth)
        smallest = self.discriminator.smallest_image
        if self.image_size < smallest:
            expected = f"fewer layers for images below {smallest}x{smallest}"
            raise SettingError("discriminator.n_layers", expected, n_layers)

    def _check_pairs_of_settings(self) -> None:
        if self.stored_size < self.image_size:
            expected = f"at least the image size {self.image_size}"
            raise SettingError("load_size", expected, self.load_size)
        if self.keep_best is not None and self.validate_every is None:
            raise SettingError("validate_every", "epochs, as keep_best is set", None)
        if self.keep_last is not None and self.keep_every is None:
            raise SettingError("keep_every", "epochs, as keep_last is set", None)

    def _check_range(self, name: str, low: float, high: float = math.inf) -> None:
        value = getattr(self, name)
        if value is not None and not (low <= value <= high and math.isfinite(value)):
            kind = "a finite number, " if isinstance(value, float) else ""
            bounds = f"{kind}at least {low}" if high == math.inf else f"{low} to {high}"
            raise SettingError(name, bounds, value)

    @property
    def stored_size(self) -> int:
        """Return height and width of the stored images, from which crops are cut."""
        return self.load_size or round(self.image_size * 286 / 256)

    @property
    def run_name(self) -> str:
        """Name of the run's folder, e.g. facades-ilm-in-in (generator, discriminator)."""
        norms = f"{self.generator.norm}-{self.discriminator.norm}"
        return self.name or f"{Path(self.data).name or 'run'}-{norms}"

    @property
    def sized_generator(self) -> GeneratorConfig:
        """Return the generator's configuration, its depth and input fixed by size and classes."""
        depth = self.generator.depth or self.image_size.bit_length() - 1
        channels = self.generator.in_channels
        in_channels = channels if self.label_classes is None else len(self.label_classes)
        return replace(self.generator, depth=depth, in_channels=in_channels)

    @property
    def objective(self) -> Objective:
        """Return the terms of the losses with their weights."""
        return Objective(
            gan_loss=self.gan_loss,
            l1_weight=self.l1_weight,
            feature_matching=self.feature_matching,
            perceptual=self.perceptual,
            augmentation=self.augment_discriminator,
        )

    @property
    def label_channels(self) -> Channels:
        """Return what label maps are read as."""
        return self.label_classes or self.generator.in_channels

    def learning_rate(self, epoch: int) -> float:
        """Return the learning rate in epoch 0, 1, ...: constant, then linear toward 0."""
        decayed = max(0, epoch + 1 - (self.epochs - self.falling_epochs))
        return self.lr * (1 - decayed / (self.falling_epochs + 1))

    @property
    def falling_epochs(self) -> int:
        """Return the number of last epochs that lower the learning rate."""
        return self.epochs // 2 if self.decay_epochs is None else self.decay_epochs


NEUTRAL = NormOptions(neutral_start=True)
PRESETS: dict[str, tuple[str, TrainConfig]] = {
    "quick": (
        "Embedded synthetic facades, small network: minutes on a CPU.",
        TrainConfig(
            data="synthetic",
            image_size=128,
            generator=GeneratorConfig(ngf=16, norm="ilm-in"),
            discriminator=DiscriminatorConfig(ndf=16, norm="ilm-in"),
            epochs=8,
            lr=5e-4,
            sample_every=1,
            save_every=1,
        ),
    ),
    "facades": (
        "CMP Facades as pix2pix splits it (400 train, 106 test), full-size network.",
        TrainConfig(),
    ),
    "best": (
        "CMP Facades, and all that made its photos better after pix2pix: see docs/recipe.md.",
        TrainConfig(
            label_classes=FACADES_PALETTE,
            generator=GeneratorConfig(
                depth=7, norm="ilm-in", norm_options=NEUTRAL, upsample="resize", noise=0.2
            ),
            discriminator=DiscriminatorConfig(norm="ilm-in", norm_options=NEUTRAL),
            epochs=100,
            feature_matching=10.0,
            perceptual=60.0,
            augment_discriminator=("translation", "cutout"),
            zoom=0.5,
            ema=0.999,
        ),
    ),
    "paper": (
        "CMP Facades as the ILM Norm paper splits it (200 train, 200 held out).",
        TrainConfig(train_split="train[:200]", val_split="train[200:]"),
    ),
}
"""Name -> description and configuration."""
