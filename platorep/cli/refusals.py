"""Error messages of our own for arguments that Hydra and OmegaConf refuse.

Their messages recommend `++key=value` and a complete stack trace. Neither helps: a setting either exists or does not,
and the cause is an argument.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from hydra.errors import HydraException, MissingConfigException, OverrideParseException, SearchPathException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, MissingMandatoryValue, OmegaConfBaseException

from platorep.cli.words import known_settings
from platorep.core.disk import disk_error
from platorep.core.errors import PlatorepError, SpecError, unknown_name


REMEDY = (
    "Write key=value for a setting, group=NAME for a choice, [a,b] for a list, ~key to leave a setting out, "
    "+key=value for a new key of models, dataset, metric, figure, corpus or probe; "
    "a value with special characters goes into quotes: 'key=\"a, b\"'."
)

EXPECTED = (
    (r"converted to Integer", "a whole number"),
    (r"converted to Float", "a number"),
    (r"not a valid bool", "true or false"),
    (r"not a ListConfig", "a list, such as [a,b]"),
    (r"Cannot convert .* to string", "text"),
    (r"[Ii]nterpolation|\$\{", "a value, or another setting by its full name, such as ${dataset.n}"),
)
"""Patterns of OmegaConf's messages about a value, with what was expected instead."""


def refusal(error: BaseException) -> str:
    """One sentence about an error raised by Hydra: what was got, what was expected, and how to fix it.

    Args:
        error: an error of Hydra or OmegaConf, of code that they call, or one of ours from a job of a sweep.
    """
    if isinstance(error, PlatorepError):
        return str(error)
    if isinstance(error, OverrideParseException):
        return f"cannot read the word {error.override!r}. {REMEDY}"
    chain = list(_chain(error))
    refused = next((link for link in chain if isinstance(link, OmegaConfBaseException) and link.full_key), None)
    if isinstance(refused, (ConfigAttributeError, ConfigKeyError)):
        return _unknown(str(refused.full_key))
    if isinstance(refused, MissingMandatoryValue):
        return f"{refused.full_key} has no value. Add {refused.full_key}=VALUE to the command."
    if refused is not None:
        return f"{refused.full_key}: {_value_refused(refused)}"
    if isinstance(error, OSError) and error.errno is not None:
        return str(disk_error(error))
    text, *others = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    if (word := re.match(r"Ambiguous value for argument '(.*)'", text)) is not None:
        return f"{word[1]!r} holds several values; only -m takes them, and runs the command once for each. {REMEDY}"
    names = getattr(error, "options", None) or (others[1:] if others[:1] == ["Available options:"] else [])
    if names:
        return f"{text.rstrip('.')}. Choose one of: {', '.join(names)}."
    if isinstance(error, MissingConfigException):
        return f"{text.rstrip('.')}. Leave --config-name out, or add the folder that holds it with --config-dir."
    if isinstance(error, SearchPathException):
        return f"{text.rstrip('.')}. Give a folder that exists."
    if not isinstance(error, (HydraException, OmegaConfBaseException)):
        text = f"{type(error).__name__}: {text.partition(' : Override(')[0]}"
    return f"{text.rstrip('.')}. {REMEDY}"


def resolved(cfg: DictConfig) -> Any:
    """The configuration as plain values, with every `${...}` replaced.

    Raises:
        SpecError: an interpolation refers to nothing, or a value is missing.
    """
    try:
        return OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise SpecError(refusal(error)) from None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and its chain of causes, the root cause last."""
    while error is not None:
        yield error
        error = error.__cause__


def _unknown(key: str) -> str:
    """The message about a setting that does not exist."""
    *place, name = key.split(".")
    known = known_settings(place)
    if known is None:  # an open mapping
        return f"{'.'.join(place)} has no {name} yet. Write +{key}=VALUE to add it."
    where = f" of {'.'.join(place)}" if place else ""
    return str(unknown_name(f"setting{where}", name, known))


def _value_refused(refused: OmegaConfBaseException) -> str:
    """The message about a value of the wrong type, or an interpolation that refers to nothing."""
    cause = str(refused).partition("\n")[0].rstrip(".")
    expected = next((kind for pattern, kind in EXPECTED if re.search(pattern, cause)), None)
    return f"{cause}. {REMEDY if expected is None else f'Expected {expected}.'}"
