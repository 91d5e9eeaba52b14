"""Fetches the weights of the next model and reads them into the page cache while the current model computes.

Only files are read, so results cannot depend on it. Building the next model at the same time would not be safe: the
libraries draw initial weights from torch's global generator and set its default dtype while they load, and both belong
to the whole process. When the turn of the model comes, its weights only have to be copied from memory to the device.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from threading import Thread

import psutil

from platorep.assets import cache_dir
from platorep.core.specs import ModelSpec
from platorep.models import fetching
from platorep.models.files import fetched
from platorep.models.repositories import fetched_weights, repository


log = logging.getLogger(__name__)

ENDINGS = {".safetensors", ".bin", ".pth", ".pt", ".gguf", ".npy"}

SHARE = 0.5
"""Of the host's free memory, how much may be read ahead: more would push out its own beginning, or what others need."""

AT_ONCE = 16 << 20


def read_ahead(spec: ModelSpec) -> Thread:
    """Starts to fetch and read a resolved model's weights; `join` the thread before the model is loaded.

    What goes wrong here is not reported: the model meets it again in its turn, as its own failure.
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
    """The files that hold a resolved model's weights, fetched if they are not here yet; none where it has none to read.

    Raises:
        AssetError: they cannot be fetched.
    """
    if spec.asset is not None:
        path = cache_dir() / "dequantized" / str(spec.revision)[:16]
        path = path if path.is_dir() else fetched(spec.asset)
    elif spec.weights == "random" or spec.source not in ("transformers", "timm", "open_clip"):
        return []
    elif spec.source == "transformers":
        return fetching.weights(spec)
    else:
        path = fetched_weights(repository(spec), str(spec.revision))
    files = [path] if path.is_file() else sorted(path.rglob("*"))
    return [file for file in files if file.suffix in ENDINGS]


def _read(files: Sequence[Path]) -> None:
    """Reads every byte and keeps none: the system does, as long as there is room. Other threads run meanwhile."""
    buffer = bytearray(AT_ONCE)
    for path in files:
        with open(path, "rb", buffering=0) as file:
            while file.readinto(buffer):
                pass
