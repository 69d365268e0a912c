"""``pix2pix-ilm evaluate``: from checkpoints, or any images, to the table of metrics."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro
from tyro.conf import Positional

from pix2pix_ilm.cli.flags import refuse_idle
from pix2pix_ilm.devices import Device, is_main_process
from pix2pix_ilm.errors import SettingError, UserError
from pix2pix_ilm.terminal import make_console, say


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Score trained models on a data set's split, or any images against their targets."""

    checkpoints: Positional[tuple[str, ...]] = ()
    """Trained models: folders such as checkpoints/NAME, models of the package, or OWNER/NAME on
    the Hugging Face hub. Those that differ only in their seed share a row."""
    data: str = "facades"
    """Folder of image pairs; 'facades', 'maps' and 'cityscapes' lie in data/; 'synthetic' is
    drawn."""
    split: str = "test"
    """Split to evaluate on, a slice of one, or 'paper': the ILM Norm paper's held-out 200."""
    outputs: Path | None = None
    """Instead of checkpoints: a folder of images that any program made."""
    targets: Path | None = None
    """With --outputs: a folder of the photos that they should be, under the same names."""
    baselines: bool = False
    """Also score the training photos' mean color and, with facades, that of each class."""
    dropout: bool = False
    """Keep dropout on, as the original pix2pix does when it tests."""
    samples: int = 1
    """With --dropout: outputs per label map, over which the metrics are averaged."""
    lpips_net: Literal["alex", "vgg", "squeeze"] = "alex"
    """Network of LPIPS; vgg and squeeze are downloaded once."""
    fid: bool = False
    """Also FID and KID of all photos against the real ones; needs the extra 'fid' (torch-fidelity),
    and downloads Inception's weights once."""
    fid_weights: Path | None = None
    """With --fid: file of Inception's weights, where they cannot be downloaded."""
    out: Path | None = None
    """Folder for scores.json, scores.csv, tables, plots and gallery.html."""
    record: bool = False
    """Also write each checkpoint's metrics to its metrics.json, which the web page shows."""
    device: Device = "auto"
    """Device to compute on; auto: the fastest that is there."""
    batch_size: int = 8
    """Images at once."""
    seed: int = 0
    """With --dropout: seed of its masks."""

    def __post_init__(self) -> None:
        folders = (self.outputs is not None) + (self.targets is not None)
        if folders == 1 or bool(self.checkpoints) == bool(folders):
            raise UserError(
                "evaluate: expected checkpoints, or both --outputs and --targets; "
                "see 'pix2pix-ilm evaluate --help'"
            )
        for name, least in (("samples", 1), ("batch_size", 1), ("seed", 0)):
            if (value := getattr(self, name)) < least:
                raise SettingError(name, f"at least {least}", value)
        if self.record and folders:
            raise UserError("--record: images from a folder have no checkpoint to record them in")
        for name in ("data", "split", "baselines", "dropout", "samples", "seed") if folders else ():
            if getattr(self, name) != getattr(Evaluate, name):
                raise UserError(f"--{name}: is for checkpoints, not for images from a folder")
        refuse_idle(self, {"samples": "dropout", "seed": "dropout", "fid_weights": "fid"})


def run(prog: str, arguments: list[str]) -> None:
    """Print the metric table of trained models, or of any images."""
    options = tyro.cli(Evaluate, prog=prog, args=arguments)
    from pix2pix_ilm.evaluation.evaluate import (
        evaluate_checkpoints,
        evaluate_folders,
        fitted_and_evaluated,
        make_scorer,
        measure_distances,
    )
    from pix2pix_ilm.evaluation.record import record_metrics
    from pix2pix_ilm.evaluation.report import terminal_report, write_report
    from pix2pix_ilm.evaluation.scores import Sampling

    sampling = Sampling(dropout=options.dropout, samples=options.samples, seed=options.seed)
    scorer = make_scorer(sampling, options.lpips_net, options.device, options.batch_size)
    if options.outputs and options.targets:
        evaluation = evaluate_folders(options.outputs, options.targets, scorer)
    else:
        fitted, _ = fitted_and_evaluated(options.split)
        baselines_from = fitted if options.baselines else None
        evaluation = evaluate_checkpoints(
            options.checkpoints, options.data, options.split, scorer, baselines_from=baselines_from
        )
    if not is_main_process():
        return
    console = make_console()
    try:
        if options.fid:
            evaluation = measure_distances(evaluation, options.device, options.fid_weights)
        if options.record:
            record_metrics(evaluation)
        if options.out:
            write_report(evaluation, options.out)
    finally:  # what was computed is shown, also where the rest fails
        console.print(terminal_report(evaluation, console.width))
    if options.out:
        say(f"Done: {options.out}")
