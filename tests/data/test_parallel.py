import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from pix2pix_ilm.data import parallel
from pix2pix_ilm.data.parallel import all_or_listing, in_parallel


def test_work_in_parallel_keeps_the_order():
    def work(item):
        time.sleep(0.002 * (item % 3))
        return item * item

    assert all_or_listing(work, range(20)) == [item * item for item in range(20)]


def test_only_mistakes_of_people_are_listed():
    def work(item):
        raise ZeroDivisionError(item)

    with pytest.raises(ZeroDivisionError):
        all_or_listing(work, range(3))


def test_items_are_taken_in_this_thread_and_only_a_few_ahead():
    taken = []

    def items():
        for item in range(50):
            taken.append(threading.current_thread())
            yield item

    results = in_parallel(lambda item: -item, items(), ahead=3)
    assert next(results) == 0
    assert len(taken) <= 4
    assert list(results) == [-item for item in range(1, 50)]
    assert set(taken) == {threading.current_thread()}


class Immediate(ThreadPoolExecutor):
    """Works before it goes on."""

    def submit(self, work, item):
        future = Future()
        future.set_result(work(item))
        return future


def test_results_that_are_there_do_not_wait_for_more_items(monkeypatch):
    """A slow source of items, as a network is, delays no progress bar."""
    monkeypatch.setattr(parallel, "ThreadPoolExecutor", Immediate)
    taken = []
    results = in_parallel(lambda item: -item, (taken.append(item) or item for item in range(9)))
    assert next(results) == 0
    assert taken == [0]
    assert list(results) == [-item for item in range(1, 9)]
