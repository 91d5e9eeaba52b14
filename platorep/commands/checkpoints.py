"""Entries of a suite that stand for several checkpoints of one training: `revisions` on the Hub, `stops` here."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from platorep.core.errors import SpecError


SERIES = ("revisions", "stops")
"""Keys of an entry that list its checkpoints."""


def entries(models: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of a suite, where one that lists checkpoints is replaced by an entry per checkpoint, in its place.

    `revisions: [step1000, step4000]` of the entry NAME gives NAME-step1000 and NAME-step4000 with these revisions and
    the steps 1000 and 4000 (`step_of`); `revisions: {main: 143000}` states the steps. `stops: [0, 1, 5]` of a network
    that is trained here gives NAME-epoch0 and so on with `training.stop`; their step is the epoch. All of them have
    NAME as their trajectory.

    Args:
        models: name -> entry, plain values. Entries without a list of checkpoints are returned as they are.

    Raises:
        SpecError: a list that is none, is empty or has a value twice; a revision without a number; an entry that sets
            what the list sets; a checkpoint with the name of another entry.
    """
    listed: dict[str, Any] = {}
    for name, entry in models.items():
        series = [key for key in SERIES if isinstance(entry, dict) and entry.get(key) is not None]
        if isinstance(entry, dict) and not series:
            entry = {key: value for key, value in entry.items() if key not in SERIES}
        if len(series) > 1:
            raise SpecError(f"models.{name} has revisions and stops; expected one of them.")
        for checkpoint, values in _expanded(name, entry, series[0]) if series else [(name, entry)]:
            if checkpoint in listed or (series and checkpoint in models):
                raise SpecError(
                    f"models.{checkpoint} is an entry as well as a checkpoint of another one. Rename the entry; what "
                    "holds for all checkpoints belongs in the entry that lists them."
                )
            listed[checkpoint] = values
    return listed


def step_of(revision: str, where: str) -> int:
    """The training step that a revision names: the number after the word step, or else its only number.

    "step1000" gives 1000, "stage1-step150-tokens1B" 150, "checkpoint-500" 500.

    Args:
        revision: a branch or tag.
        where: the setting, for the message.

    Raises:
        SpecError: there is no such number, or there are several.
    """
    numbers = re.findall(r"step[-_=]?(\d+)", revision, re.IGNORECASE) or re.findall(r"\d+", revision)
    if len(numbers) != 1:
        raise SpecError(
            f"{where}: {revision!r} names {'several numbers' if numbers else 'no number'}; expected one step, as in "
            f"step1000. State it: {where.rpartition('.')[2]}: {{{revision}: STEP}}."
        )
    return int(numbers[0])


def _expanded(name: str, entry: Mapping[str, Any], series: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The checkpoints of one entry."""
    where, value = f"models.{name}.{series}", entry[series]
    common = {key: setting for key, setting in entry.items() if key not in SERIES}
    if entry.get("weights") == "random":
        raise SpecError(f"models.{name} has weights: random and {series}; random weights are the same at every step.")
    if given := [key for key in ("step", "trajectory") if entry.get(key) is not None]:
        raise SpecError(f"models.{name} has {given[0]} and {series}; {series} sets it. Remove {given[0]}.")
    if series == "revisions":
        if entry.get("revision") is not None:
            raise SpecError(f"models.{name} has revision {entry['revision']!r} and revisions; expected one of them.")
        for revision, step in _revisions(value, where):
            yield f"{name}-{revision}", {**common, "revision": revision, "step": step, "trajectory": name}
        return
    training = entry.get("training")
    if not isinstance(training, dict):
        raise SpecError(f"{where} are epochs of a network of source=trained; models.{name} has no training.")
    if training.get("stop") is not None:
        raise SpecError(f"models.{name} has training.stop {training['stop']!r} and stops; expected one of them.")
    for stop in _stops(value, where):
        at = {"training": {**training, "stop": stop}, "step": stop, "trajectory": name}
        yield f"{name}-epoch{stop}", {**common, **at}


def _revisions(value: Any, where: str) -> list[tuple[str, int]]:
    """Revisions with their steps."""
    if isinstance(value, dict):
        if wrong := [revision for revision, step in value.items() if not _is_count(step)]:
            raise SpecError(f"{where}: the step of {wrong[0]} is {value[wrong[0]]!r}; expected a whole number.")
        pairs = [(str(revision), step) for revision, step in value.items()]
    else:
        names = _distinct(value, where, "[step1000, step4000], or a mapping from revisions to steps")
        if wrong := [name for name in names if not isinstance(name, str)]:
            raise SpecError(f"{where} has {wrong[0]!r} ({type(wrong[0]).__name__}); expected names, such as step1000.")
        pairs = [(name, step_of(name, where)) for name in names]
    steps = [step for _, step in pairs]
    if again := [pair for pair in pairs if steps.count(pair[1]) > 1]:
        raise SpecError(f"{where}: {again[0][0]} and {again[1][0]} are both step {again[0][1]}; leave one out.")
    if not pairs:
        raise SpecError(f"{where} is empty; expected checkpoints, such as [step1000, step4000].")
    return pairs


def _stops(value: Any, where: str) -> Sequence[int]:
    epochs = _distinct(value, where, "[0, 1, 2, 5]")
    if wrong := [epoch for epoch in epochs if not _is_count(epoch)]:
        raise SpecError(f"{where} has {wrong[0]!r}; expected whole numbers of epochs, such as [0, 1, 2, 5].")
    return epochs


def _distinct(value: Any, where: str, expected: str) -> Sequence[Any]:
    if not isinstance(value, list) or not value:
        raise SpecError(f"{where} is {value!r}; expected a list such as {expected}.")
    if again := [one for place, one in enumerate(value) if one in value[:place]]:
        raise SpecError(f"{where} has {again[0]!r} twice.")
    return value


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
