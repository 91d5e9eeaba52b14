"""What is fetched of a Hub repository in transformers' format: first all but its weights, then the weights in one format.

Both lie in one folder, from which the library then reads without a request of its own: whether a file that need not be there
is there was settled when the repository was listed, and does not depend on how the Hub answers while a model is loaded.
"""

from __future__ import annotations

from pathlib import Path

from platorep.assets.hub import snapshot
from platorep.core.errors import AssetError
from platorep.core.specs import ModelSpec


SMALL_FILES = ("*.json", "*.model", "*.txt", "*.jinja", "*.spm", "*.codes", "*.bpe", "*.tiktoken", "*.vocab", "*.py")
"""What a repository holds beside its weights: configs, tokenizers, and code, which runs only where a spec allows it."""

WEIGHT_FILES = (
    ("model.safetensors", "model-*-of-*.safetensors"),
    ("pytorch_model.bin", "pytorch_model-*-of-*.bin"),
)
"""Names of the files that hold weights; those of the first row that is there are taken."""


def small_files(spec: ModelSpec) -> Path:
    """The folder of a resolved model's repository at its commit, with everything but its weights.

    Raises:
        AssetError: the files cannot be had, or are damaged.
    """
    return snapshot(spec.id, str(spec.revision), SMALL_FILES)


def weights(spec: ModelSpec, part: str = "") -> list[Path]:
    """The files of a resolved model's weights, beside its other files.

    Args:
        spec: the model.
        part: the folder within the repository in which they are.

    Raises:
        AssetError: there are none by a name that transformers reads; or as `small_files`.
    """
    small_files(spec)  # with them comes the list of what there is
    for names in WEIGHT_FILES:
        patterns = [f"{part}/{name}".lstrip("/") for name in names]
        folder = snapshot(spec.id, str(spec.revision), patterns)
        if files := sorted(file for pattern in patterns for file in folder.glob(pattern)):
            return files
    known = ", ".join(name for row in WEIGHT_FILES for name in row)
    raise AssetError(f"{spec.name}: {spec.id} has no weights that transformers reads: none of {known}.")
