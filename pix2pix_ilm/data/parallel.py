"""Work on many files at once, and what is wrong with them in one message."""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from rich.progress import track

from pix2pix_ilm.errors import UserError
from pix2pix_ilm.files import list_problems

Item = TypeVar("Item")
Result = TypeVar("Result")


def all_or_listing(
    work: Callable[[Item], Result], items: Sequence[Item], task: str | None = None
) -> list[Result]:
    """Work on all items in parallel; one UserError lists those that failed with one.

    ``task`` names the progress bar, which only a terminal shows.
    """

    def attempt(item: Item) -> Result | UserError:
        try:
            return work(item)
        except UserError as error:
            return error

    hidden = task is None or not sys.stdout.isatty()
    attempts = in_parallel(attempt, items)
    results = list(track(attempts, task or "", len(items), transient=True, disable=hidden))
    problems = [result for result in results if isinstance(result, UserError)]
    if problems:
        raise UserError(list_problems("these images cannot be used", problems))
    return [result for result in results if not isinstance(result, UserError)]


def in_parallel(work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Return results in the order of the items, from as many threads as decoding can use."""
    pool = ThreadPoolExecutor()
    try:
        yield from pool.map(work, items)
    finally:
        pool.shutdown(cancel_futures=True)
