"""Fetches a Hub repository in transformers' format: first everything but the weights, then the weights in one format.

Both are in one folder, from which the library then reads without requests. The list of the repository determines which
optional files exist, so loading a model does not depend on further answers of the Hub.
"""

from __future__ import annotations

from pathlib import Path

from platorep.assets.hub import snapshot
from platorep.core.errors import AssetError
from platorep.core.specs import ModelSpec


SMALL_FILES = ("*.json", "*.model", "*.txt", "*.jinja", "*.spm", "*.codes", "*.bpe", "*.tiktoken", "*.vocab", "*.py")
"""Files other than weights: configs, tokenizers, and code, which is only run if a spec allows it."""

WEIGHT_FILES = (
    ("model.safetensors", "model-*-of-*.safetensors"),
    ("pytorch_model.bin", "pytorch_model-*-of-*.bin"),
)
"""Names of weight files; those of the first existing row are used."""


def small_files(spec: ModelSpec) -> Path:
    """The folder of a resolved model's repository at its commit, with all files except the weights.

    Raises:
        AssetError: the files cannot be fetched, or are damaged.
    """
    return snapshot(spec.id, str(spec.revision), SMALL_FILES)


def weights(spec: ModelSpec, part: str = "") -> list[Path]:
    """The weight files of a resolved model, in the folder of its other files.

    Args:
        spec: the model.
        part: the subfolder of the repository that contains them.

    Raises:
        AssetError: there are no files with a name that transformers reads; or as for `small_files`.
    """
    small_files(spec)  # also fetches the list of all files
    for names in WEIGHT_FILES:
        patterns = [f"{part}/{name}".lstrip("/") for name in names]
        folder = snapshot(spec.id, str(spec.revision), patterns)
        if files := sorted(file for pattern in patterns for file in folder.glob(pattern)):
            return files
    known = ", ".join(name for row in WEIGHT_FILES for name in row)
    raise AssetError(f"{spec.name}: {spec.id} has no weights that transformers reads: none of {known}.")
