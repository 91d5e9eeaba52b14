"""Fetches the weights of the next model and reads them into the system's file cache while this model computes.

Only files are read, so results cannot depend on it. Building the next model while another computes would not be safe:
while they load, the libraries draw initial weights from torch's global generator and set its default dtype, both of
which are shared by the whole process. When it is the model's turn, only the copy from memory to its device remains.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from threading import Thread

import psutil

from platorep.assets import cache_dir
from platorep.core.specs import ModelSpec
from platorep.models.files import fetched
from platorep.models.sources import source_of


log = logging.getLogger(__name__)

ENDINGS = {".safetensors", ".bin", ".pth", ".pt", ".gguf", ".npy"}

SHARE = 0.5
"""Share of the host's free memory used for reading ahead; more would evict the first files or other data."""

AT_ONCE = 16 << 20


def read_ahead(spec: ModelSpec) -> Thread:
    """Starts a thread that fetches and reads the weights of a resolved model; `join` it before loading the model.

    Errors are not reported here, because they occur again when the model is loaded.
    """
    thread = Thread(target=_read_ahead, args=(spec,), name="read-ahead", daemon=True)
    thread.start()
    return thread


def _read_ahead(spec: ModelSpec) -> None:
    try:
        files = weight_files(spec)
        size, free = sum(file.stat().st_size for file in files), psutil.virtual_memory().available
        if size > SHARE * free:
            log.debug(
                "%s: %.1f GB of weights are not read ahead, %.1f GB of memory are free",
                spec.name,
                size / 1e9,
                free / 1e9,
            )
            return
        _read(files)
    except Exception as error:
        log.debug("%s: not read ahead: %s", spec.name, error)


def weight_files(spec: ModelSpec) -> list[Path]:
    """The weight files of a resolved model, fetched if necessary; empty if it has no weights to read.

    Raises:
        AssetError: the files cannot be fetched.
    """
    if spec.asset is not None:
        path = cache_dir() / "dequantized" / str(spec.revision)[:16]
        path = path if path.is_dir() else fetched(spec.asset)
        files = [path] if path.is_file() else sorted(path.rglob("*"))
    else:
        files = source_of(spec).weights(spec) if spec.weights == "pretrained" else []
    return [file for file in files if file.suffix in ENDINGS]


def _read(files: Sequence[Path]) -> None:
    """Reads every byte without keeping it, so that the page cache of the system does. Does not block other threads."""
    buffer = bytearray(AT_ONCE)
    for path in files:
        with open(path, "rb", buffering=0) as file:
            while file.readinto(buffer):
                pass
