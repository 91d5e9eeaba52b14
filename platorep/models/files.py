"""Local files of models."""

from __future__ import annotations

from pathlib import Path

from platorep.assets import fetch
from platorep.core.errors import AssetError
from platorep.core.specs import AssetSpec


def fetched(asset: AssetSpec) -> Path:
    """A pinned file or folder, from the cache."""
    return fetch(asset)


def find(path: Path, *patterns: str) -> Path:
    """The file of a fetched asset that matches the first pattern with a match; of several, the least deeply nested."""
    files = (
        [path]
        if path.is_file()
        else sorted((p for p in path.rglob("*") if p.is_file()), key=lambda p: (len(p.parts), p))
    )
    for pattern in patterns:
        for file in files:
            if file.match(pattern):
                return file
    raise AssetError(f"{path} holds no {' or '.join(patterns)}. Name the right members of the asset.")
