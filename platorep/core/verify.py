"""Reading every byte of what is stored, and saying all that is wrong with it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from platorep.core.errors import PlatorepError, StoreError
from platorep.core.files import sha256_file
from platorep.core.manifest import MANIFEST, Manifest, Shard, read_manifest
from platorep.core.rows import row_samples
from platorep.core.samples import SAMPLES, Samples, read_samples
from platorep.core.shards import changed_tensors, read_header
from platorep.core.store import FeatureStore
from platorep.core.stored import shard_fault


class Fault(NamedTuple):
    """Something that is not as it was written.

    Attributes:
        path: the file.
        text: what is wrong with it, in a sentence that names it.
    """

    path: Path
    text: str


class Verified(NamedTuple):
    """What reading every byte of one extraction showed.

    Attributes:
        path: its folder.
        faults: all that is wrong; empty where it is whole.
        notes: what cannot be checked, because an earlier version stored no checksum of it.
        bytes: how many were read.
    """

    path: Path
    faults: list[Fault]
    notes: list[str]
    bytes: int


def verify_store(store: FeatureStore, pattern: str = "*") -> Iterator[Verified]:
    """Reads every byte of the extractions that a pattern names, damaged ones included, and goes on after each.

    Args:
        store: where they are.
        pattern: as in `FeatureStore.scan`.
    """
    known: dict[Path, Samples | StoreError] = {}
    for folder in _named(store, pattern):
        if folder.parent not in known:
            try:
                known[folder.parent] = read_samples(folder.parent)
            except StoreError as error:
                known[folder.parent] = error
        yield verify(folder, known[folder.parent])


def verify(folder: Path, samples: Samples | StoreError) -> Verified:
    """Compares one extraction with its manifest, its folder's name and its dataset's samples.

    The key is computed anew from the spec, layers and rows are read from every shard's header, every file is hashed.

    Args:
        folder: of the extraction.
        samples: of its dataset, or why they cannot be read.

    Cost: reads every byte, SHA-256 on all cores.
    """
    try:
        manifest, _ = read_manifest(folder)
    except StoreError as error:
        faults, size = _shards_alone(folder)
        return Verified(folder, [Fault(folder / MANIFEST, str(error)), *faults], [], size)
    faults = list(_misplaced(folder, manifest))
    if isinstance(samples, StoreError):
        faults.append(Fault(folder.parent / SAMPLES, str(samples)))
    else:
        faults += _other_samples(folder, manifest, samples)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        checked = pool.map(lambda shard: _shard_fault(folder, manifest, shard), manifest.shards)
        faults += [
            Fault(folder / shard.file, fault) for shard, fault in zip(manifest.shards, checked, strict=True) if fault
        ]
    notes = [] if manifest.checked else ["stored by an earlier version: its layers cannot be checked as they are read"]
    return Verified(folder, faults, notes, sum(shard.bytes for shard in manifest.shards))


def _shard_fault(folder: Path, manifest: Manifest, shard: Shard) -> str | None:
    if (fault := shard_fault(folder, manifest, shard)) is not None:
        return fault
    path = folder / shard.file
    if (got := sha256_file(path)) != shard.sha256:
        return (
            f"{path} has SHA-256 {got[:12]}…, its manifest says {shard.sha256[:12]}…: it changed after it was written."
        )
    return None


def _misplaced(folder: Path, manifest: Manifest) -> Iterator[Fault]:
    """Keys of the spec that are not those in the folders' names."""
    for place, key in ((folder, manifest.key), (folder.parent, manifest.spec.dataset.key())):
        if place.name.rpartition("--")[2] != key:
            yield Fault(
                folder / MANIFEST,
                f"{folder / MANIFEST} is of features with the key {key}, but lies in {place.name}: it was moved there.",
            )


def _other_samples(folder: Path, manifest: Manifest, samples: Samples) -> Iterator[Fault]:
    try:
        rows = row_samples(manifest.spec, samples)
    except PlatorepError as error:
        yield Fault(folder.parent / SAMPLES, f"{folder.parent / SAMPLES} does not fit {folder.name}: {error}")
        return
    if rows.digest != manifest.sample_digest or len(rows.ids) != manifest.n:
        yield Fault(
            folder / MANIFEST,
            f"{folder / MANIFEST} states {manifest.n} rows with sample digest {manifest.sample_digest[:12]}, but the "
            f"dataset's samples give {len(rows.ids)} rows with digest {rows.digest[:12]}.",
        )


def _shards_alone(folder: Path) -> tuple[list[Fault], int]:
    """Shards that are damaged by their own headers, where there is no manifest to ask, and the bytes read."""
    faults, size = [], 0
    for path in sorted(folder.glob("shard-*.safetensors")):
        size += path.stat().st_size
        try:
            if changed := changed_tensors(path, read_header(path).hashes):
                faults.append(
                    Fault(path, f"{path}: the values of {', '.join(changed)} are not those that were written.")
                )
        except StoreError as error:
            faults.append(Fault(path, str(error)))
    return faults, size


def _named(store: FeatureStore, pattern: str) -> list[Path]:
    """Folders of the extractions that a pattern names, whole or not."""
    sets, broken = store.scan(pattern)
    return sorted([features.path for features in sets] + [one.path for one in broken])
