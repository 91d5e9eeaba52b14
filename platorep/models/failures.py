"""What the transformers library raises while it reads a model's files, as sentences."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from platorep.core.errors import AssetError, PlatorepError, SpecError
from platorep.core.specs import ModelSpec


@contextmanager
def explained(spec: ModelSpec, what: str, folder: Path) -> Iterator[None]:
    """Turns what is raised inside into a sentence; a lack of memory and our own errors pass through.

    Args:
        spec: the model.
        what: what is read: "config", "tokenizer", "weights".
        folder: where the files are.

    Raises:
        SpecError: code that is not run, or an architecture or a tokenizer that transformers cannot make of the files.
        AssetError: damaged files, or weights that are more than tensors.
    """
    try:
        yield
    except (PlatorepError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        text = str(error).strip()
        reason = f"{type(error).__name__}: {text.partition(chr(10))[0][:300]}"
        if "trust_remote_code" in text:
            raise SpecError(
                f"{spec.name}: its {what} needs code from its repository, which is not run. If you have read that code "
                f"and trust it, set models.{spec.name}.trust_remote_code=true."
            ) from error
        if files := damaged_files(folder):
            raise AssetError(
                f"{spec.name}: {files[0]} is damaged ({reason}). Delete that file; "
                "one from the Hub is then fetched again."
            ) from error
        if type(error).__name__ == "UnpicklingError" or "weights_only" in text:
            raise AssetError(
                f"{spec.name}: its weights are a pickle that holds more than tensors. None of it was run. "
                "Take a checkpoint with safetensors, or convert it."
            ) from error
        import transformers

        raise SpecError(
            f"{spec.name}: transformers {transformers.__version__} cannot read its {what} in {folder} ({reason}). "
            "Compare the files with the model's page, or choose another checkpoint."
        ) from error


def damaged_files(folder: Path) -> list[Path]:
    """The JSON and safetensors files of a folder that cannot be read, in order of their names."""
    from safetensors import SafetensorError, safe_open

    damaged = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        try:
            if path.suffix == ".json":
                json.loads(path.read_text(encoding="utf-8"))
            elif path.suffix == ".safetensors":
                with safe_open(path, "pt"):
                    pass
        except (ValueError, SafetensorError):
            damaged.append(path)
    return damaged
