"""Models in the format of the transformers library, from a repository, a local folder or an asset."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch

from platorep.assets.examining import Repository as Listing
from platorep.core.specs import ModelSpec
from platorep.models import fetching
from platorep.models.base import Encoder
from platorep.models.pretrained import load_language
from platorep.models.repositories import Repository
from platorep.models.source import Source
from platorep.models.transformers_sound import load_transformers_sound
from platorep.models.transformers_vision import architecture_has_class_token, load_transformers_vision


TOKENIZERS = (
    ("tokenizer.json",), ("tokenizer.model",), ("spm.model",), ("spiece.model",), ("sentencepiece.bpe.model",),
    ("vocab.json", "merges.txt"), ("vocab.txt",), ("tekken.json",),
)  # fmt: skip
"""Groups of files, each of which is a complete tokenizer."""

SENTENCEPIECE = ("sentencepiece", "google.protobuf")
"""Packages that are needed to read a tokenizer with only a .model file."""


class Transformers(Source):
    """Language, vision and sound models, or the corresponding towers of models with several parts."""

    modalities = ("language", "vision", "sound")
    quantized = ("language",)
    takes_folder = True

    def load(self, spec: ModelSpec, device: torch.device) -> Encoder:
        if spec.modality == "sound":
            return load_transformers_sound(spec, device)
        return load_language(spec, device) if spec.modality == "language" else load_transformers_vision(spec, device)

    def repository(self, spec: ModelSpec) -> Repository:
        return Repository(spec.id, fetching.WEIGHT_FILES)

    def weights(self, spec: ModelSpec) -> list[Path]:
        return fetching.weights(spec)

    def has_class_token(self, spec: ModelSpec) -> bool:
        return architecture_has_class_token(spec)

    def examine(self, spec: ModelSpec, listing: Listing, weights: Sequence[str]) -> tuple[str, list[str]]:
        problems = []
        kind = listing.config.get("model_type")
        if kind is not None and not spec.trust_remote_code and not _is_known(kind):
            problems.append(f"transformers has no architecture {kind!r}; the repository's own code is not run")
        if "config.json" not in listing.sizes and not (spec.asset and any(name.endswith(".gguf") for name in weights)):
            problems.append("it has no config.json, so it is not in transformers' format")
        if spec.modality != "language":
            return "", problems
        tokenizer, missing = _tokenizer(listing.sizes)
        return tokenizer, problems + missing


def _is_known(kind: str) -> bool:
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    return kind in CONFIG_MAPPING_NAMES


def _tokenizer(names: Iterable[str]) -> tuple[str, list[str]]:
    """The files of a tokenizer, and packages that are missing to read it."""
    names = set(names)
    if any(name.endswith(".gguf") for name in names) and "config.json" not in names:
        return "in the GGUF file", []
    for files in TOKENIZERS:
        if names.issuperset(files):
            missing = [package for package in SENTENCEPIECE if not _has(package)]
            unread = files[0].endswith(".model") and missing
            return " + ".join(files), (
                [f"its tokenizer is {files[0]} alone, which needs {' and '.join(missing)}: pip install them"]
                if unread
                else []
            )
    return "none", ["it has no tokenizer's files"]


def _has(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:
        return False
