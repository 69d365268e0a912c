"""From checkpoints, or folders of images, to the metrics of every image."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from pathlib import Path

import torch
from jaxtyping import Float64, UInt8
from torch import Tensor

from pix2pix_ilm import metrics
from pix2pix_ilm.checkpoints import ModelConfig, load_generator
from pix2pix_ilm.data.cache import PairedImages
from pix2pix_ilm.data.pairs import pairs_in
from pix2pix_ilm.data.palette import Palette
from pix2pix_ilm.errors import UserError
from pix2pix_ilm.evaluation.sharding import Image, gather_photos, gather_shards, process_shard
from pix2pix_ilm.inference import generate
from pix2pix_ilm.models.generator import UNetGenerator

CPU = torch.device("cpu")

NORM_TITLES = {"none": "no norm", "bn": "BN", "in": "IN", "gn": "GN", "ln": "LN"}


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A metric as tables and plots name it."""

    name: str
    title: str
    higher_is_better: bool
    digits: int
    measure: Callable[[Tensor, Tensor], Tensor]
    smallest: int = metrics.SSIM_WINDOW
    """Pixels that an image must at least have in height and in width."""


def table_metrics(lpips_net: metrics.LpipsNet = "alex") -> list[Metric]:
    """Return the metrics of every evaluation, in the order of the table's columns."""
    columns = [
        ("rmse_rgb", "RMSE (RGB)", False, 2, metrics.rmse_rgb),
        ("lpips", f"LPIPS ({lpips_net})", False, 3, partial(metrics.lpips, net=lpips_net)),
        ("ssim", "SSIM", True, 3, metrics.ssim),
        ("ssim_paper", "SSIM (paper's)", True, 3, metrics.ssim_paper),
        ("rmse", "RMSE (channel)", False, 2, metrics.rmse),
        ("psnr", "PSNR (dB)", True, 2, metrics.psnr),
        ("l1", "L1", False, 2, metrics.l1),
    ]
    smallest = {"lpips": {"smallest": metrics.LPIPS_SMALLEST}}
    return [
        Metric(
            name=name, title=title, higher_is_better=higher, digits=digits, measure=measure,
            **smallest.get(name, {}),
        )
        for name, title, higher, digits, measure in columns
    ]  # fmt: skip


def refuse_small(columns: Sequence[Metric], where: str | Path, height: int, width: int) -> None:
    """Refuse images that are too small for a metric, naming where they are and what it needs."""
    neediest = max(columns, key=lambda metric: metric.smallest)
    if min(height, width) < neediest.smallest:
        raise UserError(
            f"{where}: {neediest.title} needs images of at least {neediest.smallest}x"
            f"{neediest.smallest} pixels, found {width}x{height}"
        )


@dataclass(frozen=True, kw_only=True)
class Scores:
    """One model's metrics of every image.

    ``values[metric][i]`` belongs to ``images[i]``. With dropout, values are means over samples.
    """

    name: str
    """The checkpoint's folder, or what else made the images."""
    configuration: str
    """Name that trainings with different seeds share, such as ILM+IN / IN."""
    images: tuple[str, ...]
    values: dict[str, tuple[float, ...]]
    diversity: tuple[float, ...] = ()
    """Mean LPIPS between the samples of each image, if there are several."""
    step: int | None = None
    """Training steps behind the model."""
    seed: int | None = None
    """Seed of its training."""
    baseline: bool = False
    """No model, but what can be had without one; it takes no part in comparisons."""


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """Options for drawing outputs from a generator."""

    dropout: bool = False
    """Keep dropout on, as the original pix2pix does when it tests."""
    samples: int = 1
    """Outputs per image; more than one only makes sense with dropout."""
    seed: int = 0
    """Seed of the dropout masks."""


def configuration_title(model_config: ModelConfig) -> str:
    """Return generator and discriminator norms as the ILM paper's Table 6 names them."""
    norms = (model_config.generator.norm, model_config.discriminator_norm)
    return " / ".join(norm_title(norm) for norm in norms if norm is not None)


