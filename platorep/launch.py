"""From the command line to Hydra: one public call, with `sys.argv` swapped only while it lasts."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path


GROUPS = {
    "suite": "suite",
    "dataset": "dataset",
    "metric": "metric",
    "figure": "figure",
    "protocol": "protocol",
    "compute": "compute",
    "corpus": "corpus",
    "probe": "probe",
    "experiment": "experiment",
    "world": "world",
    "reproduce": "experiment",
    "captions": "captions model",
}
"""Configuration groups whose choices are checked here, so that a wrong one is answered with the nearest names."""

POSITIONAL = {"ls": "what", "reproduce": "reproduce", "simulate": "experiment"}
"""Commands whose first bare word stands for a configuration key."""

LOOKING = ("ls", "doctor")
"""Commands that leave nothing behind."""

FLAGS = {"doctor": {"--json": "json=true"}}
"""Options of a command that Hydra does not have, and the override that each stands for."""


def launch(task: str, argv: Sequence[str]) -> None:
    """Runs `platorep.tasks.<task>` under Hydra with the given command-line words.

    Exits with code 1 when the task fails or when a name in the words is unknown.
    """
    from platorep.core.disk import check_writable
    from platorep.core.errors import PlatorepError

    words = [FLAGS.get(task, {}).get(word, word) for word in argv]
    words.sort(
        key=lambda word: word not in ("-m", "--multirun")
    )  # Hydra's parser takes no option between two overrides
    if task in POSITIONAL and words and re.fullmatch(r"[a-z_0-9]+", words[0]):
        words[0] = f"{POSITIONAL[task]}={words[0]}"
    if task == "reproduce" and "offline=true" in words:  # an experiment's offline twin is a configuration of its own
        words = [
            f"{word}_offline" if word.startswith("reproduce=") else word for word in words if word != "offline=true"
        ]
    try:
        check_choices(words)
        if task not in LOOKING and not any(
            word.startswith(("--cfg", "-c", "--help", "-h", "--info", "--hydra")) for word in words
        ):
            check_writable(root_of(words))
    except PlatorepError as error:
        sys.exit(f"platorep {task}: {error}")

    os.environ.setdefault("TQDM_DISABLE", "1")  # the libraries' bars would draw through ours, and into log files

    import hydra

    from platorep import config, tasks

    config.register()
    saved = sys.argv
    sys.argv = [f"platorep {task}", *words]
    try:
        hydra.main(version_base="1.3", config_path=str(config.config_dir()), config_name=task)(getattr(tasks, task))()
    finally:
        sys.argv = saved


def root_of(words: Sequence[str]) -> Path:
    """The folder that the words name as `root`, in which Hydra makes its own folder before any of our code runs."""
    named = [word.partition("=")[2].strip("'\"") for word in words if word.startswith("root=")]
    return Path(named[-1]).expanduser() if named and named[-1] and "$" not in named[-1] else Path("outputs")


def check_choices(words: Sequence[str]) -> None:
    """Refuses a choice of a configuration group that does not exist.

    Raises:
        UnknownNameError: with the nearest names.
        SpecError: sweep=per_model together with several suites.
    """
    from platorep.core.errors import SpecError, unknown_name

    if "sweep=per_model" in words and any(word.startswith("suite=") and "," in word for word in words):
        raise SpecError(
            "sweep=per_model runs through the models of one suite; with several suites it would run the first one's for all."
        )
    folders = config_folders(words)
    for word in words:
        match = re.fullmatch(r"\+?(\w+)=(.+)", word)
        if not match or match[1] not in GROUPS or "$" in match[2] or "(" in match[2]:
            continue  # interpolations and Hydra's sweep functions are Hydra's to judge
        known = {path.stem for folder in folders for path in (folder / match[1]).glob("*.yaml")}
        for choice in match[2].strip("[]").split(","):
            name = choice.strip().strip("[]'\"")
            if name and name != "null" and name not in known:
                raise unknown_name(GROUPS[match[1]], name, known)


def config_folders(words: Sequence[str]) -> list[Path]:
    """The packaged configuration folder and those that the words add by --config-dir or --config-path."""
    from platorep.config import config_dir

    folders = [config_dir()]
    for word, after in zip(words, [*words, ""][1:], strict=True):
        for option in ("--config-dir", "-cd", "--config-path", "-cp"):
            if word == option:
                folders.append(Path(after))
            elif word.startswith(f"{option}="):
                folders.append(Path(word.split("=", 1)[1]))
    return folders
