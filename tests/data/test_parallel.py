import threading
import time

import pytest

from pix2pix_ilm.data.parallel import AHEAD, all_or_listing, in_parallel


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
        for item in range(10 * AHEAD):
            taken.append(threading.current_thread())
            yield item

    results = in_parallel(lambda item: -item, items())
    assert next(results) == 0
    assert len(taken) <= AHEAD + 1
    assert list(results) == [-item for item in range(1, 10 * AHEAD)]
    assert set(taken) == {threading.current_thread()}