def norm_title(name: str) -> str:
    """Return ILM+IN for ilm-in, and so on."""
    ilm, short = name.startswith("ilm-"), name.removeprefix("ilm-")
    return f"ILM+{NORM_TITLES[short]}" if ilm else NORM_TITLES[short]


def translate_batches(
    generator: UNetGenerator,
    label_maps: UInt8[Tensor, "n h w c"],
    palette: Palette | None,
    sampling: Sampling,
    device: torch.device,
    batch_size: int,
) -> Iterator[UInt8[Tensor, "samples b h w 3"]]:
    """Yield photos of consecutive batches; the same whatever the batch size or the processes."""
    generator = generator.to(device)
    samples = range(sampling.samples) if sampling.dropout else [None]
    for batch in in_batches(label_maps, batch_size):
        photos = [
            generate(generator, batch, palette=palette, sample=s, seed=sampling.seed)
            for s in samples
        ]
        yield torch.stack([as_rgb(images) for images in photos])


def as_rgb(images: UInt8[Tensor, "*b h w c"]) -> UInt8[Tensor, "*b h w 3"]:
    """Repeat gray images over three channels."""
    return images.expand(*images.shape[:-1], 3)


def measure(
    outputs: UInt8[Tensor, "samples b h w 3"],
    targets: UInt8[Tensor, "b h w 3"],
    columns: Sequence[Metric],
) -> Float64[Tensor, "b m"]:
    """Return the m metrics of every image, averaged over its samples, on the CPU."""
    values = [
        torch.stack([metric.measure(images, targets) for images in outputs]) for metric in columns
    ]
    return torch.stack([of.cpu().double().mean(dim=0) for of in values], dim=1)


def diversity(
    outputs: UInt8[Tensor, "samples b h w 3"], net: metrics.LpipsNet
) -> Float64[Tensor, " b"]:
    """Return the mean LPIPS between an image's samples: how much dropout changes the photo."""
    pairs = combinations(outputs, 2)
    distances = torch.stack([metrics.lpips(one, other, net) for one, other in pairs])
    return distances.cpu().double().mean(dim=0)  # Apple's GPUs have no float64


@dataclass(frozen=True, kw_only=True)
class ScoredImages:
    """Photos, or a share of them, and what was measured of each."""

    photos: list[Image]
    """The first samples; of all processes' images, the main process alone has them."""
    metrics: Float64[Tensor, "n m"]
    """A column each metric."""
    diversity: Float64[Tensor, " n"] | None
    """Mean LPIPS between the samples of each image, if there are several."""


