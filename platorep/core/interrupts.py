"""SIGTERM as an exception, so that a run can report and record its finished work before it ends."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager


GO_ON = "Finished work is kept: run the same command again to continue."


class Terminated(KeyboardInterrupt):
    """The process received SIGTERM, for example from a scheduler."""


@contextmanager
def terminable() -> Iterator[None]:
    """Raises `Terminated` within the block when the process receives SIGTERM.

    Has no effect outside the main thread, or if another handler for SIGTERM is installed.
    """
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return

    def stop(number: int, frame: object) -> None:
        raise Terminated

    signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


INTERRUPTED = (128 + signal.SIGINT, 128 + signal.SIGTERM)
"""Exit codes that shells expect of a process ended by these signals."""


def exit_code(interrupt: KeyboardInterrupt) -> int:
    """The exit code of an interrupted command."""
    return INTERRUPTED[isinstance(interrupt, Terminated)]


def end_now(code: int) -> None:
    """Ends this process at once, after flushing the terminal and the log files.

    Only for interrupted commands: the normal shutdown of the interpreter, with its final garbage collection, takes
    seconds if large libraries are loaded.
    """
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
