"""SIGTERM as an exception, so that what a run has finished is said and recorded before it ends."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager


GO_ON = "What was finished is kept: run the same command again to go on from there."


class Terminated(KeyboardInterrupt):
    """The process was told to end (SIGTERM), by a scheduler, say."""


@contextmanager
def terminable() -> Iterator[None]:
    """Raises `Terminated` within the block when SIGTERM comes.

    Nothing changes in other threads than the main one, nor where somebody else handles SIGTERM already.
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
"""What a shell expects of a process that a signal ended."""


def exit_code(interrupt: KeyboardInterrupt) -> int:
    """The exit code of an interrupted command."""
    return INTERRUPTED[isinstance(interrupt, Terminated)]


def end_now(code: int) -> None:
    """Ends this process at once, with all that was said on the terminal and in the log files.

    For an interrupted command alone: the interpreter's own end, a last collection of garbage, takes seconds where large
    libraries are loaded.
    """
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
