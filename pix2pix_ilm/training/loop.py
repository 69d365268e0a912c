"""The training loop: epochs, schedule, logging, samples, saves.

Every random draw of a step follows from (seed, process, step), and the order of an epoch from
(seed, epoch). So no state of a random generator is saved, and a resumed run continues exactly.
"""

import math
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from jaxtyping import Float, Int64
from torch import Tensor
from torchvision.utils import make_grid

from pix2pix_ilm import files
from pix2pix_ilm.data.augment import random_crop_flip
from pix2pix_ilm.data.cache import PairedImages
from pix2pix_ilm.data.images import write_image
from pix2pix_ilm.errors import SettingError, UserError
from pix2pix_ilm.files import make_folder
from pix2pix_ilm.inference import flushed_denormals, generate
from pix2pix_ilm.models.generator import UNetGenerator
from pix2pix_ilm.seeds import ORDER, STEP, derive_seed
from pix2pix_ilm.training import run_folder
from pix2pix_ilm.training.capture import CapturedStep, Compute, cuda_capture, on_a_side_stream
from pix2pix_ilm.training.config import TrainConfig
from pix2pix_ilm.training.interrupts import Interrupted, noting_signals
from pix2pix_ilm.training.progress import Reporter
from pix2pix_ilm.training.setup import (
    build_networks,
    load_data,
    make_accelerator,
    place_optimizers,
    resolve_step_mode,
)
from pix2pix_ilm.training.step import LOSS_NAMES, Networks, train_step

LOST = re.compile("by peer|remote worker|ncclRemoteError|NCCL communicator was aborted")
"""What gloo and NCCL say when a process is gone."""


def train(config: TrainConfig) -> Path:
    """Start a run; returns its folder.

    Raises:
        UserError: bad data or settings, losses that became infinite, a full disk.
        Interrupted: Ctrl-C, SIGTERM or SIGHUP; the run was saved and can be resumed.
    """
    accelerator = make_accelerator(config)
    train_pairs, val_pairs = load_data(config)
    record = run_folder.RunRecord(
        config=config,
        data_digest=train_pairs.digest,
        train=list(train_pairs.names),
        val=list(val_pairs.names),
        versions=run_folder.current_versions(),
        processes=accelerator.num_processes,
    )
    with new_folder(config, accelerator) as folder:
        if accelerator.is_main_process:
            files.write_json(folder / run_folder.RUN, record)
        Session(config, folder, accelerator, train_pairs, val_pairs).run()
    return folder


@contextmanager
def new_folder(config: TrainConfig, accelerator: Accelerator) -> Iterator[Path]:
    """Give all processes a new run's folder, which the main one makes and holds the lock of."""
    with ExitStack() as held:
        folders = [config.checkpoints]
        if accelerator.is_main_process:
            folders[0], lock = run_folder.create_folder(config)
            held.enter_context(lock)
        broadcast_object_list(folders)
        yield folders[0]


def resume(folder: Path, *, data: str | None = None, epochs: int | None = None) -> Path:
    """Continue a run from its last save, as if it had never stopped; errors as in ``train``.

    With another number of processes, each sees another share of the same global batch.

    Args:
        folder: the run's.
        data: where the training data lie now; unset: where they lay.
        epochs: train up to this epoch instead; the learning rate of every epoch to come is that of
            a run of so many epochs.

    Raises:
        LockedError: another process trains this run.
        UserError: the data are not those that the run was started with.
        SettingError: more epochs are done already.
    """
    started = run_folder.open_run(folder)
    record = replace(started, config=moved_or_longer(started.config, data, epochs))
    accelerator = make_accelerator(record.config)
    with run_folder.lock_run(folder) if accelerator.is_main_process else nullcontext():
        if accelerator.is_main_process:
            run_folder.remove_leftovers(folder)
        config = share_batch(record, accelerator.num_processes)
        train_pairs, val_pairs = load_data(config)
        if train_pairs.digest != record.data_digest:
            raise UserError(
                f"{record.config.data}: the training images are not those that {folder} was "
                "started with (their names or contents differ); restore them, or start a new run"
            )
        session = Session(config, folder, accelerator, train_pairs, val_pairs)
        check_end(session, by_flag=epochs is not None)
        if record != started and accelerator.is_main_process:
            files.write_json(folder / run_folder.RUN, record)
        session.run()
    return folder


def moved_or_longer(config: TrainConfig, data: str | None, epochs: int | None) -> TrainConfig:
    """Return a run's configuration with what resuming may change."""
    return replace(
        config,
        data=config.data if data is None else data,
        epochs=config.epochs if epochs is None else epochs,
    )


def check_end(session: "Session", *, by_flag: bool) -> None:
    """Refuse an end that lies before the last save: of a flag, or because the save is damaged."""
    if session.start <= session.total:
        return
    if not by_flag:
        state = session.folder / run_folder.STATE
        raise UserError(f"{state}: step: expected at most {session.total}, found {session.start}")
    done = math.ceil(session.start / session.steps_per_epoch)
    expected = f"at least {done}, of which step {session.start} is saved"
    raise SettingError("epochs", expected, session.config.epochs)