@dataclass(frozen=True, kw_only=True)
class Scorer:
    """Common part of all models' evaluation.

    Under torchrun every process scores a shard of the images. All get all the results, and the main
    process the photos.
    """

    columns: Sequence[Metric]
    sampling: Sampling = Sampling()
    lpips_net: metrics.LpipsNet = "alex"
    device: torch.device = CPU
    batch_size: int = 8

    def checkpoint(self, checkpoint: str | Path, pairs: PairedImages) -> tuple[Scores, list[Image]]:
        """Translate and score a split with a trained generator; return its first samples, too.

        Args:
            checkpoint: as of ``resolve_checkpoint``.
            pairs: with label maps as the generator takes them.

        Raises:
            UserError: not a checkpoint.
        """
        generator, model_config = load_generator(checkpoint)
        mine = process_shard(len(pairs))
        label_maps = pairs.label_map[mine]
        outputs = translate_batches(
            generator, label_maps, pairs.palette, self.sampling, self.device, self.batch_size
        )
        samples = self.sampling.samples if self.sampling.dropout else 1
        scored = self.against(outputs, pairs, mine, samples)
        scores = Scores(
            name=str(checkpoint),
            configuration=configuration_title(model_config),
            images=pairs.names,
            values=self.by_metric(scored),
            diversity=() if scored.diversity is None else tuple(scored.diversity.tolist()),
            step=model_config.step,
            seed=model_config.seed,
        )
        return scores, scored.photos

    def baseline(
        self, name: str, predict: Callable[[Tensor], Tensor], pairs: PairedImages
    ) -> tuple[Scores, list[Image]]:
        """Score a simple function from label maps to photos, (b, h, w, 3) uint8."""
        mine = process_shard(len(pairs))
        batches = in_batches(pairs.label_map[mine], self.batch_size)
        scored = self.against((predict(batch)[None] for batch in batches), pairs, mine)
        scores = Scores(
            name=name,
            configuration=name,
            images=pairs.names,
            values=self.by_metric(scored),
            baseline=True,
        )
        return scores, scored.photos

    def against(
        self, outputs: Iterable[Tensor], pairs: PairedImages, mine: list[int], samples: int = 1
    ) -> ScoredImages:
        """Score consecutive batches of this process's images; return those of all processes."""
        targets = in_batches(as_rgb(pairs.photo[mine]), self.batch_size)
        batches = zip(outputs, targets, strict=True)
        return self.gather([self.batch(*batch) for batch in batches], len(pairs), samples)

    def folders(self, outputs: Path, targets: Path) -> tuple[Scores, list[Image]]:
        """Score images that any program made, matched to their targets by file name.

        Raises:
            UserError: images without a partner, of unequal sizes, too small for a metric, or
                unreadable.
        """
        pairs = pairs_in((outputs, targets))
        batches = []
        for pair in (pairs[i] for i in process_shard(len(pairs))):
            output, target = (torch.from_numpy(image)[None] for image in pair.read())
            refuse_small(self.columns, pair.files[0], *output.shape[1:3])
            batches.append(self.batch(output[None], target))
        scored = self.gather(batches, len(pairs))
        scores = Scores(
            name=str(outputs),
            configuration=outputs.resolve().name,
            images=tuple(pair.name for pair in pairs),
            values=self.by_metric(scored),
        )
        return scores, scored.photos

    def batch(
        self, outputs: UInt8[Tensor, "samples b h w 3"], targets: UInt8[Tensor, "b h w 3"]
    ) -> ScoredImages:
        """Score one batch."""
        outputs, targets = outputs.to(self.device), targets.to(self.device)
        return ScoredImages(
            photos=list(outputs[0].cpu().numpy()),
            metrics=measure(outputs, targets, self.columns),
            diversity=diversity(outputs, self.lpips_net) if len(outputs) > 1 else None,
        )

    def gather(self, batches: Sequence[ScoredImages], count: int, samples: int = 1) -> ScoredImages:
        """Join the batches of all processes' shards, in the order of the data set."""
        measured = len(self.columns)
        # A process without images has no batch to tell whether there are several samples.
        values = torch.zeros(0, measured + (samples > 1), dtype=torch.float64)
        for batch in batches:
            diversity = [] if batch.diversity is None else [batch.diversity[:, None]]
            values = torch.cat([values, torch.cat([batch.metrics, *diversity], dim=1)])
        values = gather_shards(values, count)
        photos = gather_photos([photo for batch in batches for photo in batch.photos], count)
        diversity = values[:, measured] if samples > 1 else None
        return ScoredImages(photos=photos, metrics=values[:, :measured], diversity=diversity)

    def by_metric(self, scored: ScoredImages) -> dict[str, tuple[float, ...]]:
        """Return each metric's values under its name."""
        columns = scored.metrics.t().tolist()
        return {m.name: tuple(of) for m, of in zip(self.columns, columns, strict=True)}


def in_batches(images: UInt8[Tensor, "n h w c"], size: int) -> Iterator[Tensor]:
    """Return consecutive batches; none of no images, where ``Tensor.split`` makes an empty one."""
    return (images[start : start + size] for start in range(0, len(images), size))
