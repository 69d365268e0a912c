"""ILM Norm in any torch network: its normalization layers exchanged, their weights kept."""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from fnmatch import fnmatchcase
from functools import partial
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.convnext import LayerNorm2d
from torchvision.ops import FrozenBatchNorm2d

from pix2pix_ilm.models.conversion_report import ChangedLayer, Conversion, LeftLayer
from pix2pix_ilm.models.norms import Activation, GroupNorm, ILMNorm2d, Standardization

Select = str | Callable[[str, nn.Module], bool]
Layers = Mapping[nn.Module, Sequence[str]]
"""Layers with every name that the network has for each."""

# These very types: a subclass may compute something else. (The second GroupNorm is our own.)
CONVERTIBLE = (nn.InstanceNorm2d, nn.GroupNorm, GroupNorm, LayerNorm2d, nn.BatchNorm2d)
REPORTED = (
    *CONVERTIBLE,
    *(nn.LayerNorm, nn.InstanceNorm1d, nn.InstanceNorm3d),
    *(nn.BatchNorm1d, nn.BatchNorm3d, nn.SyncBatchNorm, FrozenBatchNorm2d, ILMNorm2d),
)


def convert_norms(
    module: nn.Module,
    key_group_size: int = 16,
    *,
    select: Select | None = None,
    example: Any = None,  # noqa: ANN401
    batch_norm: bool = False,
    reduction: int = 16,
    correction: int = 0,
    mean_activation: Activation = torch.tanh,
    var_activation: Activation = torch.sigmoid,
    report: Callable[[Conversion], object] | None = None,
) -> nn.Module:
    """Replace a network's InstanceNorm2d, GroupNorm and LayerNorm2d layers by their ILM versions.

    The statistics that standardize stay those of the layer, and so do eps, device, dtype and mode.
    Weight and bias are the layer's own parameters, under their old names: an optimizer that holds
    them keeps its grip, and a frozen one stays frozen. The auto-encoder is new, and what it adds
    changes what a trained network computes until it is trained, too: convert before the optimizer
    is made, and before the network is compiled or wrapped for several processes. Hooks of a
    replaced layer go with it. A layer used in several places is converted once, and stays shared.

    torchvision's LayerNorm2d standardizes each position over its channels; the ILM paper's LN takes
    the statistics of all channels and positions of an instance, and so does its ILM version here:
    that layer changes by more than the auto-encoder.

    Nothing is changed where an error is raised.

    Args:
        module: any network, or a normalization layer by itself. Changed in place.
        key_group_size: K, channels per key group; must divide every converted layer's channels.
            The paper uses 16 for classification and 1 for pix2pix.
        select: which layers: a pattern of their names such as ``"roi_heads.box_head.*"``
            (``fnmatch``, case-sensitive), or a function of name and layer. All without it.
        example: an input for a trial run, a tuple for several. With it, layers that receive nothing
            but 1x1 maps are known, and left: under instance standardization such a map is erased.
            So are layers that receive anything but (B, C, H, W), or an InstanceNorm2d's (C, H, W).
            Layers that the trial does not reach are converted. A copy of the module runs, in
            evaluation mode, without gradients: weights, buffers, mode and random state stay as
            they are.
        batch_norm: also convert BatchNorm2d, to ILM over *instance* standardization; the running
            statistics are lost. Refused without it, as the paper is about instance-level norms.
        reduction: see ``ILMNorm2d``, also for the next three.
        correction: 1 for the arithmetic of the authors' released code.
        mean_activation: bounds D_mu.
        var_activation: bounds D_gamma.
        report: called with what was done; ``report=print`` shows it.

    Returns:
        The module; the ILM Norm in its place if the module is itself such a layer.

    Raises:
        ValueError: a selected BatchNorm2d without ``batch_norm``, an InstanceNorm2d that tracks
            running statistics, a ``key_group_size`` that does not fit, or nothing to convert.
    """
    layers, left = choose(module, select, batch_norm, example)
    check_key_groups(layers, key_group_size)
    build = partial(
        ILMNorm2d,
        key_group_size=key_group_size,
        reduction=reduction,
        correction=correction,
        mean_activation=mean_activation,
        var_activation=var_activation,
    )
    versions = {
        layer: ilm_version(layer, nearest_tensor(module, names[0]), build)
        for layer, names in layers.items()
    }
    changed = tuple(changed_layer(names, layer, versions[layer]) for layer, names in layers.items())
    conversion = Conversion(changed, left, count_weights(module))
    for layer, names in layers.items():
        for name in filter(None, names):
            module.set_submodule(name, versions[layer])
    if report:
        report(conversion)
    return versions.get(module, module)


