"""Commits of branches and tags."""

from __future__ import annotations

from pathlib import Path

from platorep.assets.hub import known_commit
from platorep.core.specs import DatasetSpec, ModelSpec
from platorep.models.sources import source_of


def commit_of(spec: ModelSpec | DatasetSpec) -> str | None:
    """The current commit of a spec's branch or tag, from the Hub or its cache; None if neither knows it."""
    if isinstance(spec, DatasetSpec):
        on_hub = spec.source == "hub" and not Path(spec.id).expanduser().is_dir()
        return known_commit(spec.id, spec.revision, repo_type="dataset") if on_hub else None
    if spec.asset is not None or spec.is_imported:
        return None
    place = source_of(spec).repository(spec)
    return None if place is None else known_commit(place.id, spec.revision)
