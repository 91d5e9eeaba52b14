"""Bars are drawn on a terminal unless the run is to be quiet."""

import io
import logging

import pytest

from platorep.core.progress import StderrHandler, bar


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
