import time

import pytest

from pix2pix_ilm.data.parallel import all_or_listing


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