def choose(
    module: nn.Module,
    select: Select | None,
    batch_norm: bool,
    example: Any,  # noqa: ANN401
) -> tuple[Layers, tuple[LeftLayer, ...]]:
    """Choose the layers to convert, with their names, and those to leave, with the reasons."""
    norms = named_norms(module)
    reasons = reasons_to_leave(norms, select)
    layers = {layer: names for layer, names in norms.items() if layer not in reasons}
    check_statistics(layers, batch_norm)
    if example is not None:
        reasons |= reasons_in_trial(module, layers, example)
        layers = {layer: names for layer, names in layers.items() if layer not in reasons}
    left = tuple(LeftLayer((*norms[layer],), kind(layer), why) for layer, why in reasons.items())
    check_found(layers, left)
    return layers, left


def named_norms(module: nn.Module) -> dict[nn.Module, list[str]]:
    """Return every normalization layer, also of kinds that are not converted, with all names."""
    norms: dict[nn.Module, list[str]] = defaultdict(list)
    for name, layer in module.named_modules(remove_duplicate=False):
        if isinstance(layer, REPORTED):
            norms[layer].append(name)
    return dict(norms)


def reasons_to_leave(norms: Layers, select: Select | None) -> dict[nn.Module, str]:
    """Return the layers whose type or name excludes them, with the reason."""
    reasons: dict[nn.Module, str] = {}
    for layer, names in norms.items():
        if type(layer) not in CONVERTIBLE:
            already = isinstance(layer, ILMNorm2d)
            reasons[layer] = "is ILM Norm already" if already else "not a type that is converted"
        elif not any(is_selected(name, layer, select) for name in names):
            reasons[layer] = "not selected"
    return reasons


def is_selected(name: str, layer: nn.Module, select: Select | None) -> bool:
    """Return True if a layer's name matches the pattern, or the function says so."""
    if select is None:
        return True
    return fnmatchcase(name, select) if isinstance(select, str) else bool(select(name, layer))


def reasons_in_trial(module: nn.Module, layers: Layers, example: Any) -> dict[nn.Module, str]:  # noqa: ANN401
    """Return the layers that a trial run shows to be no place for ILM Norm, with the reason."""
    reasons: dict[nn.Module, str] = {}
    for layer, shapes in shapes_seen(module, layers, example).items():
        allowed = (3, 4) if isinstance(layer, nn.InstanceNorm2d) else (4,)
        strange = [tuple(shape) for shape in shapes if len(shape) not in allowed]
        if strange:
            reasons[layer] = f"receives {strange[0]}, not (B, C, H, W)"
        elif all(shape[-2:] == (1, 1) for shape in shapes):
            reasons[layer] = "receives 1x1 maps"
    return reasons


def shapes_seen(
    module: nn.Module,
    layers: Layers,
    example: Any,  # noqa: ANN401
) -> dict[nn.Module, set[torch.Size]]:
    """Return the shapes of each layer's inputs that an example reaches, from a run of a copy."""
    seen: dict[nn.Module, set[torch.Size]] = defaultdict(set)

    def record(
        layer: nn.Module, _: nn.Module, inputs: tuple[Tensor, ...], named: dict[str, Tensor]
    ) -> None:
        (maps,) = (*inputs, *named.values())
        seen[layer].add(maps.shape)

    twin = deepcopy(module).eval()
    for layer, names in layers.items():
        twin.get_submodule(names[0]).register_forward_pre_hook(
            partial(record, layer), with_kwargs=True
        )
    devices = {weight.get_device() for weight in module.parameters() if weight.is_cuda}
    with torch.no_grad(), torch.random.fork_rng(sorted(devices)):
        twin(*(example if isinstance(example, tuple) else (example,)))
    return dict(seen)


