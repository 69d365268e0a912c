"""Report on the conversion of a network's normalization layers."""

import math
from collections import Counter, defaultdict
from dataclasses import dataclass

from torchvision.models.convnext import LayerNorm2d


@dataclass(frozen=True)
class ChangedLayer:
    """A layer that is ILM Norm now."""

    names: tuple[str, ...]
    """Names in the network; more than one where modules are shared."""
    kind: str
    """The type that it was, such as GroupNorm."""
    standardization: str
    """Values that share statistics now: instance, group or layer."""
    num_channels: int
    weights_added: int


@dataclass(frozen=True)
class LeftLayer:
    """A normalization layer that stays what it was."""

    names: tuple[str, ...]
    kind: str
    reason: str


@dataclass(frozen=True)
class Conversion:
    """Result of ``convert_norms``; ``str`` of it is a table."""

    changed: tuple[ChangedLayer, ...]
    left: tuple[LeftLayer, ...]
    weights_before: int
    """Number of weights of the whole module."""

    @property
    def weights_added(self) -> int:
        """Count the weights that the module did not have before."""
        return sum(layer.weights_added for layer in self.changed)

    @property
    def percent(self) -> float:
        """Return the weights added, in percent of those before."""
        return 100 * self.weights_added / self.weights_before if self.weights_before else math.inf

    def __str__(self) -> str:
        lines = [
            f"ILM Norm in {len(self.changed)} layers: {self.weights_added} weights added to "
            f"{self.weights_before}" + (f" ({self.percent:.3f} %)" if self.weights_before else ""),
            f"{'layers':>8}  {'was':<14}  {'standardization':<15}  {'channels':>8}  weights added",
        ]
        rows: dict[tuple[str, str, int], list[int]] = defaultdict(list)
        for layer in self.changed:
            rows[layer.kind, layer.standardization, layer.num_channels].append(layer.weights_added)
        for (kind, standardization, channels), added in rows.items():
            row = f"{len(added):>8}  {kind:<14}  {standardization:<15}  {channels:>8}"
            lines.append(f"{row}  {sum(added):>13}")
        left = Counter((layer.kind, layer.reason) for layer in self.left)
        lines += [f"{count:>8}  {kind:<14}  left: {why}" for (kind, why), count in left.items()]
        if any(layer.kind == LayerNorm2d.__name__ for layer in self.changed):
            lines.append(
                "LayerNorm2d: its statistics were of each position, and are of the instance now"
            )
        return "\n".join(lines)
