"""Resolves model specs before keys are computed."""

from __future__ import annotations

from pathlib import Path

import torch

from platorep.assets import content_hash, is_commit, resolve_revision
from platorep.core.errors import SpecError
from platorep.core.specs import AssetSpec, ModelSpec
from platorep.models.base import native_dtype
from platorep.models.files import fetched
from platorep.models.repositories import repository


def resolve(spec: ModelSpec, device: torch.device) -> ModelSpec:
    """Resolves all fields that the key of a spec covers. Called before any key is computed.

    `revision` becomes the commit of the Hub, the SHA-256 of the asset, or the SHA-256 over the files of a local path.
    For random weights, it becomes the version of the library. An `id` may be a local folder. `dtype="auto"` becomes the
    dtype of the device, and `pool="auto"` becomes the pool of the model.

    Raises:
        SpecError: settings exclude each other, or the source does not support the modality.
        UnknownNameError: the architecture does not exist.
        AssetError: the Hub does not have the model or revision, or cannot be reached and the model is not cached.
    """
    _check(spec)
    if spec.asset is None and spec.source in ("transformers", "open_clip") and Path(spec.id).expanduser().is_dir():
        spec = spec.replace(asset=AssetSpec(source="path", id=spec.id))  # a local checkpoint instead of a Hub id
    dtype = native_dtype(device) if spec.dtype == "auto" else spec.dtype
    if spec.source in ("static", "tfidf", "pixels"):
        dtype = "float32"
    revision = _revision(spec)
    settled = is_commit(spec.revision) or spec.revision == revision  # resolved before, from the branch that it names
    branch = spec.branch if settled else spec.revision or ""
    spec = spec.replace(revision=revision, branch=branch, dtype=dtype)
    return spec.replace(pool=_pool(spec))


def _check(spec: ModelSpec) -> None:
    modalities = {
        "transformers": ("language", "vision"), "static": ("language",), "tfidf": ("language",), "timm": ("vision",),
        "pixels": ("vision",), "open_clip": ("language", "vision"),
    }  # fmt: skip
    if spec.source not in modalities:
        raise SpecError(
            f"{spec.name}: source={spec.source} is not run here; import such features with `platorep store import`."
        )
    if spec.modality not in modalities[spec.source]:
        raise SpecError(
            f"{spec.name}: modality is {spec.modality!r}; "
            f"source={spec.source} has {' and '.join(modalities[spec.source])}."
        )
    if spec.weight_noise < 0:
        raise SpecError(f"{spec.name}: weight_noise is {spec.weight_noise}; expected 0 or more.")
    if spec.weight_noise and (spec.quantize or spec.source in ("static", "tfidf", "pixels")):
        raise SpecError(
            f"{spec.name}: weight_noise needs weights of a network in full precision; "
            "leave out weight_noise or quantize."
        )
    if spec.input_size is not None and (spec.modality != "vision" or spec.input_size < 1):
        raise SpecError(
            f"{spec.name}: input_size is {spec.input_size} for {spec.modality}; expected 1 or more, and pictures."
        )
    if spec.quantize and (spec.source, spec.modality) != ("transformers", "language"):
        raise SpecError(
            f"{spec.name}: quantize works for source=transformers only, and for language; "
            f"got {spec.source}, {spec.modality}."
        )
    if spec.quantize and spec.weights == "random":
        raise SpecError(f"{spec.name}: quantize takes pretrained weights; leave out quantize or weights=random.")


def _revision(spec: ModelSpec) -> str:
    if spec.source in ("tfidf", "pixels"):
        return "1"
    if spec.asset is not None:
        return spec.asset.sha256 or content_hash(fetched(spec.asset))
    if spec.weights == "random" and spec.source == "timm":
        import timm

        return f"timm-{timm.__version__}"
    if spec.weights == "random" and spec.source == "open_clip" and "/" not in spec.id:
        import open_clip

        return f"open_clip-{open_clip.__version__}"
    return resolve_revision(hub_id(spec), spec.revision)


def _pool(spec: ModelSpec) -> str:
    if spec.pool != "auto" or spec.modality != "vision" or spec.source == "pixels":
        return "mean" if spec.pool == "auto" else spec.pool
    from platorep.models.class_tokens import has_class_token

    return "cls" if has_class_token(spec) else "mean"


def hub_id(spec: ModelSpec) -> str:
    """The Hub repository that holds a model's weights."""
    return repository(spec).id if spec.source in ("timm", "open_clip") else spec.id
