"""The stored features of one model: opened by the manifest, read layer by layer, and checked when read."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from platorep.core.errors import StoreError, unknown_name
from platorep.core.manifest import MANIFEST, Layer, Manifest, Shard, read_manifest
from platorep.core.shards import MEND, open_shard, read_header, tensor_hash
from platorep.core.specs import ExtractSpec


if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)

Stamp = tuple[int, int, int]
"""Time of the last change, inode and size of a file."""

NAMED = 5
"""Largest number of damaged shards that an error names."""


class FeatureSet:
    """One complete extraction, opened by its manifest and read layer by layer.

    Opening reads the manifest and the headers of all shards, and checks that they agree. The checksums of a layer are
    verified when its values are first read. Features stored by an earlier version have no checksums, which is logged
    once as a warning.

    Raises:
        StoreError: the manifest is missing or damaged, a shard is missing, or the size, rows, layers or features of a
            shard do not match the manifest. The message names these shards.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.parsed, self.manifest = read_manifest(path)
        if faults := [fault for shard in self.shards if (fault := shard_fault(path, self.parsed, shard)) is not None]:
            more = f" {len(faults) - NAMED} more shards are damaged." if len(faults) > NAMED else ""
            raise StoreError(f"{' '.join(faults[:NAMED])}{more}", MEND)
        self._checked: dict[tuple[str, str], Stamp | None] = {}
        self._warned = False

    @property
    def spec(self) -> ExtractSpec:
        """The spec that the features were extracted from."""
        return self.parsed.spec

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers, in depth order."""
        return self.parsed.layers

    @property
    def shards(self) -> tuple[Shard, ...]:
        """The shards, in row order."""
        return self.parsed.shards

    @property
    def key(self) -> str:
        """Key of the spec."""
        return self.parsed.key

    @property
    def name(self) -> str:
        """The model's name."""
        return self.spec.model.name

    @property
    def dataset(self) -> str:
        """The dataset's folder in the store, "<name>--<key>", as written in tables."""
        return self.path.parent.name

    @property
    def n(self) -> int:
        """Number of samples."""
        return self.parsed.n

    @property
    def digest(self) -> str:
        """Digest of the ordered sample ids."""
        return self.parsed.sample_digest

    @property
    def scalars(self) -> dict[str, Any]:
        """Figures of the model measured during extraction, such as parameters and bits_per_byte."""
        return self.parsed.scalars

    @cached_property
    def content(self) -> str:
        """Hash of all stored values. Results record it, and are computed again if it changes.

        It does not depend on the division into shards. For features of earlier versions, it is the hash of the SHA-256
        of their shards.
        """
        parts: list[list[Any]] = [[layer.name, layer.dtype, layer.hash] for layer in self.layers]
        if not self.parsed.checked:
            parts = [[shard.start, shard.stop, shard.sha256] for shard in self.shards]
        return hashlib.sha256(json.dumps([self.digest, parts]).encode()).hexdigest()[:16]

    def stamps(self) -> list[Stamp | None]:
        """Stamps of the manifest and the shards; equal as long as the files are not written to."""
        return [_stamp(self.path / name) for name in (MANIFEST, *(shard.file for shard in self.shards))]

    def check_spec(self, spec: ExtractSpec) -> None:
        """Raises if the features were extracted from another spec, and names the fields that differ."""
        if self.key != spec.key():
            differ = ", ".join(_differences(self.manifest["spec"], spec.to_dict())) or "the spec version"
            raise StoreError(
                f"{self.path} was made from another spec; they differ in {differ}. "
                "Remove it, or extract under a new name."
            )

    def load(self, layer: int | str, *, rows: slice | None = None, device: str = "cpu") -> torch.Tensor:
        """One layer as float32, shape (n, dim), or the given rows of it.

        Raises:
            StoreError: the values were changed after they were written.

        Cost: reads that layer's bytes in the shards that hold the rows, and hashes them the first time.
        """
        import torch

        index = self._layer_index(layer)
        start, stop, _ = (rows or slice(None)).indices(self.n)
        if not self.parsed.checked:
            self._warn_unchecked()
        parts = [
            self._values(
                shard, index, slice(max(start, shard.start) - shard.start, min(stop, shard.stop) - shard.start)
            )
            for shard in self.shards
            if shard.start < stop and start < shard.stop
        ]
        if not parts:
            return torch.empty(0, self.layers[index].dim, device=device)
        moved = [part.to(device).to(torch.float32) for part in parts]
        return moved[0] if len(moved) == 1 else torch.cat(moved)

    def _values(self, shard: Shard, index: int, rows: slice) -> torch.Tensor:
        """Rows of one layer in one shard, as stored; verified unless the file is unchanged since the last check."""
        layer, path = self.layers[index], self.path / shard.file
        with open_shard(path) as file:
            stamp = _stamp(path)
            if not shard.hashes or self._checked.get((shard.file, layer.name)) == stamp:
                return file.get_slice(layer.name)[rows]
            values = file.get_tensor(layer.name)
        if tensor_hash(values) != shard.hashes[index]:
            raise StoreError(
                f"{path}: the values of layer {layer.name} are not those that were written: the file changed since.",
                MEND,
            )
        self._checked[shard.file, layer.name] = stamp
        return values[rows]

    def _warn_unchecked(self) -> None:
        if not self._warned:
            self._warned = True
            log.warning(
                "%s on %s was stored by an earlier version without checksums of its layers: damage cannot be noticed "
                "as they are read. `platorep store verify` checks its files; overwrite=true stores it again with "
                "checksums.",
                self.name,
                self.spec.dataset.name,
            )

    def _layer_index(self, layer: int | str) -> int:
        names = [known.name for known in self.layers]
        if isinstance(layer, int):
            if not -len(names) <= layer < len(names):
                raise StoreError(f"{self.name} has {len(names)} layers; got layer {layer}.")
            return layer % len(names)
        if layer not in names:
            raise unknown_name(f"layer of {self.name}", layer, names)
        return names.index(layer)


