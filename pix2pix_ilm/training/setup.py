"""Parts of a run: device and processes, networks, and its step."""

import warnings
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.tracking import get_available_trackers
from accelerate.utils import DistributedDataParallelKwargs
from jaxtyping import Float, Int64
from torch import Tensor, nn

from pix2pix_ilm.checkpoints import (
    discriminator_weights,
    load_weights,
    read_model_config,
    resolve_checkpoint,
)
from pix2pix_ilm.data.augment import random_crop_flip, random_crop_size
from pix2pix_ilm.data.cache import PairedImages
from pix2pix_ilm.data.images import encode_label_maps
from pix2pix_ilm.data.palette import Palette
from pix2pix_ilm.devices import is_main_process, pick_device
from pix2pix_ilm.errors import SettingError
from pix2pix_ilm.metrics import LPIPS_SMALLEST
from pix2pix_ilm.models.discriminator import PatchDiscriminator
from pix2pix_ilm.models.generator import UNetGenerator, init_weights
from pix2pix_ilm.seeds import CONVOLUTION, INIT, derive_seed
from pix2pix_ilm.terminal import say
from pix2pix_ilm.training.config import StepMode, TrainConfig
from pix2pix_ilm.training.cuda_graph import CapturedStep, Step, cuda_capture, on_a_side_stream
from pix2pix_ilm.training.ema import average_weights
from pix2pix_ilm.training.step import Networks, train_step


def make_accelerator(config: TrainConfig) -> Accelerator:
    """Return device, precision and processes, as configured and as torchrun set them.

    Raises:
        SettingError: no such device, or a tracker that is not installed.
    """
    if config.tracker != "none" and config.tracker not in map(str, get_available_trackers()):
        raise SettingError(
            "tracker",
            "one that is installed, such as tensorboard",
            config.tracker,
            f"'pip install {config.tracker}' installs it",
        )
    accelerator = Accelerator(
        cpu=pick_device(config.device).type == "cpu",  # or processes do not find one another
        mixed_precision="bf16" if config.precision == "bf16" else "no",
        log_with=None if config.tracker == "none" else config.tracker,
        project_dir=config.checkpoints,
        # BatchNorm's averages differ between processes; the main one's are saved. Broadcasting them
        # would change in place what the two calls of the discriminator still need.
        kwargs_handlers=[DistributedDataParallelKwargs(broadcast_buffers=False)],
    )
    resolve_step_mode(config.step_mode, accelerator)  # refuse it before there is a folder
    if accelerator.device.type == "cuda":
        torch.backends.cudnn.benchmark = True  # steps have one shape, or five
        torch.backends.cudnn.allow_tf32 = config.precision == "tf32"
        torch.set_float32_matmul_precision("high" if config.precision == "tf32" else "highest")
    return accelerator


def resolve_step_mode(mode: StepMode, accelerator: Accelerator) -> StepMode:
    """Return eager, compile or graph: what "auto" stands for here, else the mode itself.

    Raises:
        SettingError: a CUDA graph where there is none to be had.
    """
    graphs = accelerator.device.type == "cuda" and accelerator.num_processes == 1
    if mode == "graph" and not graphs:
        here = f"{accelerator.num_processes} on {accelerator.device.type}"
        expected = f"auto, eager or compile without one process on a CUDA device (here: {here})"
        raise SettingError("step_mode", expected, mode)
    if mode == "auto":
        return "graph" if graphs else "eager"
    return mode


def build_networks(
    config: TrainConfig, accelerator: Accelerator, *, saved: bool = False
) -> Networks:
    """Return networks as a training starts with them, and their optimizers, on the device.

    Args:
        config: the settings.
        accelerator: device, precision and processes.
        saved: a save will be restored, so that other weights to start from need not be there.

    Raises:
        UserError: weights to start from that are not there, or of another architecture.
    """
    mode = resolve_step_mode(config.step_mode, accelerator)
    torch.manual_seed(derive_seed(config.seed, INIT))
    generator = config.sized_generator
    channels = generator.in_channels + generator.out_channels
    networks = (
        UNetGenerator(generator),
        PatchDiscriminator(config.discriminator, channels),
    )
    for number, network in enumerate(networks):
        draw_convolutions(network, config.seed, number)
    if config.init_from is not None and not saved:
        theirs = read_model_config(config.init_from)  # classes first: channels follow from them
        if not same_classes(theirs.palette, config.label_classes):
            names = [p.title if p else "none" for p in (theirs.palette, config.label_classes)]
            expected = f"{names[0]}, as {config.init_from} has"
            raise SettingError("label_classes", expected, names[1])
        load_weights(networks[0], config.init_from)
        problem = load_discriminator(networks[1], resolve_checkpoint(config.init_from))
        if is_main_process():
            taken = f"generator alone: {problem}" if problem else "generator and discriminator"
            say(f"{config.init_from}: starting from its {taken}")
    for network in networks:
        network.to(accelerator.device)
    average = average_weights(networks[0], config.ema) if config.ema else None
    if mode == "compile" or (mode == "graph" and compiles(accelerator.device)):
        torch.compiler.reset()  # variants of the process's earlier trainings count for its limit
        for network in networks:
            network.compile()
    betas = (config.beta1, config.beta2)
    optimizers = (torch.optim.Adam(n.parameters(), config.lr, betas, fused=True) for n in networks)
    with warnings.catch_warnings():  # newer versions of PyTorch rename the option
        warnings.filterwarnings("ignore", r"`broadcast_buffers` is deprecated", FutureWarning)
        return Networks(*accelerator.prepare(*networks, *optimizers), average=average)


