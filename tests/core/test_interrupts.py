"""SIGTERM becomes an exception within a block, and nothing else changes."""

import signal
import threading

import pytest

from platorep.core.interrupts import Terminated, exit_code, terminable


def test_sigterm_is_raised_within_the_block_and_the_default_is_back_after_it():
    with pytest.raises(Terminated), terminable():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_somebody_else_s_handler_stays():
    seen = []
    signal.signal(signal.SIGTERM, lambda *_: seen.append(True))
    try:
        with terminable():
            signal.raise_signal(signal.SIGTERM)
        assert seen == [True]
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def test_another_thread_may_enter_the_block():
    entered = []

    def enter():
        with terminable():
            entered.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert entered == [signal.SIG_DFL]


def test_exit_codes_are_a_shell_s():
    assert (exit_code(KeyboardInterrupt()), exit_code(Terminated())) == (130, 143)
