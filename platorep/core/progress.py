"""Progress bars with rates and remaining time; silent where the output is not a terminal."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Task as RichTask
from rich.text import Text


Report = Callable[[int, int | None, str], None]
"""`report(done, total, what)`: the engines call it; this module shows it."""


WIDE = 160
"""Columns of a table that goes to a file or a pipe, which has no width of its own."""


def console_for_tables() -> Console:
    """Standard output, wide enough for a table where it is not a terminal."""
    console = Console()
    return console if console.is_terminal else Console(width=WIDE)


class StderrHandler(logging.StreamHandler):
    """Log lines to whatever standard error is at the moment, so that they appear above a progress bar and not through it."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self):
        """The stream of now: a live progress bar puts its own in the place of sys.stderr."""
        return sys.stderr


class LogFile(logging.FileHandler):
    """A log file that a full or read-only disk cannot turn into an error of its own."""

    def emit(self, record: logging.LogRecord) -> None:
        """Writes a line where it can be written."""
        with suppress(OSError):
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:
        """Says nothing: what the disk refuses is said once, by the run that meets it."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)


class _Rate(ProgressColumn):
    """Steps a second, or seconds a step when it is slow."""

    def render(self, task: RichTask) -> Text:
        speed = task.finished_speed or task.speed
        if not speed:
            return Text("")
        return Text(f"{speed:.1f}/s" if speed >= 1 else f"{1 / speed:.1f} s each", style="dim")


@contextmanager
def bar(title: str, *, terminal: bool | None = None) -> Iterator[Report]:
    """A progress bar for one piece of work; yields the callback that moves it.

    Args:
        title: what is being done.
        terminal: whether to draw; by default whether standard error is a terminal.
    """
    shown = sys.stderr.isatty() if terminal is None else terminal
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not shown, transient=True) as progress:
        task = progress.add_task(title, total=None)

        def report(done: int, total: int | None, what: str = "") -> None:
            progress.update(task, completed=done, total=total, description=f"{title} {what}".rstrip())

        yield report
