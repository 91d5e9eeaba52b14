"""Local files of models, and architectures without weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from platorep.assets import fetch
from platorep.core.errors import AssetError, SpecError, unknown_name
from platorep.core.specs import AssetSpec, ModelSpec


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


def timm_architecture(spec: ModelSpec) -> Any:
    """A timm model with its initial weights.

    Raises:
        UnknownNameError: timm has no such architecture.
        SpecError: the architecture exists, but not with these pretrained weights.
    """
    import timm

    name = spec.id.removeprefix("timm/")
    if name.split(".")[0] not in timm.list_models():
        raise unknown_name("timm architecture", name.split(".")[0], timm.list_models())
    try:
        return timm.create_model(name, pretrained=False)
    except RuntimeError as error:
        raise SpecError(
            f"{spec.name}: timm does not know {name!r} ({error}). "
            f"Known tags: {', '.join(timm.list_pretrained(name.split('.')[0] + '*'))}."
        ) from error
