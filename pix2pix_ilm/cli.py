"""The command line: which command does what with which flags. No logic lives here.

Every command imports what it needs when it runs, so that ``--help`` answers at once.
"""

import argparse
import os
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tyro
from tyro.conf import Positional

from pix2pix_ilm.errors import SettingError, UserError
from pix2pix_ilm.terminal import make_console, prepare_streams

if TYPE_CHECKING:
    from types import ModuleType

    from pix2pix_ilm.training.config import TrainConfig

INTERRUPTED = 130  # as a shell reports Ctrl-C
HELP = {"-h", "--help", "--version"}  # whose reader may leave early, as head does
SPINS = "2000"  # as fast as GNU OpenMP's default where nothing else runs (docs/performance.md)


def main(arguments: list[str] | None = None) -> None:
    """Run the command that the arguments (by default the process's) name.

    Exits with 2 and one line for a person's mistakes, with 130 after Ctrl-C.
    """
    parser = argparse.ArgumentParser(
        prog="pix2pix-ilm",
        description="pix2pix with Instance-Level Meta Normalization: label maps to photos.",
        epilog="'pix2pix-ilm COMMAND --help' lists a command's flags.",
    )
    parser.add_argument("--version", action="version", version=version("pix2pix-ilm"))
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, command in COMMANDS.items():
        commands.add_parser(name, help=command.__doc__, add_help=False)
    given = sys.argv[1:] if arguments is None else arguments
    prepare_streams(announce=HELP.isdisjoint(given))
    chosen, rest = parser.parse_known_args(given)
    wait_asleep()
    warnings.filterwarnings("ignore", module=r"PIL\.")  # files that cannot be read are errors
    try:
        COMMANDS[chosen.command](f"pix2pix-ilm {chosen.command}", rest)
        leave_process_group()
    except SettingError as error:
        say(f"error: {error.describe(flag_of(error.path))}")
        sys.exit(2)
    except UserError as error:
        say(f"error: {error}")
        sys.exit(2)
    except OSError as error:  # a full disk, a folder without permission
        say(f"error: {error}")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def wait_asleep() -> None:
    """Have threads that wait for work soon sleep, unless the environment says how they wait.

    Those of GNU OpenMP, PyTorch's on Linux, else spin for milliseconds, which makes training many
    times slower once another program wants a core. It must be said before PyTorch is loaded.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)


def leave_process_group() -> None:
    """Part with torchrun's other processes, if there are any: left to its exit, one may abort."""
    distributed = sys.modules.get("torch.distributed")  # loaded where processes could meet
    if distributed and distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()


def say(line: str) -> None:
    """Print a line beside the command's output."""
    print(line, file=sys.stderr)  # noqa: T201


def flag_of(path: str) -> str:
    """Return the flag of a setting: --norm-options.reduction for norm_options.reduction."""
    return f"--{path.replace('_', '-')}"


def train(prog: str, arguments: list[str]) -> None:
    """Train a model on image pairs."""
    if any(argument.split("=")[0] == "--resume" for argument in arguments):
        folder = tyro.cli(Resume, prog=prog, args=arguments).resume
        report_training(lambda loop: loop.resume(folder))
        return

    from pix2pix_ilm.training.config import PRESETS

    config = tyro.extras.overridable_config_cli(
        PRESETS,
        prog=prog,
        args=arguments,
        description="Train a model on image pairs. 'pix2pix-ilm train PRESET --help' lists every "
        "hyper-parameter; 'pix2pix-ilm train --resume checkpoints/NAME' continues a run.",
    )
    report_training(lambda loop: loop.train(config))


@dataclass(frozen=True, kw_only=True)
class Resume:
    """Continue a run from its last save, exactly as if it had never stopped."""

    resume: Path
    """The run's folder, such as checkpoints/NAME."""


def report_training(work: Callable[["ModuleType"], Path]) -> None:
    """Train, and say what can be done next."""
    from pix2pix_ilm.training import loop
    from pix2pix_ilm.training.interrupts import Interrupted
    from pix2pix_ilm.training.setup import is_main_process

    try:
        folder = work(loop)
    except Interrupted as stop:
        say(
            f"Stopped and saved at step {stop.step}. "
            f"Continue with: pix2pix-ilm train --resume {stop.folder}"
        )
        sys.exit(INTERRUPTED)
    if is_main_process():
        say(
            f"Done: {folder}\n"
            f"  sample grids (label maps, outputs, photos):  {folder / 'samples'}\n"
            f"  curves:      {folder / 'metrics.jsonl'}, or tensorboard --logdir {folder}\n"
            f"  translate:   pix2pix-ilm translate LABEL_MAP... --checkpoint {folder} --out outputs"
        )