def shard_fault(folder: Path, manifest: Manifest, shard: Shard) -> str | None:
    """Describes how the size or header of a shard differs from the manifest; None if they agree."""
    path = folder / shard.file
    size = path.stat().st_size if path.is_file() else None
    if size != shard.bytes:
        got = "is missing" if size is None else f"has {size} bytes"
        return f"{path} {got}, but its manifest says {shard.bytes} bytes."
    try:
        header = read_header(path)
    except StoreError as error:
        return error.fault
    stated: dict[str, tuple[Any, Any]] = {
        "key": (header.key, manifest.key),
        "sample digest": (header.digest, manifest.sample_digest),
        "rows": (header.rows, (shard.start, shard.stop)) if manifest.checked else (None, None),
        "number of rows": (header.n, shard.stop - shard.start),
        "layers": ([(layer.name, layer.dim, layer.dtype) for layer in header.layers],
                   [(layer.name, layer.dim, layer.dtype) for layer in manifest.layers]),
        "checksums": (tuple(header.hashes.get(layer.name) for layer in header.layers), shard.hashes)
        if manifest.checked
        else (None, None),
    }  # fmt: skip
    for field, (got, expected) in stated.items():
        if got != expected:
            shown = "" if field in ("layers", "checksums") else f": {got}, expected {expected}"
            return f"{path} holds another {field} than its manifest says{shown}."
    return None


def _stamp(path: Path) -> Stamp | None:
    """Values that change when a file is written or replaced; None if the file does not exist."""
    try:
        state = os.stat(path)
    except OSError:
        return None
    return state.st_mtime_ns, state.st_ino, state.st_size


def _differences(a: Any, b: Any, where: str = "") -> Iterator[str]:
    """Dotted names of the fields in which two JSON values differ, with both values."""
    if isinstance(a, dict) and isinstance(b, dict):
        for name in sorted({*a, *b}):
            yield from _differences(a.get(name), b.get(name), f"{where}.{name}" if where else name)
    elif a != b:
        yield f"{where} (stored {a!r}, asked {b!r})"