def share_batch(record: run_folder.RunRecord, processes: int) -> TrainConfig:
    """A run's configuration for this many processes, which keep its global batch.

    Raises:
        UserError: the global batch cannot be divided among them.
    """
    global_batch = record.config.batch_size * record.processes
    if global_batch % processes:
        raise UserError(
            f"this run sees {global_batch} pairs per step, which {processes} processes cannot "
            f"share evenly; resume with a number of processes that divides {global_batch}"
        )
    return replace(record.config, batch_size=global_batch // processes)


class Session:
    """One stretch of training, from a run's last save (or its start) to its end or a stop."""

    def __init__(
        self,
        config: TrainConfig,
        folder: Path,
        accelerator: Accelerator,
        pairs: PairedImages,
        samples: PairedImages,
    ) -> None:
        self.config = config
        self.folder = folder
        self.accelerator = accelerator
        self.pairs = pairs.to(accelerator.device)
        self.samples = samples.to(accelerator.device)
        self.networks = build_networks(config, accelerator)
        self.start = self.last_save = run_folder.restore(folder, self.plain_networks())
        self.mode = resolve_step_mode(config.step_mode, accelerator)
        place_optimizers(self.networks, accelerator.device, graph=self.mode == "graph")
        self.global_batch = config.batch_size * accelerator.num_processes
        self.steps_per_epoch = len(pairs) // self.global_batch
        self.total = config.epochs * self.steps_per_epoch
        self.losses: list[Tensor] = []  # since the last report; on the device
        self.order = (-1, torch.empty(0))  # the epoch, and its order of the pairs
        self.learning_rate: float | None = None
        self.update: Compute = self.compute

    def run(self) -> None:
        """Train to the end; raises Interrupted after a save if a signal asks to stop."""
        with (
            self.reporting() as reporter,
            noting_signals() as stop,
            flushed_denormals(),
            self.missing_others(),
        ):
            reporter.say(self.describe())
            self.update = self.accelerated(reporter.say)
            for step in range(self.start, self.total):
                self.losses.append(self.step(step))
                done = step + 1
                stopping = self.stopping(stop, done)
                saving = stopping or self.due(done, self.config.save_every)
                if saving or done % self.config.log_every == 0:
                    self.report(reporter, done)
                if self.due(done, self.config.sample_every):
                    self.draw_samples(done)
                if self.config.keep_every and self.due(done, self.config.keep_every):
                    self.keep_generator(done)
                if saving:
                    self.save(done)
                if stopping and done < self.total:
                    raise Interrupted(self.folder, done)

    def describe(self) -> str:
        """One line on what is trained, on what, and where."""
        networks = self.plain_networks()
        generator, discriminator = (
            f"{sum(weight.numel() for weight in network.parameters()) / 1e6:.1f} M"
            for network in (networks.generator, networks.discriminator)
        )
        return (
            f"{self.folder}: {len(self.pairs)} pairs at {self.config.image_size}x"
            f"{self.config.image_size}, {generator} + {discriminator} weights, "
            f"{self.accelerator.device}, steps {self.start} to {self.total}"
        )

    def due(self, done: int, every: int) -> bool:
        """Whether training ends here, or an epoch whose number is a multiple of ``every``."""
        epochs, rest = divmod(done, self.steps_per_epoch)
        return done == self.total or (rest == 0 and epochs % every == 0)

    def accelerated(self, say: Callable[[str], None]) -> Compute:
        """What computes steps: at once, or replayed as a CUDA graph."""
        if self.mode != "graph":
            return self.compute
        return CapturedStep(
            on_a_side_stream(self.compute),
            say,
            cuda_capture,
            fall_back=self.config.step_mode == "auto",
        )

    def step(self, step: int) -> Float[Tensor, "3"]:
        """Seed the step, choose its pairs, and update both networks on them."""
        config, process = self.config, self.accelerator.process_index
        torch.manual_seed(derive_seed(config.seed, STEP, process, step))
        self.set_learning_rate(config.learning_rate(step // self.steps_per_epoch))
        return self.update(self.batch(step))

    def compute(self, index: Int64[Tensor, " b"]) -> Float[Tensor, "3"]:
        """Cut random windows out of these pairs and update both networks on them."""
        config = self.config
        crops = random_crop_flip(index, config.stored_size, config.image_size, config.flip)
        return train_step(
            self.networks,
            crops.gather(self.pairs.label),
            crops.gather(self.pairs.photo),
            gan_loss=config.gan_loss,
            l1_weight=config.l1_weight,
            backward=self.accelerator.backward,
        )

    def set_learning_rate(self, learning_rate: float) -> None:
        """Give both optimisers the epoch's learning rate, in place where it is a tensor."""
        if learning_rate == self.learning_rate:
            return
        self.learning_rate = learning_rate
        networks = self.networks
        for optimizer in (networks.generator_optimizer, networks.discriminator_optimizer):
            for group in optimizer.param_groups:
                if isinstance(group["lr"], Tensor):
                    group["lr"].fill_(learning_rate)
                else:
                    group["lr"] = learning_rate

    def batch(self, step: int) -> Int64[Tensor, " b"]:
        """Which pairs this process sees in a step; no other process sees them in this epoch."""
        epoch, position = divmod(step, self.steps_per_epoch)
        if self.order[0] != epoch:
            generator = torch.Generator().manual_seed(derive_seed(self.config.seed, ORDER, epoch))
            order = torch.randperm(len(self.pairs), generator=generator)
            self.order = (epoch, order.to(self.accelerator.device))
        mine = position * self.global_batch + self.accelerator.process_index
        return self.order[1][mine : mine + self.global_batch : self.accelerator.num_processes]

    def report(self, reporter: Reporter, done: int) -> None:
        """Read the losses, of all processes, from the device; UserError if one is not finite."""
        if not self.losses:
            return
        losses = torch.as_tensor(self.accelerator.reduce(torch.stack(self.losses), "mean")).cpu()
        self.losses.clear()
        self.refuse_infinite(losses, done)
        means: dict[str, float] = dict(zip(LOSS_NAMES, losses.mean(dim=0).tolist(), strict=True))
        epoch = (done - 1) // self.steps_per_epoch
        reporter.losses(done, means, self.config.learning_rate(epoch))

    def refuse_infinite(self, losses: Float[Tensor, "n 3"], done: int) -> None:
        """Stop before weights that are lost overwrite the last good save."""
        bad = (~losses.isfinite()).nonzero()
        if len(bad):
            row, column = bad[0].tolist()
            where = f"step {self.last_save} is saved in {self.folder}"
            raise UserError(
                f"step {done - len(losses) + row + 1}: the {LOSS_NAMES[column]} loss became "
                f"{losses[row, column].item()}; "
                f"{where if self.last_save else 'nothing was saved yet'}; try a lower --lr"
            )

    def save(self, done: int) -> None:
        """Write the state of all networks, in the main process."""
        if self.accelerator.is_main_process:
            run_folder.save(self.folder, self.plain_networks(), done, self.config)
        self.last_save = done

    def keep_generator(self, done: int) -> None:
        """Write the generator to a folder of its own, to compare epochs later."""
        if self.accelerator.is_main_process:
            folder = self.folder / "epochs" / f"{done // self.steps_per_epoch:04d}"
            make_folder(folder)
            generator = self.plain_networks().generator
            run_folder.export_generator(folder, generator, done, self.config)

    def draw_samples(self, done: int) -> None:
        """Write a grid of validation pairs: label maps above outputs above photos."""
        if not self.accelerator.is_main_process:
            return
        generator, label = self.plain_networks().generator, self.samples.label
        assert isinstance(generator, UNetGenerator)
        output = torch.cat([generate(generator, one) for one in label.split(1)])
        channels = max(label.shape[3], output.shape[3])
        rows = [
            images.permute(0, 3, 1, 2).expand(-1, channels, -1, -1)
            for images in (label, output, self.samples.photo)
        ]
        grid = make_grid(torch.cat(rows), nrow=len(label), padding=4, pad_value=255)
        folder = self.folder / "samples"
        make_folder(folder)
        write_image(folder / f"step-{done:07d}.png", grid.permute(1, 2, 0).cpu().numpy())

    def stopping(self, stop: list[int], done: int) -> bool:
        """Whether to stop here: a signal came, to any process if there are several."""
        if self.accelerator.num_processes == 1:
            return bool(stop)
        if done % self.config.log_every:
            return False  # the processes agree where they meet anyway
        heard = torch.tensor([len(stop)], device=self.accelerator.device)
        return bool(torch.as_tensor(self.accelerator.gather(heard)).any())

    def reporting(self) -> Reporter:
        """A reporter for this stretch; trackers forget the steps that will be done again."""
        self.accelerator.project_configuration.logging_dir = str(self.folder)
        self.accelerator.init_trackers(
            "tensorboard" if self.config.tracker == "tensorboard" else "pix2pix-ilm",
            init_kwargs={"tensorboard": {"purge_step": self.start + 1}},
        )
        return Reporter(
            self.folder / run_folder.METRICS,
            self.accelerator,
            start=self.start,
            total=self.total,
            steps_per_epoch=self.steps_per_epoch,
            images_per_step=self.global_batch,
        )

    @contextmanager
    def missing_others(self) -> Iterator[None]:
        """Say in one line that another process of the training is gone."""
        try:
            yield
        except RuntimeError as error:
            if self.accelerator.num_processes == 1 or not LOST.search(str(error)):
                raise
            where = f"step {self.last_save} is saved" if self.last_save else "nothing is saved yet"
            raise UserError(
                f"{self.folder}: another process of this training ended, so this one ends too "
                f"({where}); its own message says why; then start all again with --resume"
            ) from None

    def plain_networks(self) -> Networks:
        """The networks without what distributes them, to save and restore."""
        unwrap = self.accelerator.unwrap_model
        networks = self.networks
        return replace(
            networks,
            generator=unwrap(networks.generator),
            discriminator=unwrap(networks.discriminator),
        )
