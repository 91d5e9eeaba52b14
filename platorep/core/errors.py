"""Errors that a user can cause. Messages state the value, what was expected, and how to fix it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class PlatorepError(Exception):
    """Base of every error that platorep raises on purpose; the command line prints it without a traceback."""


class SpecError(PlatorepError, ValueError):
    """A spec or a configuration value is invalid."""


class UnknownNameError(PlatorepError, KeyError):
    """A model, suite, dataset, metric or figure that does not exist."""

    def __str__(self) -> str:  # KeyError would print the repr of the message
        return str(self.args[0])


class DataError(PlatorepError, ValueError):
    """Samples that cannot be used: unreadable pictures, empty captions, too few of them, ids that do not match."""


class FeatureError(PlatorepError, ValueError):
    """Features that cannot be scored: not finite, too few rows, a shape that does not fit."""


class NoVariationError(FeatureError):
    """A layer in which all samples are equal. The data are valid, but there is nothing to compare."""


class StoreError(PlatorepError, RuntimeError):
    """Stored features or results that are missing, damaged or made from another spec.

    Attributes:
        fault: the message without the remedy, for callers that apply the remedy themselves.
    """

    def __init__(self, fault: str, remedy: str = "") -> None:
        super().__init__(f"{fault} {remedy}".rstrip())
        self.fault = fault


class DiskError(StoreError):
    """A file or folder that cannot be read or written: a full or read-only disk, a missing permission."""


class AmbiguousError(StoreError):
    """Several stored items match a request."""


class AssetError(PlatorepError, RuntimeError):
    """A pinned file that could not be fetched, or whose SHA-256 differs from the pinned one."""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UnknownNameError:
    """The error for a name that is not in `known`, with the nearest names first.

    Args:
        kind: the kind of object, in the singular: "model", "suite", "metric".
        name: the name that the user wrote.
        known: all valid names.
    """
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    hint = f"Did you mean {' or '.join(repr(n) for n in near)}? " if near else ""
    return UnknownNameError(f"unknown {kind} {name!r}. {hint}Known: {', '.join(names) or 'none'}.")
