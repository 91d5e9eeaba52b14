"""Converts errors of the libraries while they read a model's files to messages."""

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
    """Converts errors in the block to messages; out-of-memory errors and PlatorepErrors pass.

    Args:
        spec: the model.
        what: the files that are read: "config", "tokenizer", "weights".
        folder: the folder of the files.

    Raises:
        SpecError: the files require code that is not run, or transformers cannot read the architecture or tokenizer.
        AssetError: files are damaged, or weights contain more than tensors.
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
    """The unreadable JSON and safetensors files of a folder, sorted by name."""
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


def misfit(name: str, file: Path, error: Exception) -> str:
    """The message for a file whose tensors do not match, from the error of a library."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reason = " ".join(lines[1:3] if len(lines) > 1 else lines)[:300]
    return (
        f"{name}: the weights in {file.name} do not fit the architecture ({reason}). "
        "Take the checkpoint that belongs to it."
    )


@contextmanager
def without_pickles(name: str, file: Path) -> Iterator[None]:
    """Converts the error of torch for pickled objects other than tensors to a message."""
    try:
        yield
    except Exception as error:
        if type(error).__name__ != "UnpicklingError":
            raise
        raise SpecError(
            f"{name}: {file.name} holds pickled objects besides tensors, which are not executed (it is read by "
            "weights_only). Take weights in safetensors."
        ) from error
