"""Prepares the arguments of the command line for Hydra: their order, our own flags, and unknown names."""

from __future__ import annotations

import dataclasses
import re
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from platorep.core.plugins import is_path


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
"""Configuration groups whose choices are checked here, so that the message can suggest the nearest names."""

POSITIONAL = {"ls": "what", "reproduce": "reproduce", "simulate": "experiment"}
"""Commands whose first bare word stands for a configuration key."""

FLAGS = {
    "--quiet": ["hydra.job_logging.handlers.console.level=ERROR"],
    "-q": ["hydra.job_logging.handlers.console.level=ERROR"],
    "--verbose": ["hydra.job_logging.handlers.console.level=DEBUG", "hydra.job_logging.loggers.platorep.level=DEBUG"],
    "-v": ["hydra.job_logging.handlers.console.level=DEBUG", "hydra.job_logging.loggers.platorep.level=DEBUG"],
    "--json": ["json=true"],
    "--html": ["neighbours.html=true"],
}
"""Our own options, and the overrides that each stands for."""

OWN = ("metric", "figure")
"""Groups in which `module.name` chooses an object of the user's own."""

WITH_VALUE = ("--config-dir", "-cd", "--config-path", "-cp", "--config-name", "-cn", "--package", "-p", "--cfg", "-c")
"""Hydra's options whose value is the next word."""


def hydra_words(command: str, argv: Sequence[str]) -> list[str]:
    """The arguments in the form that Hydra expects: options first, then overrides, our own flags translated.

    Raises:
        UnknownNameError: a choice or an added key that does not exist, with the nearest names.
        SpecError: sweep=per_model together with several suites.
    """
    words = [override for word in argv for override in FLAGS.get(word, [word])]
    options, overrides = _parted(words)
    if command in POSITIONAL and overrides and re.fullmatch(r"[a-z_0-9]+", overrides[0]):
        overrides[0] = f"{POSITIONAL[command]}={overrides[0]}"
    if command == "neighbours":
        overrides = _with_query(overrides)
    if command == "reproduce":
        if "offline=true" in overrides:  # an experiment's offline twin is a configuration of its own
            overrides = [f"{w}_offline" if w.startswith("reproduce=") else w for w in overrides if w != "offline=true"]
        if {"--help", "-h"} & set(options) and not any(w.startswith("reproduce=") for w in overrides):
            overrides.insert(0, "reproduce=fig3")  # Hydra prints no help without a choice
    folders = config_folders(options)
    check_choices(overrides, folders)
    check_added(overrides)
    return [*options, *overrides]


def _parted(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Separates options with their values from overrides: Hydra's parser accepts no option between two overrides."""
    options: list[str] = []
    overrides: list[str] = []
    rest = iter(words)
    for word in rest:
        if word in WITH_VALUE:
            options += [word, *([value] if (value := next(rest, None)) is not None else [])]
        elif word.startswith("-"):
            options.append(word)
        else:
            overrides.append(word)
    return options, overrides


def _with_query(overrides: Sequence[str]) -> list[str]:
    """Joins the arguments that are not overrides by spaces, as the quoted value of `neighbours.query`."""
    query = [word for word in overrides if not re.match(r"~|\+{0,2}[A-Za-z_][\w.@/]*=", word)]
    text = " ".join(query).replace("${", r"\${")
    quoted = re.sub(r"(\\*)('|$)", lambda match: 2 * match[1] + (r"\'" if match[2] else ""), text)
    rest = [word for word in overrides if word not in query]
    return [f"neighbours.query='{quoted}'", *rest] if query else rest


def check_choices(overrides: Sequence[str], folders: Sequence[Path]) -> None:
    """Refuses a choice of a configuration group that does not exist.

    Raises:
        UnknownNameError: with the nearest names.
        SpecError: sweep=per_model together with several suites.
    """
    from platorep.core.errors import SpecError, unknown_name

    if "sweep=per_model" in overrides and any(word.startswith("suite=") and "," in word for word in overrides):
        raise SpecError(
            "sweep=per_model runs through the models of one suite; "
            "with several suites it would run the first one's for all."
        )
    for word in overrides:
        match = re.fullmatch(r"\+?(\w+)=(.+)", word)
        if not match or match[1] not in GROUPS or "$" in match[2] or "(" in match[2]:
            continue  # Hydra checks interpolations and its sweep functions
        known = {path.stem for folder in folders for path in (folder / match[1]).glob("*.yaml")}
        for name in _choices(match[2]):
            if name != "null" and name not in known and not (match[1] in OWN and is_path(name)):
                raise unknown_name(GROUPS[match[1]], name, known)


def _choices(value: str) -> list[str]:
    """The names in the value of a group: "a", "[a,b]", "a,b" of a sweep."""
    return [name for choice in value.strip("[]").split(",") if (name := choice.strip().strip("[]'\""))]


def own_objects(overrides: Sequence[str]) -> list[tuple[str, str]]:
    """The choices that are metrics and figures of the user's own, as (group, "module.name")."""
    groups = [(match[1], match[2]) for word in overrides if (match := re.fullmatch(r"\+?(\w+)=(.+)", word))]
    return [(group, name) for group, value in groups if group in OWN for name in _choices(value) if is_path(name)]


def check_added(overrides: Sequence[str]) -> None:
    """Refuses a key after `+` or `++` that no command reads: only open mappings take new keys.

    Raises:
        UnknownNameError: with the nearest names.
    """
    from platorep.core.errors import unknown_name

    for word in overrides:
        match = re.match(r"\+{1,2}([\w.]+)(?:@[\w.]+)?=", word)
        if not match or match[1].split(".")[0] in ("hydra", *GROUPS):
            continue
        parts = match[1].split(".")
        for place, part in enumerate(parts):
            known = known_settings(parts[:place])
            if known is None:
                break  # an open mapping: the specs and registries check its keys
            if part not in known:
                where = f" of {'.'.join(parts[:place])}" if place else ""
                raise unknown_name(f"setting{where}", part, known)


def known_settings(place: Sequence[str]) -> list[str] | None:
    """The names of the settings at a place of the schema, such as ["statistics"]; None within an open mapping."""
    from platorep.cli.schema import Config

    node: Any = Config
    for part in place:
        node = typing.get_type_hints(node).get(part)
        if not dataclasses.is_dataclass(node):
            return None
    return list(typing.get_type_hints(node))


def config_folders(options: Sequence[str]) -> list[Path]:
    """The packaged configuration folder and those that the options add by --config-dir or --config-path."""
    from platorep.cli.schema import config_dir

    folders = [config_dir()]
    for word, after in zip(options, [*options, ""][1:], strict=True):
        for option in ("--config-dir", "-cd", "--config-path", "-cp"):
            if word == option:
                folders.append(Path(after))
            elif word.startswith(f"{option}="):
                folders.append(Path(word.split("=", 1)[1]))
    return folders
