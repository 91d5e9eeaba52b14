"""Bars are drawn on a terminal unless the run is to be quiet."""

import io
import logging

import pytest

from platorep.core.progress import StderrHandler, bar, whole_run
from platorep.core.remaining import Remaining


class Terminal(io.StringIO):
    """A terminal whose text can be read."""

    def isatty(self):
        return True


@pytest.mark.parametrize(("level", "drawn"), [(logging.INFO, True), (logging.DEBUG, True), (logging.ERROR, False)])
def test_a_quiet_run_draws_no_bar(monkeypatch, level, drawn):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    handler = StderrHandler()
    handler.setLevel(level)
    logging.getLogger().addHandler(handler)
    try:
        with bar("Working") as report:
            report(1, 2, "on it")
    finally:
        logging.getLogger().removeHandler(handler)
    assert ("Working" in terminal.getvalue()) == drawn


def test_a_file_gets_no_bar(monkeypatch):
    file = io.StringIO()
    monkeypatch.setattr("sys.stderr", file)
    with bar("Working") as report:
        report(1, 2, "on it")
    assert file.getvalue() == ""


def test_a_bar_shows_the_remaining_time_of_the_whole_run(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "160")
    seconds = iter([0, 10, *[10] * 99])
    with (
        whole_run(Remaining({"Extracting": {"a": 1, "b": 2}, "Aligning": {"": 600}}, clock=lambda: next(seconds))),
        bar("[1/2] a", stage="Extracting", part="a") as report,
    ):
        report(1, 2)  # half a second of 603 took 10
    assert "whole run 3:20:50" in terminal.getvalue()
    with bar("alone") as report:
        report(1, 2)
    assert "whole run" not in terminal.getvalue().rpartition("alone")[2]
