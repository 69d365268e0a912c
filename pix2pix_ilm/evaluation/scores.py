"""From checkpoints, or folders of images, to the metrics of every image."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from operator import itemgetter
from pathlib import Path

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import gather_object
from jaxtyping import Float64, UInt8
from torch import Tensor

from pix2pix_ilm import metrics
from pix2pix_ilm.checkpoints import ModelConfig, load_generator
from pix2pix_ilm.data.cache import PairedImages
from pix2pix_ilm.data.pairs import pairs_in
from pix2pix_ilm.errors import UserError
from pix2pix_ilm.inference import generate
from pix2pix_ilm.models.generator import UNetGenerator

DIVERSITY = "diversity"
CPU = torch.device("cpu")

NORM_LABELS = {"none": "no norm", "bn": "BN", "in": "IN", "gn": "GN", "ln": "LN"}


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A metric as tables and plots name it."""

    name: str
    label: str
    higher_is_better: bool
    digits: int
    measure: Callable[[Tensor, Tensor], Tensor]
    smallest: int = metrics.SSIM_WINDOW
    """Pixels that an image must at least have in height and in width."""


def table_metrics(lpips_net: metrics.LpipsNet = "alex") -> list[Metric]:
    """The metrics of every evaluation, in the order of the table's columns."""
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
            name=name, label=label, higher_is_better=higher, digits=digits, measure=measure,
            **smallest.get(name, {}),
        )
        for name, label, higher, digits, measure in columns
    ]  # fmt: skip


