"""The training loop: what a step is made of, when losses are read, and when a run is saved.

Every random draw of a step follows from (seed, process, step), and the order of an epoch from
(seed, epoch). So no state of a random generator is saved, and a resumed run continues exactly.
"""

import math
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor

from pix2pix_ilm import files
from pix2pix_ilm.errors import SettingError, UserError
from pix2pix_ilm.inference import flushed_denormals
from pix2pix_ilm.seeds import ORDER, STEP, derive_seed
from pix2pix_ilm.training import run_folder
from pix2pix_ilm.training.config import TrainConfig
from pix2pix_ilm.training.curves import write_curves
from pix2pix_ilm.training.data import RunData, load_data
from pix2pix_ilm.training.diagnostics import write_diagnosis
from pix2pix_ilm.training.interrupts import Interrupted, catch_signals, report_lost_peers
from pix2pix_ilm.training.logging import Reporter, mean_losses, read_losses
from pix2pix_ilm.training.settings import describe_generator
from pix2pix_ilm.training.setup import (
    build_networks,
    make_accelerator,
    make_step,
)
from pix2pix_ilm.training.step import Networks
from pix2pix_ilm.training.trackers import log_samples
from pix2pix_ilm.training.validation import Validation, write_samples


def train(config: TrainConfig) -> Path:
    """Start a run; returns its folder.

    Raises:
        UserError: bad data or settings, losses that became infinite, a full disk.
        Interrupted: Ctrl-C, SIGTERM or SIGHUP; the run was saved and can be resumed.
    """
    accelerator = make_accelerator(config)
    images = load_data(config).to(accelerator.device)
    record = run_folder.RunRecord(
        config=config,
        data_digest=images.train.digest,
        train=list(images.train.names),
        val=images.val_names,
        versions=run_folder.current_versions(),
        processes=accelerator.num_processes,
    )
    networks = build_networks(config, accelerator)  # refused before there is a folder
    with run_folder.share_new_folder(config, accelerator) as folder:
        if accelerator.is_main_process:
            files.write_json(folder / run_folder.RUN, record)
        TrainingRun(config, folder, accelerator, networks, images).run()
    return folder


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
    record = run_folder.move_or_lengthen(started, data, epochs)
    accelerator = make_accelerator(record.config)
    with run_folder.lock_run(folder) if accelerator.is_main_process else nullcontext():
        if accelerator.is_main_process:
            run_folder.remove_leftovers(folder)
        config = run_folder.share_batch(record, accelerator.num_processes)
        images = load_data(config).to(accelerator.device)
        if images.train.digest != record.data_digest:
            raise UserError(
                f"{record.config.data}: the training images are not those that {folder} was "
                "started with (their names or contents differ); restore them, or start a new run"
            )
        saved = (folder / run_folder.STATE).exists()
        networks = build_networks(config, accelerator, saved=saved)
        run = TrainingRun(config, folder, accelerator, networks, images)
        run.check_end(by_flag=epochs is not None)
        if record != started and accelerator.is_main_process:
            files.write_json(folder / run_folder.RUN, record)
        run.run()
    return folder