@dataclass(frozen=True, kw_only=True)
class Translate:
    """Translate label maps into photos with a trained model."""

    inputs: Positional[tuple[Path, ...]]
    """Images, or folders of images."""
    checkpoint: Path = Path("checkpoints/facades-ilm")
    """Folder of the trained model, such as checkpoints/NAME."""
    out: Path = Path("outputs")
    """Folder for the photos: PNG files with the inputs' names."""
    side_by_side: bool = False
    """The inputs are pairs side by side: translate only the half that is the label map."""
    fast: bool = False
    """Compute in bfloat16, where the processor has instructions for it: about twice as fast with
    full-size networks."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to compute; auto: the fastest that is there."""

    def __post_init__(self) -> None:
        if not self.inputs:
            raise UserError(
                "translate: expected label maps, or folders of them, found none; "
                "see 'pix2pix-ilm translate --help'"
            )


def translate(prog: str, arguments: list[str]) -> None:
    """Translate images with a trained model."""
    options = tyro.cli(Translate, prog=prog, args=arguments)
    from pix2pix_ilm.devices import pick_device
    from pix2pix_ilm.serving.folders import translate_files
    from pix2pix_ilm.serving.inference import fast_dtype

    if options.fast and fast_dtype(pick_device(options.device)) is None:
        say("--fast: this processor has no bfloat16 instructions; translating in float32")
    translate_files(**vars(options))
    say(f"Done: {options.out}")


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Score trained models on a data set's split, or any images against their targets."""

    checkpoints: Positional[tuple[Path, ...]] = ()
    """Folders of trained models. Those with the same norms count as seeds of one configuration."""
    data: str = "facades"
    """Folder of image pairs; 'facades' is data/facades."""
    split: str = "test"
    """Split to evaluate on, a slice of one, or 'paper': the ILM Norm paper's held-out 200."""
    outputs: Path | None = None
    """Instead of checkpoints: a folder of images that any program made."""
    targets: Path | None = None
    """With --outputs: a folder of the photos that they should be, under the same names."""
    baselines: bool = False
    """Also score the training photos' mean colour and, with facades, that of each class."""
    dropout: bool = False
    """Keep dropout on, as the original pix2pix does when it tests."""
    samples: int = 1
    """With --dropout: outputs per label map, over which the metrics are averaged."""
    lpips_net: Literal["alex", "vgg", "squeeze"] = "alex"
    """Network of LPIPS; vgg and squeeze are downloaded once."""
    out: Path | None = None
    """Folder for scores.json, scores.csv, tables, plots and gallery.html."""
    record: bool = False
    """Also write each checkpoint's metrics to its metrics.json, which the web page shows."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to compute; auto: the fastest that is there."""
    batch_size: int = 8
    """Images at once."""
    seed: int = 0
    """Seed of the dropout masks."""

    def __post_init__(self) -> None:
        folders = (self.outputs is not None) + (self.targets is not None)
        if folders == 1 or bool(self.checkpoints) == bool(folders):
            raise UserError(
                "evaluate: expected checkpoints, or both --outputs and --targets; "
                "see 'pix2pix-ilm evaluate --help'"
            )
        for flag, value in (("--samples", self.samples), ("--batch-size", self.batch_size)):
            if value < 1:
                raise UserError(f"{flag}: expected at least 1, found {value}")
        if self.record and folders:
            raise UserError("--record: images from a folder have no checkpoint to record them in")
        if self.samples > 1 and not self.dropout:
            raise UserError("--samples: without --dropout all samples are the same; add --dropout")


def evaluate(prog: str, arguments: list[str]) -> None:
    """Print the metric table of trained models, or of any images."""
    options = tyro.cli(Evaluate, prog=prog, args=arguments)
    from pix2pix_ilm.evaluation.evaluate import (
        evaluate_checkpoints,
        evaluate_folders,
        fitted_and_evaluated,
        make_scorer,
    )
    from pix2pix_ilm.evaluation.record import record_metrics
    from pix2pix_ilm.evaluation.report import terminal_report, write_report
    from pix2pix_ilm.evaluation.scores import Sampling
    from pix2pix_ilm.training.setup import is_main_process

    sampling = Sampling(dropout=options.dropout, samples=options.samples, seed=options.seed)
    scorer = make_scorer(sampling, options.lpips_net, options.device, options.batch_size)
    if options.outputs and options.targets:
        evaluation = evaluate_folders(options.outputs, options.targets, scorer)
    else:
        fitted, split = fitted_and_evaluated(options.split)
        baselines_from = fitted if options.baselines else None
        evaluation = evaluate_checkpoints(
            options.checkpoints, options.data, split, scorer, baselines_from=baselines_from
        )
    if not is_main_process():
        return
    console = make_console()
    try:
        if options.record:
            record_metrics(evaluation)
        if options.out:
            write_report(evaluation, options.out)
    finally:  # what was computed is shown, also where it cannot be written
        console.print(terminal_report(evaluation, console.width))
    if options.out:
        say(f"Done: {options.out}")


