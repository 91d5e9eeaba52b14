"""Loads the encoder of a resolved spec."""

from __future__ import annotations

from collections.abc import Callable

import torch

from platorep.core.errors import SpecError
from platorep.core.specs import ModelSpec
from platorep.models.base import Encoder
from platorep.models.files import fetched, find


def load(spec: ModelSpec, device: torch.device) -> Encoder:
    """The encoder of a resolved spec, on its device, in evaluation mode.

    Raises:
        SpecError: the weights do not match the architecture, or the architecture is not supported.
        AssetError: the weights cannot be fetched.
    """
    return _LOADERS[spec.source](spec, device)


def _load_transformers(spec: ModelSpec, device: torch.device) -> Encoder:
    if spec.modality == "language":
        from platorep.models.pretrained import load_language

        return load_language(spec, device)
    from platorep.models.transformers_vision import load_transformers_vision

    return load_transformers_vision(spec, device)


def _load_timm(spec: ModelSpec, device: torch.device) -> Encoder:
    from platorep.models.loading_vision import load_timm

    return load_timm(spec, device)


def _load_clip(spec: ModelSpec, device: torch.device) -> Encoder:
    from platorep.models.loading_vision import load_clip

    return load_clip(spec, device)


# words and pixels -----------------------------------------------------------------------------------------------------


def _load_static(spec: ModelSpec, device: torch.device) -> Encoder:
    import numpy as np
    import pandas as pd

    from platorep.models.lexical import StaticEncoder

    if spec.asset is None:
        raise SpecError(
            f"{spec.name}: static word vectors need an asset with one .npy (words x width) "
            "and one .parquet (words in order)."
        )
    path = fetched(spec.asset)
    vectors = np.load(find(path, "*.npy"), mmap_mode="r", allow_pickle=False)
    words = pd.read_parquet(find(path, "*.parquet")).iloc[:, 0]
    if vectors.ndim != 2 or len(vectors) != len(words):
        raise SpecError(
            f"{spec.name}: {len(words)} words do not fit vectors of shape {vectors.shape}; expected one row per word."
        )
    return StaticEncoder(spec, vectors, {str(word): row for row, word in enumerate(words)}, device)


def _load_tfidf(spec: ModelSpec, device: torch.device) -> Encoder:
    from platorep.models.lexical import TfidfEncoder

    return TfidfEncoder(spec, device)


def _load_pixels(spec: ModelSpec, device: torch.device) -> Encoder:
    from platorep.models.vision import PixelEncoder

    return PixelEncoder(spec, device)


_LOADERS: dict[str, Callable[[ModelSpec, torch.device], Encoder]] = {
    "transformers": _load_transformers,
    "timm": _load_timm,
    "open_clip": _load_clip,
    "static": _load_static,
    "tfidf": _load_tfidf,
    "pixels": _load_pixels,
}