class TrainingRun:
    """One stretch of training, from a run's last save (or its start) to its end or a stop.

    Args:
        config: the settings, with each process's batch size.
        folder: the run's; a save in it is restored.
        accelerator: device, precision and processes.
        networks: as ``build_networks`` makes them.
        images: to train on, to draw samples from, and to validate on; on the device.
    """

    def __init__(
        self,
        config: TrainConfig,
        folder: Path,
        accelerator: Accelerator,
        networks: Networks,
        images: RunData,
    ) -> None:
        self.config = config
        self.folder = folder
        self.accelerator = accelerator
        self.pairs, self.samples = images.train, images.samples
        self.networks = networks
        self.saved_networks = self.networks.unwrap(accelerator)
        self.start = self.last_save = run_folder.restore(folder, self.saved_networks)
        self.validation = None
        if images.validation is not None:
            logged = read_losses(folder / run_folder.METRICS)
            earlier = [row for _, row in logged if row.step <= self.start]
            self.validation = Validation(images.validation, config, earlier)
        self.global_batch = config.batch_size * accelerator.num_processes
        whole = replace(config, batch_size=self.global_batch)
        self.model_config = describe_generator(whole, images.train.digest)
        self.steps_per_epoch = len(self.pairs) // self.global_batch
        self.total = config.epochs * self.steps_per_epoch

    def run(self) -> None:
        """Train to the end; raises Interrupted after a save if a signal asks to stop."""
        config, accelerator = self.config, self.accelerator
        losses: list[Tensor] = []  # of the steps since they were last read
        order, learning_rate = torch.empty(0), config.lr
        with (
            self.open_reporter() as reporter,
            catch_signals() as signals,
            report_lost_peers(self.folder, accelerator, self.tell_last_save),
            flushed_denormals(),
        ):
            reporter.begin(self.saved_networks, len(self.pairs), config.image_size)
            train_step = make_step(config, accelerator, self.networks, self.pairs, reporter.say)

            for step in range(self.start, self.total):
                epoch, position = divmod(step, self.steps_per_epoch)
                done = step + 1

                # Once an epoch: learning rate, and the order of the pairs.
                if position == 0 or step == self.start:
                    learning_rate = config.learning_rate(epoch)
                    self.networks.set_learning_rate(learning_rate)
                    order = self.draw_order(epoch)

                # Crops, flips and dropout of this process and step all follow from this seed.
                torch.manual_seed(derive_seed(config.seed, STEP, accelerator.process_index, step))

                # No two processes see the same pair in an epoch.
                first = position * self.global_batch + accelerator.process_index
                index = order[first : first + self.global_batch : accelerator.num_processes]

                # Update both networks. Losses stay on the device, so that Python can run ahead.
                losses.append(train_step(index))
                self.saved_networks.update_average()

                # Here, and only here, host and device meet: whoever reads a loss waits for it.
                stopping = self.is_stopping(signals, done)
                saving = stopping or self.is_due(done, config.save_every)
                validating = self.is_due(done, config.validate_every)
                keeping = self.is_due(done, config.keep_every)
                looking = self.is_due(done, config.sample_every, config.diagnose_every)
                if saving or validating or keeping or looking or done % config.log_every == 0:
                    names = config.objective.loss_names
                    means = mean_losses(losses, names, accelerator, done, self.tell_last_save)
                    self.check_run(done)
                    measured = self.validate(done) if validating else {}
                    reporter.report(done, means | measured, learning_rate)
                    losses.clear()

                # What can be looked at, and what training continues from.
                self.show(done)
                if keeping:
                    self.keep_generator(done)
                if saving:
                    self.save(done)
                if stopping and done < self.total:
                    raise Interrupted(self.folder, done)

    def open_reporter(self) -> Reporter:
        """Return what shows and keeps the losses of this stretch."""
        return Reporter(
            self.folder,
            self.accelerator,
            self.config,
            start=self.start,
            total=self.total,
            steps_per_epoch=self.steps_per_epoch,
            images_per_step=self.global_batch,
        )

    def draw_order(self, epoch: int) -> Tensor:
        """Return an epoch's order of all pairs: their positions, (n,) int64 on the device."""
        generator = torch.Generator().manual_seed(derive_seed(self.config.seed, ORDER, epoch))
        return torch.randperm(len(self.pairs), generator=generator).to(self.accelerator.device)

    def is_due(self, done: int, *every: int | None) -> bool:
        """Return True at the end of epochs that are multiples, and of training; never for None."""
        epochs, rest = divmod(done, self.steps_per_epoch)
        last = done == self.total
        return any(last or (rest == 0 and epochs % one == 0) for one in every if one is not None)

    def is_stopping(self, signals: list[int], done: int) -> bool:
        """Return True if a signal asked this process to stop, or any process if there are more."""
        if self.accelerator.num_processes == 1:
            return bool(signals)
        if done % self.config.log_every:
            return False  # the processes agree where they meet anyway
        heard = torch.tensor([len(signals)], device=self.accelerator.device)
        return bool(torch.as_tensor(self.accelerator.gather(heard)).any())

    def check_end(self, *, by_flag: bool) -> None:
        """Refuse an end before the last save: one that a flag gives, or a save that is damaged."""
        if self.start <= self.total:
            return
        if not by_flag:
            state = self.folder / run_folder.STATE
            raise UserError(f"{state}: step: expected at most {self.total}, found {self.start}")
        done = math.ceil(self.start / self.steps_per_epoch)
        expected = f"at least {done}, of which step {self.start} is saved"
        raise SettingError("epochs", expected, self.config.epochs)

    def check_run(self, done: int) -> None:
        """Refuse to go on without the run's folder, or with weights that no loss shows as lost."""
        if self.accelerator.is_main_process and not self.folder.is_dir():
            raise UserError(
                f"{self.folder}: is not there any more; if it was moved, 'pix2pix-ilm train "
                "--resume' with its new place goes on from the last save"
            )
        if not self.saved_networks.finite:
            raise UserError(
                f"step {done}: the weights became infinite; {self.tell_last_save()}; try a lower "
                "learning rate"
            )

    def save(self, done: int) -> None:
        """Write the state of all networks, in the main process."""
        if self.accelerator.is_main_process:
            run_folder.save_run(self.folder, self.saved_networks, done, self.model_config)
        self.last_save = done

    def show(self, done: int) -> None:
        """Write a sample grid, curves, and a diagnosis, where they are due."""
        if not self.accelerator.is_main_process:
            return
        if self.is_due(done, self.config.sample_every):
            generator = self.saved_networks.generator_in_use
            grid = write_samples(self.folder, generator, self.samples, done)
            log_samples(self.accelerator, grid, done)
        if self.config.validate_every and self.is_due(done, self.config.save_every):
            write_curves(self.folder)
        if self.is_due(done, self.config.diagnose_every):
            epoch = done // self.steps_per_epoch
            objective = self.config.objective
            write_diagnosis(self.folder, self.saved_networks, self.samples, objective, done, epoch)

    def keep_generator(self, done: int) -> None:
        """Write the generator to a folder of its own, to compare epochs later."""
        if self.accelerator.is_main_process:
            folder = self.folder / "epochs" / f"{done // self.steps_per_epoch:04d}"
            files.make_folder(folder)
            generator = self.saved_networks.generator_in_use
            run_folder.export_generator(folder, generator, done, self.model_config)
            run_folder.drop_older(folder.parent, self.config.keep_last)

    def validate(self, done: int) -> dict[str, float]:
        """Measure the generator in use, in the main process; keep it if it is the best."""
        if self.validation is None or not self.accelerator.is_main_process:
            return {}
        measured = self.validation.measure(self.saved_networks.generator_in_use)
        if self.validation.is_best(measured):
            run_folder.export_best(self.folder, self.saved_networks, done, self.model_config)
        return measured

    def tell_last_save(self) -> str:
        """Return what a message about a failure says of the steps that are kept."""
        if not self.last_save:
            return "nothing was saved yet"
        return f"step {self.last_save} is saved in {self.folder}"
