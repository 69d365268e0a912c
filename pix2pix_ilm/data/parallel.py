"""Work on many files at once, and what is wrong with them in one message."""

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from rich.progress import track

from pix2pix_ilm.errors import UserError
from pix2pix_ilm.files import list_problems

AHEAD = 32
"""Items that are worked on before their results are asked for."""
Item = TypeVar("Item")
Result = TypeVar("Result")


def all_or_listing(
    work: Callable[[Item], Result], items: Sequence[Item], task: str | None = None
) -> list[Result]:
    """Work on all items in parallel; one UserError lists those that failed with one.

    ``task`` names the progress bar, which only a terminal shows.
    """
    hidden = task is None or not sys.stdout.isatty()
    attempts = in_parallel(returning_errors(work), items)
    results = list(track(attempts, task or "", len(items), transient=True, disable=hidden))
    problems = [result for result in results if isinstance(result, UserError)]
    if problems:
        raise UserError(list_problems("these images cannot be used", problems))
    return [result for result in results if not isinstance(result, UserError)]


def returning_errors(
    work: Callable[[Item], Result],
) -> Callable[[Item | UserError], Result | UserError]:
    """Return work that gives a UserError back instead of raising it.

    Given one, it gives it back, too, so that works can follow one another.
    """

    def attempted(item: Item | UserError) -> Result | UserError:
        if isinstance(item, UserError):
            return item
        try:
            return work(item)
        except UserError as error:
            return error

    return attempted


def in_parallel(
    work: Callable[[Item], Result], items: Iterable[Item], ahead: int = AHEAD
) -> Iterator[Result]:
    """Yield results in the order of the items, from as many threads as decoding can use.

    Items are taken in the caller's thread, so that what makes them may itself be slow, and only
    ``ahead`` more than it has taken results of, so that they need not fit into memory.
    """
    pool = ThreadPoolExecutor()
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            while waiting and (len(waiting) > ahead or waiting[0].done()):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
