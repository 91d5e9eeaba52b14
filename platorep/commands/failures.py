"""Failures of parts of a command, collected while the command continues."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass

from platorep.core.disk import disk_error
from platorep.core.errors import PlatorepError


log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Failure:
    """A model, task or layer that was left out, and why."""

    model: str
    error: str


def failure(name: str, error: Exception) -> Failure:
    """Logs and returns a failure; an unexpected error is logged with its traceback."""
    if isinstance(error, OSError) and error.errno is not None:
        error = disk_error(error)
    if isinstance(error, PlatorepError):
        log.error("%s: %s", name, _without_name(name, error))
    else:
        log.exception("%s failed", name)
    return Failure(name, f"{type(error).__name__}: {_without_name(name, error)}")


def _without_name(name: str, error: Exception) -> str:
    """The message, without the name at its beginning, because the line already begins with the name."""
    return str(error).removeprefix(f"{name}: ")


def raise_failures(failures: Iterable[Failure]) -> None:
    """Ends a command with a list of its failures, so that the exit code is 1.

    Raises:
        PlatorepError: there is at least one failure.
    """
    distinct = list(dict.fromkeys(failures))
    if distinct:
        lines = "\n".join(f"  {failed.model}: {failed.error}" for failed in distinct)
        raise PlatorepError(f"{len(distinct)} of the models or tasks failed; the others are done:\n{lines}")