def check_statistics(layers: Layers, batch_norm: bool) -> None:
    """Reject layers whose running statistics the ILM version would forget."""
    for layer, names in layers.items():
        if isinstance(layer, nn.BatchNorm2d) and not batch_norm:
            raise ValueError(
                f"{names[0] or 'module'}: expected an instance-level norm, found a BatchNorm2d, "
                "whose statistics are of the batch; batch_norm=True converts it to instance "
                "standardization without its running statistics, select= leaves it out"
            )
        if isinstance(layer, nn.InstanceNorm2d) and layer.track_running_stats:
            raise ValueError(
                f"{names[0] or 'module'}: expected track_running_stats=False, found True: ILM Norm "
                "has no running statistics to evaluate with; select= leaves the layer out"
            )


def check_found(layers: Layers, left: Sequence[LeftLayer]) -> None:
    """Refuse a module in which nothing can be converted."""
    if not layers:
        found = Counter(f"{layer.kind} ({layer.reason})" for layer in left)
        listed = ", ".join(f"{count} {what}" for what, count in found.items())
        raise ValueError(
            "module: expected an InstanceNorm2d, GroupNorm or LayerNorm2d layer to convert, "
            f"found {listed or 'no normalization layer'}; see select= and example="
        )


def check_key_groups(layers: Layers, key_group_size: int) -> None:
    """Reject a key group size that does not divide all the channels, and say which one would."""
    channels = {names[0]: grouping(layer)[0] for layer, names in layers.items()}
    size = max(key_group_size, 0)
    misfits = [name for name, number in channels.items() if not size or number % size]
    if misfits:
        first, others = misfits[0], len(misfits) - 1
        raise ValueError(
            f"key_group_size: expected a divisor of every converted layer's channels, found "
            f"{key_group_size}, but {first or 'module'} has {channels[first]}"
            f"{f' (and {others} more layers do not fit)' if others else ''}; "
            f"{math.gcd(size or 1, *channels.values())} would fit, or leave layers out with select="
        )


def ilm_version(layer: nn.Module, like: Tensor, build: Callable[..., ILMNorm2d]) -> ILMNorm2d:
    """Make an ILM Norm with the layer's statistics and parameters, on the device of ``like``."""
    num_channels, num_groups = grouping(layer)
    limits: dict[int, Standardization] = {1: "layer", num_channels: "instance"}
    with torch.device(like.device):
        ilm = build(num_channels, limits.get(num_groups, "group"), num_groups, eps=layer.eps)
    ilm.to(like.dtype).train(layer.training)
    if isinstance(layer.weight, nn.Parameter):
        ilm.weight = layer.weight
    if isinstance(layer.bias, nn.Parameter):
        ilm.bias = layer.bias
    return ilm


def grouping(layer: nn.Module) -> tuple[int, int]:
    """Return the channels, and how many groups of them share statistics."""
    if isinstance(layer, nn.GroupNorm):
        return layer.num_channels, layer.num_groups
    if isinstance(layer, LayerNorm2d):
        return layer.normalized_shape[0], 1
    assert isinstance(layer, nn.InstanceNorm2d | nn.BatchNorm2d)
    return layer.num_features, layer.num_features


def nearest_tensor(module: nn.Module, name: str) -> Tensor:
    """Return a weight of the layer, or of the closest module around it, whose device it shares."""
    around = module.get_submodule(name)
    for tensor in chain(around.parameters(), around.buffers()):
        if tensor.is_floating_point():
            return tensor
    return nearest_tensor(module, name.rpartition(".")[0]) if name else torch.empty(0)


def changed_layer(names: Sequence[str], layer: nn.Module, ilm: ILMNorm2d) -> ChangedLayer:
    """Report one layer and its ILM version."""
    added = count_weights(ilm) - count_weights(layer)
    return ChangedLayer((*names,), kind(layer), ilm.standardization, ilm.num_channels, added)


def kind(layer: nn.Module) -> str:
    """Return the name of a layer's type."""
    return type(layer).__name__


def count_weights(module: nn.Module) -> int:
    """Count a module's weights."""
    return sum(parameter.numel() for parameter in module.parameters())
