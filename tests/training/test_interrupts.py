import os
import signal

import pytest

from pix2pix_ilm.training.interrupts import catch_signals


@pytest.fixture(params=[signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def number(request):
    before = signal.getsignal(request.param)
    yield request.param
    signal.signal(request.param, before)


def test_a_signal_is_noted_and_the_second_one_acts(number):
    acted = []
    signal.signal(number, lambda *_: acted.append(number))
    with catch_signals() as heard:
        os.kill(os.getpid(), number)
        assert (heard, acted) == ([number], [])
        if number == signal.SIGINT:
            os.kill(os.getpid(), number)
            assert acted == [number]
        else:  # ends the process, whatever it waits for
            assert signal.getsignal(number) is signal.SIG_DFL
    acted.clear()
    os.kill(os.getpid(), number)
    assert acted == [number]


def test_an_ignored_signal_stays_ignored(number):
    signal.signal(number, signal.SIG_IGN)
    with catch_signals() as heard:
        os.kill(os.getpid(), number)
    assert heard == []
    assert signal.getsignal(number) is signal.SIG_IGN