@dataclass(frozen=True, kw_only=True)
class Download:
    """Download CMP Facades (30 MB), check it and unpack it."""

    name: Positional[Literal["facades"]]
    """Which data set."""
    out: Path = Path("data/facades")
    """Folder to put it into."""
    archive: Path | None = None
    """A local copy of facades.tar.gz, to use instead of the network."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """Say what a folder of image pairs holds, by split, and every problem in it."""

    path: Positional[Path]
    """The data set's folder."""


@dataclass(frozen=True, kw_only=True)
class Synthesize:
    """Draw facades and their label maps as a folder of image pairs."""

    out: Path
    """A new folder for train, val and test."""
    count: int = 500
    """How many pairs."""
    size: int = 256
    """Height and width of each image."""
    seed: int = 0
    """Other seeds draw other facades."""


def data(prog: str, arguments: list[str]) -> None:
    """Download, check or draw image pairs."""
    options = tyro.cli(Download | Check | Synthesize, prog=prog, args=arguments)
    if isinstance(options, Download):
        from pix2pix_ilm.data import facades

        facades.download(options.out, archive=options.archive)
        say(f"CMP Facades, verified: {options.out}")
    elif isinstance(options, Check):
        from pix2pix_ilm.data.check import check_folder

        say(check_folder(options.path))
    else:
        from pix2pix_ilm.data.synthetic.dataset import synthesize

        synthesize(options.out, options.count, options.size, options.seed)
        say(f"Done: {options.out}")


@dataclass(frozen=True, kw_only=True)
class Demo:
    """Open the web page where visitors paint or upload label maps and see the photos."""

    checkpoint: tuple[Path, ...] = ()
    """Folders of trained models to offer first, beside those in --checkpoints."""
    checkpoints: Path = Path("checkpoints")
    """Folder whose trained models are all offered."""
    host: str = "127.0.0.1"
    """Name or address to listen on; 0.0.0.0: all of this machine's."""
    port: int | None = None
    """Port to listen on; unset: the first free one from 7860."""
    auth: str | None = None
    """USER:PASSWORD that visitors must give; required wherever others can connect."""
    allow_host: tuple[str, ...] = ()
    """Further names under which browsers may ask for the page, e.g. behind a proxy."""
    share: bool = False
    """Also open a public address through Gradio's servers."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to compute; auto: the fastest that is there."""

    def __post_init__(self) -> None:
        if self.port is not None and not 1 <= self.port <= 65535:
            raise UserError(f"--port: expected 1 to 65535, found {self.port}")


def demo(prog: str, arguments: list[str]) -> None:
    """Open the web page: paint or upload a label map, see the photo."""
    options = tyro.cli(Demo, prog=prog, args=arguments)
    say("Starting the page ...")
    from pix2pix_ilm.web.server import serve

    serve(
        options.checkpoints,
        options.checkpoint,
        host=options.host,
        port=options.port,
        auth=options.auth,
        allowed_hosts=options.allow_host,
        share=options.share,
        device=options.device,
        say=say,
    )


@dataclass(frozen=True, kw_only=True)
class ImportWeights:
    """Make a checkpoint of a generator that pytorch-CycleGAN-and-pix2pix trained."""

    source: Positional[Path]
    """The generator's weights, such as latest_net_G.pth: a U-Net (unet_256, unet_128)."""
    out: Path
    """A new folder for the checkpoint, such as checkpoints/NAME."""
    direction: Literal["AtoB", "BtoA"] = "BtoA"
    """What it was trained to translate; the file does not say."""
    batch_statistics: bool = False
    """Normalise with each image's statistics instead of BatchNorm's running ones, as that project
    does unless it is run with --eval."""


def import_weights(prog: str, arguments: list[str]) -> None:
    """Import a generator that pytorch-CycleGAN-and-pix2pix trained."""
    options = tyro.cli(ImportWeights, prog=prog, args=arguments)
    from pix2pix_ilm.serving.importing import import_generator

    described = import_generator(**vars(options))
    generator = described.generator
    say(
        f"Done: {options.out} (U-Net of {generator.num_downs} levels, ngf {generator.ngf}, norm "
        f"{generator.norm}, {described.direction})\n"
        f"  translate:   pix2pix-ilm translate LABEL_MAP... --checkpoint {options.out} "
        "--out outputs"
    )


