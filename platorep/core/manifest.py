"""The manifest of an extraction: the content of its folder, and checks of its consistency."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from platorep.core.errors import PlatorepError, StoreError
from platorep.core.files import damaged, read_record
from platorep.core.records import Record
from platorep.core.specs import ExtractSpec


MANIFEST = "manifest.json"

SCHEMA = 2
"""Version of the layout of manifests. Version 1 had no checksums of layers, shards and the manifest itself."""

DTYPES = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}
"""Names in safetensors of the dtypes that features are stored in."""

_SHARD_NAME = re.compile(r"shard-\d+-of-\d+(-rows-\d+-\d+)?\.safetensors")


@dataclass(frozen=True, slots=True)
class Layer(Record):
    """One stored layer.

    Attributes:
        name: the name that the encoder gives it.
        dim: its width.
        dtype: its dtype, as named by safetensors.
        hash: hash of all values in row order, independent of the shards; None for features of earlier versions.
    """

    name: str
    dim: int
    dtype: str
    hash: str | None = None


@dataclass(frozen=True, slots=True)
class Shard(Record):
    """One stored shard: rows [start, stop) of every layer.

    Attributes:
        file: name of the file.
        start: first row.
        stop: row after the last.
        bytes: size of the file.
        sha256: SHA-256 of the file.
        hashes: hashes of the values of each layer, in the order of the layers; empty for shards of earlier versions.
    """

    file: str
    start: int
    stop: int
    bytes: int
    sha256: str
    hashes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest(Record):
    """The content of one extraction: schema, key, spec, samples, layers, shards, figures of the model, provenance."""

    schema: int
    key: str
    spec: ExtractSpec
    sample_digest: str
    n: int
    layers: tuple[Layer, ...]
    shards: tuple[Shard, ...]
    scalars: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)

    @property
    def checked(self) -> bool:
        """Whether the layers have checksums."""
        return self.schema >= SCHEMA

    def contradiction(self) -> str | None:
        """Describes a contradiction in the manifest: a wrong key, a gap between shards, a layer without width."""
        if self.key != self.spec.key():
            return f"its key is {self.key}, but its spec has the key {self.spec.key()}"
        if not self.layers or len({layer.name for layer in self.layers}) < len(self.layers):
            return "it has no layers, or one of them twice"
        dtype = DTYPES[self.spec.storage_dtype]
        for layer in self.layers:
            if layer.dim < 1 or layer.dtype != dtype:
                return (
                    f"layer {layer.name} has width {layer.dim} and dtype {layer.dtype}, expected at least 1 and {dtype}"
                )
        stop = 0
        for shard in self.shards:
            if not _SHARD_NAME.fullmatch(shard.file):
                return f"{shard.file!r} is not the name of a shard"
            if shard.start != stop or shard.stop <= shard.start:
                return f"{shard.file} has rows {shard.start} to {shard.stop}, expected rows from {stop}"
            if self.checked and len(shard.hashes) != len(self.layers):
                return f"{shard.file} has {len(shard.hashes)} checksums for {len(self.layers)} layers"
            stop = shard.stop
        if stop != self.n or self.n < 1 or len({shard.file for shard in self.shards}) < len(self.shards):
            return f"its shards hold {stop} rows, it states {self.n}"
        return None


def read_manifest(folder: Path) -> tuple[Manifest, dict[str, Any]]:
    """Reads the manifest in a folder; returns it with the JSON that it was read from.

    Raises:
        StoreError: the manifest is missing, was changed after it was written, or contradicts itself.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise StoreError(f"no complete features at {folder} (no {MANIFEST}). Run `platorep extract` for it first.")
    values = read_record(path, checked_since=SCHEMA)
    if (schema := values.get("schema")) not in range(1, SCHEMA + 1):
        raise StoreError(f"{path} has schema {schema!r}; this version reads 1 to {SCHEMA}. Extract it again.")
    try:
        manifest = Manifest.from_dict(values)
    except (PlatorepError, TypeError, AttributeError, ValueError) as error:
        raise damaged(path, str(error)) from None
    if (contradiction := manifest.contradiction()) is not None:
        raise damaged(path, contradiction)
    return manifest, values
