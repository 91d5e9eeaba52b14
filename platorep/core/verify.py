"""Verification of stored features: reads every byte and reports all faults."""

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
    """A difference between a file and its state when written.

    Attributes:
        path: the file.
        text: describes the fault in a sentence that names the file.
    """

    path: Path
    text: str


class Verified(NamedTuple):
    """The result of reading every byte of one extraction.

    Attributes:
        path: its folder.
        faults: all faults; empty if the extraction is intact.
        notes: checks that are impossible because an earlier version stored no checksums.
        bytes: number of bytes read.
    """

    path: Path
    faults: list[Fault]
    notes: list[str]
    bytes: int


def verify_store(store: FeatureStore, pattern: str = "*") -> Iterator[Verified]:
    """Reads every byte of the extractions that match a pattern, including damaged ones.

    Args:
        store: the store.
        pattern: as in `FeatureStore.scan`.
    """
    folders = _named(store, pattern)
    known: dict[Path, Samples | StoreError] = {}
    for parent in {folder.parent for folder in folders}:
        try:
            known[parent] = read_samples(parent)
        except StoreError as error:
            known[parent] = error
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # several extractions at a time: many have a single shard
        yield from pool.map(lambda folder: verify(folder, known[folder.parent]), folders)


def verify(folder: Path, samples: Samples | StoreError) -> Verified:
    """Compares one extraction with its manifest, its folder's name and its dataset's samples.

    Computes the key from the spec again, reads layers and rows from the headers of all shards, and hashes every file.

    Args:
        folder: the folder of the extraction.
        samples: the samples of its dataset, or the error of reading them.

    Cost: reads every byte, SHA-256 on one core; `verify_store` takes all cores.
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
    for shard in manifest.shards:
        if fault := _shard_fault(folder, manifest, shard):
            faults.append(Fault(folder / shard.file, fault))
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
    """Keys of the spec that differ from the names of the folders."""
    for place, key in ((folder, manifest.key), (folder.parent, manifest.spec.dataset.key())):
        if place.name.rpartition("--")[2] != key:
            yield Fault(
                folder / MANIFEST,
                f"{folder / MANIFEST} has the key {key}, but lies in {place.name}: it was moved there.",
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
    """Checks shards by their headers if there is no manifest; returns faults and the number of bytes read."""
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
    """Folders of the extractions that match a pattern, intact or not."""
    sets, broken = store.scan(pattern)
    return sorted([features.path for features in sets] + [damaged.path for damaged in broken])
