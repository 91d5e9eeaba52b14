"""Progress bars with rates and remaining time; silent where the output is not a terminal."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import timedelta

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Task as RichTask
from rich.text import Text

from platorep.core.remaining import Remaining


Report = Callable[[int, int | None, str], None]
"""`report(done, total, what)`: called by the engines, displayed by this module."""


WIDE = 160
"""Width of tables that are written to a file or pipe."""


def console_for_tables() -> Console:
    """Standard output, with a fixed width if it is not a terminal."""
    console = Console()
    return console if console.is_terminal else Console(width=WIDE)


class StderrHandler(logging.StreamHandler):
    """Logs to the current standard error, so that log lines appear above a progress bar."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self):
        """The current sys.stderr, which a live progress bar replaces."""
        return sys.stderr


class LogFile(logging.FileHandler):
    """A log file that ignores errors of a full or read-only disk."""

    def emit(self, record: logging.LogRecord) -> None:
        """Writes a line if possible."""
        with suppress(OSError):
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:
        """Ignores the error; the run itself reports errors of the disk."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)


class _Rate(ProgressColumn):
    """Steps per second, or seconds per step if slow."""

    def render(self, task: RichTask) -> Text:
        speed = task.finished_speed or task.speed
        if not speed:
            return Text("")
        return Text(f"{speed:.1f}/s" if speed >= 1 else f"{1 / speed:.1f} s each", style="dim")


def _quiet() -> bool:
    """Whether the terminal is to show errors only, as `-q` sets it."""
    return any(
        isinstance(handler, StderrHandler) and handler.level > logging.WARNING
        for handler in logging.getLogger().handlers
    )


_RUN: ContextVar[Remaining | None] = ContextVar("run", default=None)
"""The run of several stages that the bars belong to."""


class _WholeRun(ProgressColumn):
    """Remaining time of the whole run, if the bar belongs to one."""

    def render(self, task: RichTask) -> Text:
        run = _RUN.get()
        seconds = None if run is None else run.seconds()
        if seconds is None:
            return Text("")
        return Text(f"whole run {timedelta(seconds=round(seconds))}", style="dim")


@contextmanager
def whole_run(remaining: Remaining) -> Iterator[None]:
    """Bars within show the remaining time of the whole run beside their own."""
    token = _RUN.set(remaining)
    try:
        yield
    finally:
        _RUN.reset(token)


def expect(stage: str, parts: Mapping[str, float]) -> None:
    """Corrects the expected seconds of the parts of a stage of the whole run."""
    if (run := _RUN.get()) is not None:
        run.expect(stage, parts)


@contextmanager
def bar(title: str, *, stage: str | None = None, part: str = "", terminal: bool | None = None) -> Iterator[Report]:
    """Shows a progress bar; yields the callback that updates it.

    Args:
        title: description of the work.
        stage: the stage of the whole run that the work belongs to; its title by default.
        part: the part of the stage; the whole stage by default.
        terminal: whether to draw; by default whether standard error is a terminal and `-q` was not given.
    """
    shown = sys.stderr.isatty() and not _quiet() if terminal is None else terminal
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
        _WholeRun(),
    )
    run = _RUN.get() or Remaining({})
    with (
        run.part(stage or title, part) as finished,
        Progress(*columns, console=Console(stderr=True), disable=not shown, transient=True) as progress,
    ):
        task = progress.add_task(title, total=None)

        def report(done: int, total: int | None, what: str = "") -> None:
            if total:
                finished(done / total)
            progress.update(task, completed=done, total=total, description=f"{title} {what}".rstrip())

        yield report