def load_discriminator(discriminator: nn.Module, folder: Path) -> str:
    """Load the discriminator that a checkpoint has beside its generator, if it is of this kind.

    Args:
        discriminator: on the CPU.
        folder: the checkpoint's.

    Returns:
        Why it was not loaded; empty if it was.

    Raises:
        UserError: the file is damaged; names it.
    """
    own = discriminator.state_dict()
    weights = discriminator_weights(folder, own)
    if not weights:
        return "it has no discriminator"
    theirs, ours = ({name: tuple(x.shape) for name, x in of.items()} for of in (weights, own))
    for name in theirs | ours:
        if theirs.get(name) != ours.get(name):
            found, expected = (of.get(name, "nothing") for of in (theirs, ours))
            return f"its discriminator's {name} is {found}, this one's {expected}"
    discriminator.load_state_dict(weights)
    return ""


def same_classes(first: Palette | None, second: Palette | None) -> bool:
    """Return True if networks see the same, whatever the classes are called."""
    if first is None or second is None:
        return first is second
    return first.content_hash == second.content_hash


def draw_convolutions(network: nn.Module, seed: int, number: int) -> None:
    """Draw every convolution's weights from a random generator of its own.

    So trainings of one seed start with the same convolutions, whatever their norms draw, and
    however wide the layers are that differ.

    Args:
        network: on the CPU.
        seed: the training's.
        number: the network's among those of the training.
    """
    kinds = nn.Conv2d, nn.ConvTranspose2d
    for place, layer in enumerate(one for one in network.modules() if isinstance(one, kinds)):
        own = torch.Generator().manual_seed(derive_seed(seed, CONVOLUTION, number, place))
        init_weights(layer, own)


def compiles(device: torch.device) -> bool:
    """Return True if torch.compile works here, tried on something small: it needs a compiler."""
    try:
        torch.compile(lambda x: (x + 1).relu())(torch.zeros(8, device=device))
    except Exception:  # whatever a missing or broken compiler raises
        return False
    return True


def make_step(
    config: TrainConfig,
    accelerator: Accelerator,
    networks: Networks,
    pairs: PairedImages,
    say: Callable[[str], None],
) -> Step:
    """Return the training step, eager or replayed as a CUDA graph, one for every size of crops.

    It takes positions of pairs, (b,) int64 on the device, cuts random windows out of those pairs,
    updates both networks on them, and returns the objective's losses, there.

    Args:
        config: the settings.
        accelerator: device, precision and processes.
        networks: what is trained, as ``build_networks`` made and a save restored it.
        pairs: the training images, on the device.
        say: prints a line.
    """
    mode = resolve_step_mode(config.step_mode, accelerator)
    place_optimizers(networks, accelerator.device, graph=mode == "graph")
    say_once = cache(say)  # what hinders the capture of one size hinders that of all

    def step(size: int, index: Int64[Tensor, " b"]) -> Float[Tensor, " losses"]:
        crops = random_crop_flip(index, config.stored_size, size, config.flip)
        return train_step(
            networks,
            encode_label_maps(crops.cut(pairs.label_map), pairs.palette),
            crops.gather(pairs.photo),
            config.objective,
            accelerator.backward,
            config.image_size,
        )

    @cache
    def step_at(size: int) -> Step:
        of_size = partial(step, size)
        if mode != "graph":
            return of_size
        fall_back = config.step_mode == "auto"
        return CapturedStep(on_a_side_stream(of_size), say_once, cuda_capture, fall_back=fall_back)

    smallest = max(config.discriminator.smallest_image, LPIPS_SMALLEST if config.perceptual else 1)

    def step_of_random_size(index: Int64[Tensor, " b"]) -> Float[Tensor, " losses"]:
        return step_at(random_crop_size(config.image_size, config.zoom, smallest))(index)

    return step_of_random_size


def place_optimizers(networks: Networks, device: torch.device, *, graph: bool) -> None:
    """Let the optimizers work on this device, whatever a restored state says of another one.

    For a CUDA graph the learning rate is a tensor, and steps are counted on the device.
    """
    for optimizer in (networks.generator_optimizer, networks.discriminator_optimizer):
        for group in optimizer.param_groups:
            lr = float(group["lr"])
            group["lr"] = torch.tensor(lr, device=device) if graph else lr
            group["capturable"] = graph
