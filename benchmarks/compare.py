"""Two files of ``run_all.py``: which variants became slower by more than the noise.

    python benchmarks/run_all.py --out new.json --compare old.json

A variant's turns are divided by the median of the variant that its benchmark compares with, in the
same run, so that another machine, or another hour, does not count. What has no such partner, the
starts of commands, is compared in seconds, and only says something on one machine.
"""

import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from rich.table import Table

MARGIN = 1.25


@dataclass(frozen=True, kw_only=True)
class Change:
    """A variant's turns in both runs, as ratios to its partner's median, or in seconds."""

    benchmark: str
    variant: str
    before: list[float]
    now: list[float]

    @property
    def verdict(self) -> str:
        """Return slower or faster where the middle halves of both runs' turns do not overlap."""
        (low, _, high), (new_low, _, new_high) = map(quartiles, (self.before, self.now))
        return "slower" if new_low > high else "faster" if new_high < low else ""


def compare(before: dict[str, Any], now: dict[str, Any]) -> list[Change]:
    """Return the changes of all variants that both files have.

    Args:
        before: content of an older file.
        now: content of a newer one.
    """
    old = dict(all_turns(before))
    return [
        Change(benchmark=benchmark, variant=variant, before=old[benchmark, variant], now=turns)
        for (benchmark, variant), turns in all_turns(now)
        if (benchmark, variant) in old
    ]


def all_turns(results: dict[str, Any]) -> Iterator[tuple[tuple[str, str], list[float]]]:
    """Yield benchmark and variant, and its turns."""
    for entry in results["benchmarks"]:
        found = entry["found"]
        for variant, turns in TURNS[entry["name"]](found).items():
            yield (found.get("title", entry["name"]), variant), turns


def turns_of_steps(found: dict[str, Any]) -> dict[str, list[float]]:
    """Return every variant's turns as ratios to the plain recipe's."""
    plain = statistics.median(next(iter(found["milliseconds"].values())))
    return {name: [turn / plain for turn in of] for name, of in found["milliseconds"].items()}


def turns_of_translating(found: dict[str, Any]) -> dict[str, list[float]]:
    """Return every variant's turns as ratios to the plain network's of the same norm."""
    variants = found["variants"]
    plain = {name: statistics.median(of["milliseconds"]) for name, of in variants.items()}
    return {
        name: [turn / plain[of["against"]] for turn in of["milliseconds"]]
        for name, of in variants.items()
    }


def turns_of_data(found: dict[str, Any]) -> dict[str, list[float]]:
    """Return the seconds until a data set is open again, by its size."""
    return {
        f"{row['pairs']} pairs, again": [row["second"]["open_seconds"]] for row in found["rows"]
    }


TURNS: dict[str, Callable[[dict[str, Any]], dict[str, list[float]]]] = {
    "train_step": turns_of_steps,
    "translate": turns_of_translating,
    "data_scale": turns_of_data,
    "startup": dict,
}


def quartiles(turns: list[float]) -> tuple[float, float, float]:
    """Return the quartiles; a single turn may be a quarter off."""
    if len(turns) == 1:
        return turns[0] / MARGIN, turns[0], turns[0] * MARGIN
    low, middle, high = statistics.quantiles(turns, n=4, method="inclusive")
    return low, middle, high


def table(changes: list[Change]) -> Table:
    """Return medians before and now; what differs by more than the noise is told."""
    shown = Table(title="medians: ratios to the plain variant of the run, or seconds")
    for column in ("benchmark", "variant", "before", "now", ""):
        shown.add_column(column)
    for change in changes:
        medians = (quartiles(turns)[1] for turns in (change.before, change.now))
        cells = (f"{median:.3f}" for median in medians)
        shown.add_row(change.benchmark, change.variant, *cells, change.verdict)
    return shown