def refuse_small(columns: Sequence[Metric], where: Path, height: int, width: int) -> None:
    """UserError if a metric cannot measure images of this size: where they are, what it needs."""
    neediest = max(columns, key=lambda metric: metric.smallest)
    if min(height, width) < neediest.smallest:
        raise UserError(
            f"{where}: {neediest.label} needs images of at least {neediest.smallest}x"
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
    """What trainings with different seeds share, such as ILM+IN / IN."""
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
    """How outputs are drawn from a generator."""

    dropout: bool = False
    """Keep dropout on, as the original pix2pix does when it tests."""
    samples: int = 1
    """Outputs per image; more than one only makes sense with dropout."""
    seed: int = 0
    """Seed of the dropout masks."""


def configuration_label(described: ModelConfig) -> str:
    """Generator and discriminator norms as the ILM paper's Table 6 names them."""
    norms = (described.generator.norm, described.discriminator_norm)
    return " / ".join(norm_label(norm) for norm in norms if norm is not None)


def norm_label(name: str) -> str:
    """ILM+IN for ilm-in, and so on."""
    ilm, short = name.startswith("ilm-"), name.removeprefix("ilm-")
    return f"ILM+{NORM_LABELS[short]}" if ilm else NORM_LABELS[short]


def translate(
    generator: UNetGenerator,
    labels: UInt8[Tensor, "n h w c"],
    sampling: Sampling,
    device: torch.device,
    batch_size: int,
) -> Iterator[UInt8[Tensor, "samples b h w 3"]]:
    """Outputs of consecutive batches; the same whatever the batch size or the processes are."""
    generator = generator.to(device)
    samples = range(sampling.samples) if sampling.dropout else [None]
    for start in range(0, len(labels), batch_size):  # of nothing, ``split`` makes one batch
        batch = labels[start : start + batch_size]
        photos = [generate(generator, batch, sample=s, seed=sampling.seed) for s in samples]
        yield torch.stack([as_rgb(images) for images in photos])


def as_rgb(images: UInt8[Tensor, "b h w c"]) -> UInt8[Tensor, "b h w 3"]:
    return images.expand(-1, -1, -1, 3)


def measure(
    outputs: UInt8[Tensor, "samples b h w 3"],
    targets: UInt8[Tensor, "b h w 3"],
    columns: Sequence[Metric],
) -> dict[str, Tensor]:
    """Every metric of every image, averaged over its samples; float64 (b,) on the CPU."""
    measured = {
        metric.name: torch.stack([metric.measure(images, targets) for images in outputs])
        for metric in columns
    }
    return {name: values.cpu().double().mean(dim=0) for name, values in measured.items()}


def diversity(
    outputs: UInt8[Tensor, "samples b h w 3"], net: metrics.LpipsNet
) -> Float64[Tensor, " b"]:
    """Mean LPIPS between all pairs of an image's samples: how much dropout changes the photo."""
    pairs = combinations(outputs, 2)
    distances = torch.stack([metrics.lpips(one, other, net) for one, other in pairs])
    return distances.cpu().double().mean(dim=0)  # Apple's GPUs have no float64


Image = UInt8[np.ndarray, "_ _ 3"]  # each of its own size
Scored = tuple[list[Image], dict[str, Tensor]]
"""Images, and (n,) values of each metric."""


@dataclass(frozen=True, kw_only=True)
class Scorer:
    """What all models of an evaluation have in common.

    Under torchrun every process scores a share of the images, and all get all the results.
    """

    columns: Sequence[Metric]
    sampling: Sampling = Sampling()
    lpips_net: metrics.LpipsNet = "alex"
    device: torch.device = CPU
    batch_size: int = 8

    def checkpoint(self, folder: Path, pairs: PairedImages) -> tuple[Scores, list[Image]]:
        """Translate and score a split with a trained generator; returns the first samples too.

        Raises:
            UserError: not a checkpoint.
        """
        generator, described = load_generator(folder)
        mine = share(len(pairs))
        labels = pairs.label[mine]
        outputs = translate(generator, labels, self.sampling, self.device, self.batch_size)
        values, images = self.against(outputs, pairs, mine)
        spread = values.pop(DIVERSITY, ())
        scores = Scores(
            name=str(folder),
            configuration=configuration_label(described),
            images=pairs.names,
            values=values,
            diversity=spread,
            step=described.step,
            seed=described.seed,
        )
        return scores, images

    def baseline(
        self, name: str, predict: Callable[[Tensor], Tensor], pairs: PairedImages
    ) -> tuple[Scores, list[Image]]:
        """Score a simple function from label maps to photos, both (b, h, w, 3) uint8."""
        mine = share(len(pairs))
        batches = in_batches(as_rgb(pairs.label[mine]), self.batch_size)
        values, images = self.against((predict(batch)[None] for batch in batches), pairs, mine)
        scores = Scores(
            name=name, configuration=name, images=pairs.names, values=values, baseline=True
        )
        return scores, images

    def against(
        self, outputs: Iterable[Tensor], pairs: PairedImages, mine: list[int]
    ) -> tuple[dict[str, tuple[float, ...]], list[Image]]:
        """Values and first samples of consecutive batches of this process's images."""
        targets = in_batches(as_rgb(pairs.photo[mine]), self.batch_size)
        batches = zip(outputs, targets, strict=True)
        return gather(mine, [self.batch(*batch) for batch in batches])

    def folders(self, outputs: Path, targets: Path) -> tuple[Scores, list[Image]]:
        """Score images that any program made, matched to their targets by file name.

        Raises:
            UserError: images without a partner, of unequal sizes, too small for a metric, or
                unreadable.
        """
        pairs = pairs_in((outputs, targets))
        mine = share(len(pairs))
        scored = []
        for pair in (pairs[i] for i in mine):
            output, target = (torch.from_numpy(image)[None] for image in pair.read())
            refuse_small(self.columns, pair.files[0], *output.shape[1:3])
            scored.append(self.batch(output[None], target))
        values, images = gather(mine, scored)
        names = tuple(pair.name for pair in pairs)
        scores = Scores(name=str(outputs), configuration=outputs.name, images=names, values=values)
        return scores, images

    def batch(
        self, outputs: UInt8[Tensor, "samples b h w 3"], targets: UInt8[Tensor, "b h w 3"]
    ) -> Scored:
        """The first samples of a batch, and all that is measured of it."""
        outputs, targets = outputs.to(self.device), targets.to(self.device)
        values = measure(outputs, targets, self.columns)
        if len(outputs) > 1:
            values[DIVERSITY] = diversity(outputs, self.lpips_net)
        return list(outputs[0].cpu().numpy()), values


def in_batches(images: UInt8[Tensor, "n h w c"], size: int) -> Iterator[Tensor]:
    """Consecutive batches; none of no images, of which ``Tensor.split`` makes an empty one."""
    return (images[start : start + size] for start in range(0, len(images), size))


def share(count: int) -> list[int]:
    """Which images this process scores: none where there are more processes than images."""
    state = PartialState()
    return list(range(state.process_index, count, state.num_processes))


def gather(
    indices: list[int], scored: Sequence[Scored]
) -> tuple[dict[str, tuple[float, ...]], list[Image]]:
    """All processes' values and images, in the order of the data set."""
    images = [image for batch, _ in scored for image in batch]
    values = [
        dict(zip(batch, row, strict=True))
        for _, batch in scored
        for row in torch.stack(list(batch.values()), dim=1).tolist()
    ]
    everything = gather_object(list(zip(indices, values, images, strict=True)))
    ordered = sorted(everything, key=itemgetter(0))
    names = ordered[0][1].keys()
    return (
        {name: tuple(row[name] for _, row, _ in ordered) for name in names},
        [image for *_, image in ordered],
    )
