"""Starts Hydra from the command line: one public call, which replaces `sys.argv` only while it runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from platorep.cli.commands import COMMANDS


INSPECTING = ("--cfg", "-c", "--help", "-h", "--info", "--hydra")
"""Options with which Hydra prints something and runs nothing."""

TRACES = "HYDRA_FULL_ERROR"
"""Environment variable of Hydra: 1 shows its errors with their tracebacks."""


def launch(command: str, argv: Sequence[str]) -> None:
    """Runs the function of that name in `platorep.cli.tasks` under Hydra with the given arguments.

    Exits with code 1 and one sentence when the command fails or an argument is wrong. If the user has set
    HYDRA_FULL_ERROR=1, an error of Hydra keeps its traceback.
    """
    from platorep.cli.words import hydra_words, own_objects
    from platorep.core.disk import check_writable
    from platorep.core.errors import PlatorepError
    from platorep.core.temporary import remove_temporary_below

    try:
        words = hydra_words(command, argv)
        if COMMANDS[command].writes and not any(word.startswith(INSPECTING) for word in words):
            check_writable(root := root_of(words))
            remove_temporary_below(root)
    except PlatorepError as error:
        sys.exit(f"platorep {command}: {error}")

    os.environ.setdefault("TQDM_DISABLE", "1")  # bars of the libraries would overwrite ours and fill log files

    import hydra

    from platorep.cli import schema, tasks
    from platorep.cli.refusals import refusal

    wants_traces = os.environ.get(TRACES) == "1"
    schema.register(own_objects(words))
    try:
        with _words_of_process([f"platorep {command}", *words]):
            configured = hydra.main(version_base="1.3", config_path=str(schema.config_dir()), config_name=command)
            configured(getattr(tasks, command))()
    except Exception as error:  # ours from a job of a sweep, whose log has it in full, or Hydra's about the arguments
        if wants_traces:
            raise
        sys.exit(f"platorep {command}: {refusal(error)}")


@contextmanager
def _words_of_process(words: list[str]) -> Iterator[None]:
    """Makes Hydra read these arguments, and raise its errors instead of printing them."""
    saved, traces = sys.argv, os.environ.get(TRACES)
    sys.argv, os.environ[TRACES] = words, "1"
    try:
        yield
    finally:
        sys.argv = saved
        del os.environ[TRACES]
        if traces is not None:
            os.environ[TRACES] = traces


def root_of(words: Sequence[str]) -> Path:
    """The `root` in the overrides. Hydra creates a folder in it before any of our code runs."""
    named = [word.partition("=")[2].strip("'\"") for word in words if word.startswith("root=")]
    return Path(named[-1]).expanduser() if named and named[-1] and "$" not in named[-1] else Path("outputs")
