"""Matches unresolved specs with stored ones: an open field of the spec matches any stored value.

A branch or a tag is compared by its current commit. If that is unknown, it is compared by name: a stored spec records
the branch or tag from which its revision was resolved (`branch`, which no key covers).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from platorep.core.errors import StoreError
from platorep.core.specs import DatasetSpec, ExtractSpec, ModelSpec


S = TypeVar("S", DatasetSpec, ExtractSpec)

CommitOf = Callable[[ModelSpec | DatasetSpec], str | None]
"""The current commit of a spec's branch or tag; None if it is unknown or not on the Hub."""

OPEN = {"revision": None, "asset": None, "dtype": "auto", "pool": "auto"}
"""Spec fields that are resolved before extraction, with the values that leave them open."""


def matching(asked: S, candidates: Mapping[str, S], commit_of: CommitOf) -> list[str]:
    """Names of the candidates that match a spec.

    Args:
        asked: the spec as configured, resolved or not.
        candidates: stored specs by name.
        commit_of: returns the commit of a branch or tag; only called if a candidate's revision is a commit.

    Raises:
        StoreError: no candidate matches, but some were extracted from an earlier commit of the same branch or tag.
    """
    settled = _settle(asked, list(candidates.values()), commit_of)
    fitting = [name for name, stored in candidates.items() if _fits(_by_name(settled, stored), stored)]
    if not fitting:
        for stored in candidates.values():
            if _fits(_by_name(asked, stored), stored):
                raise StoreError(_moved(asked, settled, stored))
    return fitting


def _settle(asked: Any, candidates: list[Any], commit_of: CommitOf) -> Any:
    """The spec with branches and tags replaced by their commits, if known."""
    if isinstance(asked, ExtractSpec):
        return asked.replace(
            model=_settle(asked.model, [stored.model for stored in candidates], commit_of),
            dataset=_settle(asked.dataset, [stored.dataset for stored in candidates], commit_of),
        )
    if not _is_name(asked.revision) or all(_is_name(stored.revision) for stored in candidates):
        return asked
    commit = commit_of(asked)
    return asked if commit is None else asked.replace(revision=commit)


def _by_name(asked: Any, stored: Any) -> Any:
    """The spec with its revision left open where it is still a name, and the stored spec came from that name."""
    if isinstance(asked, ExtractSpec):
        return asked.replace(model=_by_name(asked.model, stored.model), dataset=_by_name(asked.dataset, stored.dataset))
    return asked.replace(revision=None) if _is_name(asked.revision) and asked.revision == stored.branch else asked


def _fits(asked: Any, stored: Any) -> bool:
    return _within(asked.identity(), stored.identity())


def _within(asked: Any, stored: Any) -> bool:
    """Whether every value that `asked` specifies equals the stored one."""
    if isinstance(asked, dict) and isinstance(stored, dict):
        return asked.keys() == stored.keys() and all(
            (name in OPEN and value == OPEN[name]) or _within(value, stored[name]) for name, value in asked.items()
        )
    return asked == stored


def _moved(asked: Any, settled: Any, stored: Any) -> str:
    """The message for a stored spec that differs only in the commit of a branch or tag."""
    if isinstance(asked, ExtractSpec):
        dataset = _is_name(asked.dataset.revision) and settled.dataset.revision != stored.dataset.revision
        part = "dataset" if dataset else "model"
        asked, settled, stored = (getattr(spec, part) for spec in (asked, settled, stored))
    word = "dataset" if isinstance(asked, DatasetSpec) else f"models.{asked.name}"
    return (
        f"{word}.revision={asked.revision} of {asked.id} is commit {settled.revision} now, but what is stored of "
        f"{asked.name} "
        f"was made at {stored.revision}, where it stood then. Run `platorep extract` for the new commit, or keep to "
        "the old "
        f"one with {word}.revision={stored.revision}."
    )


def _is_name(revision: str | None) -> bool:
    """Whether a revision is a branch or tag, neither open nor a content hash."""
    return revision is not None and re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", revision) is None