@dataclass(frozen=True, kw_only=True)
class Export:
    """Write a trained generator for others: as ONNX, or as a small folder with a model card."""

    checkpoint: Positional[Path]
    """Folder of the trained model, such as checkpoints/NAME."""
    out: Path
    """An ONNX file, such as model.onnx; or, without .onnx, a folder for weights and card."""
    size: int | None = None
    """With ONNX: height and width of its images; unset: those of the training."""
    dynamic_size: bool = False
    """With ONNX: leave height and width open, for any multiples of what the U-Net halves (256 for
    256x256)."""
    float16: bool = False
    """Half the size, slightly different photos: weights in float16, and in ONNX convolutions."""

    def __post_init__(self) -> None:
        if not self.as_onnx and (self.size or self.dynamic_size):
            raise UserError(
                f"--size, --dynamic-size: for ONNX only; expected --out to end in .onnx, found "
                f"{self.out}"
            )

    @property
    def as_onnx(self) -> bool:
        return self.out.suffix.lower() == ".onnx"


def export(prog: str, arguments: list[str]) -> None:
    """Export a trained model: as ONNX, or as a small folder to share."""
    options = tyro.cli(Export, prog=prog, args=arguments)
    if not options.as_onnx:
        from pix2pix_ilm.hub import share

        share(options.checkpoint, options.out, float16=options.float16)
        say(f"Done: {options.out}")
        return
    from pix2pix_ilm.serving.export import export_onnx

    differences = export_onnx(**vars(options))
    say(
        f"Done: {options.out}; largest differences from PyTorch, of values in [-1, 1]: "
        f"{differences.random:.1e} (random label maps), {differences.drawn:.1e} (drawn ones)"
    )


@dataclass(frozen=True, kw_only=True)
class Reproduce:
    """Train IN/IN, ILM+IN/IN and ILM+IN/ILM+IN over several seeds, and print the paper's Table 6.

    Run it again to go on after a stop. Several at once, with the same flags, share the trainings.
    """

    data: str = "facades"
    """Folder of image pairs; 'facades' is data/facades."""
    seeds: int = 3
    """Trainings of each configuration, with seeds 0, 1, ..."""
    out: Path = Path("checkpoints/reproduction")
    """Folder for all trainings; its report/ gets tables, plots and gallery.html."""
    set: tuple[str, ...] = ()
    """Hyper-parameters of every training that differ from the paper preset's, such as
    --set epochs=100 generator.ngf=32; 'pix2pix-ilm train paper --help' lists them all."""

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise UserError(f"--seeds: expected at least 1, found {self.seeds}")
        for setting in self.set:
            name, equals, _ = setting.partition("=")
            if not equals or not name.replace("-", "_").replace(".", "_").isidentifier():
                raise UserError(f"--set: expected NAME=VALUE, found {setting!r}")


def reproduce(prog: str, arguments: list[str]) -> None:
    """Train and compare the ILM Norm paper's three configurations (Table 6)."""
    options = tyro.cli(Reproduce, prog=prog, args=arguments)
    from pix2pix_ilm.evaluation.report import terminal_report
    from pix2pix_ilm.reproduction.reproduce import reproduce
    from pix2pix_ilm.training.interrupts import Interrupted

    try:
        evaluation = reproduce(study_config(options), options.out, options.seeds, say)
    except Interrupted as stop:
        say(f"Stopped and saved at step {stop.step} of {stop.folder}. Run the same again to go on.")
        sys.exit(INTERRUPTED)
    if evaluation:
        console = make_console()
        console.print(terminal_report(evaluation, console.width))
        say(f"Done: {options.out / 'report'}")


def as_flag(setting: str) -> str:
    """--epochs=5 for epochs=5, --no-flip for flip=false."""
    name, _, value = setting.partition("=")
    if value.lower() not in ("true", "false"):
        return f"--{setting}"
    group, dot, last = name.rpartition(".")
    return f"--{group}{dot}{'' if value.lower() == 'true' else 'no-'}{last}"


def study_config(options: Reproduce) -> "TrainConfig":
    """What all trainings share: the paper preset, with the data and settings of the flags."""
    from pix2pix_ilm.training.config import PRESETS, TrainConfig

    _, paper = PRESETS["paper"]
    flags = [*map(as_flag, options.set), f"--data={options.data}"]
    return tyro.cli(TrainConfig, prog="pix2pix-ilm reproduce --set", args=flags, default=paper)


COMMANDS: dict[str, Callable[[str, list[str]], None]] = {
    "train": train,
    "reproduce": reproduce,
    "evaluate": evaluate,
    "translate": translate,
    "demo": demo,
    "data": data,
    "import-weights": import_weights,
    "export": export,
}
