"""From the command line to Hydra: one public call, with `sys.argv` swapped only while it lasts."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from platorep.cli.commands import COMMANDS


INSPECTING = ("--cfg", "-c", "--help", "-h", "--info", "--hydra")
"""Options with which Hydra prints something and runs nothing."""


def launch(command: str, argv: Sequence[str]) -> None:
    """Runs the function of that name in `platorep.cli.tasks` under Hydra with the given command-line words.

    Exits with code 1 when the command fails or when a name in the words is unknown.
    """
    from platorep.cli.words import hydra_words, own_objects
    from platorep.core.disk import check_writable
    from platorep.core.errors import PlatorepError

    try:
        words = hydra_words(command, argv)
        if COMMANDS[command].writes and not any(word.startswith(INSPECTING) for word in words):
            check_writable(root_of(words))
    except PlatorepError as error:
        sys.exit(f"platorep {command}: {error}")

    os.environ.setdefault("TQDM_DISABLE", "1")  # the libraries' bars would draw through ours, and into log files

    import hydra

    from platorep.cli import schema, tasks

    schema.register(own_objects(words))
    saved = sys.argv
    sys.argv = [f"platorep {command}", *words]
    try:
        configured = hydra.main(version_base="1.3", config_path=str(schema.config_dir()), config_name=command)
        configured(getattr(tasks, command))()
    finally:
        sys.argv = saved


def root_of(words: Sequence[str]) -> Path:
    """The `root` in the overrides, in which Hydra creates a folder before any of our code runs."""
    named = [word.partition("=")[2].strip("'\"") for word in words if word.startswith("root=")]
    return Path(named[-1]).expanduser() if named and named[-1] and "$" not in named[-1] else Path("outputs")
