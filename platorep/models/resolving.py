"""Resolves model specs before keys are computed."""

from __future__ import annotations

from pathlib import Path

import torch

from platorep.assets import content_hash, is_commit, resolve_revision
from platorep.core.errors import SpecError
from platorep.core.specs import AssetSpec, ModelSpec
from platorep.models.base import native_dtype
from platorep.models.files import fetched
from platorep.models.source import Source
from platorep.models.sources import source_of


def resolve(spec: ModelSpec, device: torch.device) -> ModelSpec:
    """Resolves all fields that the key of a spec covers. Called before any key is computed.

    `revision` becomes the commit of the Hub, the SHA-256 of the asset, or the SHA-256 over the files of a local path.
    For random weights, it becomes the version of the library. An `id` may be a local folder. `dtype="auto"` becomes the
    dtype of the device, and `pool="auto"` becomes the pool of the model.

    Raises:
        SpecError: settings exclude each other, or the source does not support them.
        UnknownNameError: the source or the architecture does not exist.
        AssetError: the Hub does not have the model or revision, or cannot be reached and the model is not cached.
    """
    source = source_of(spec)
    source.check(spec)
    spec = with_folder(spec, source)
    dtype = native_dtype(device) if spec.dtype == "auto" else spec.dtype
    if not source.is_network:
        dtype = "float32"
    revision = _revision(spec, source)
    settled = is_commit(spec.revision) or spec.revision == revision  # resolved before, from the branch that it names
    branch = spec.branch if settled else spec.revision or ""
    spec = spec.replace(revision=revision, branch=branch, dtype=dtype)
    if spec.pool != "auto":
        return spec
    return spec.replace(pool="cls" if spec.modality == "vision" and source.has_class_token(spec) else "mean")


def with_folder(spec: ModelSpec, source: Source) -> ModelSpec:
    """The spec with its local folder as asset, if its id is one instead of a repository's."""
    if spec.asset is None and source.takes_folder and Path(spec.id).expanduser().is_dir():
        return spec.replace(asset=AssetSpec(source="path", id=spec.id))
    return spec


def _revision(spec: ModelSpec, source: Source) -> str:
    if (version := source.version(spec)) is not None:
        return version
    if spec.asset is not None:
        return spec.asset.sha256 or content_hash(fetched(spec.asset))
    if (place := source.repository(spec)) is None:
        raise SpecError(f"{spec.name}: source={spec.source} has no repository for {spec.id!r}; give it an asset.")
    return resolve_revision(place.id, spec.revision)
