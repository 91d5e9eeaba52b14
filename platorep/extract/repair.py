"""Repairs damaged features: extracts damaged shards again from the spec in the manifest."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from platorep.core.errors import PlatorepError, StoreError
from platorep.core.manifest import MANIFEST, read_manifest
from platorep.core.resources import Resources
from platorep.core.samples import SAMPLES, Samples, read_samples
from platorep.core.store import FeatureStore
from platorep.core.verify import Verified, verify, verify_store
from platorep.core.writer import FeatureWriter
from platorep.data import open_dataset
from platorep.extract.engine import Report, write_missing
from platorep.extract.items import items_of


log = logging.getLogger(__name__)


class Repair(NamedTuple):
    """The result of the repair of one extraction.

    Attributes:
        path: its folder.
        whole: whether it is intact now.
        text: what was done, or remains to be done.
    """

    path: Path
    whole: bool
    text: str


def repair(
    store: FeatureStore,
    resources: Resources,
    pattern: str = "*",
    *,
    progress: Callable[[Path], Report] | None = None,
) -> Iterator[Repair]:
    """Verifies the extractions that match a pattern, and repairs damaged ones.

    Damaged shards are extracted again with the spec in the manifest. A damaged file of samples is written again from
    the dataset. A damaged manifest is removed: `extract` with the original arguments writes it again from the intact
    shards.

    Args:
        store: the store.
        resources: execution settings; the number of rows per shard is kept.
        pattern: as in `FeatureStore.scan`.
        progress: called with the folder of an extraction; returns the callback for its rows.
    """
    for result in verify_store(store, pattern):
        if not result.faults:
            yield Repair(result.path, True, "whole")
            continue
        for fault in result.faults:
            log.warning("%s", fault.text)
        try:
            yield _repair(store, result, resources, progress)
        except (PlatorepError, OSError) as error:
            yield Repair(result.path, False, f"cannot be extracted again: {error}")


def _repair(
    store: FeatureStore, result: Verified, resources: Resources, progress: Callable[[Path], Report] | None
) -> Repair:
    folder = result.path
    try:
        manifest, _ = read_manifest(folder)
    except StoreError:
        (folder / MANIFEST).unlink(missing_ok=True)
        return Repair(
            folder,
            False,
            "its damaged manifest is removed; `platorep extract` with the original arguments writes it again and "
            "keeps the intact shards",
        )
    if manifest.spec.model.is_imported:
        return Repair(folder, False, "it was imported: import its file again (`platorep store import`)")
    if folder != store.dir(manifest.spec):
        return Repair(folder, False, f"it belongs in {store.dir(manifest.spec)}: move it there, or remove it")
    if manifest.spec.model.source == "matrix":
        (folder / MANIFEST).unlink(missing_ok=True)
        return Repair(folder, False, "its damaged file is removed; `platorep extract` writes the matrix again")
    pairs = open_dataset(manifest.spec.dataset, known=lambda dataset: _known(folder.parent))
    store.write_samples(pairs.spec, pairs.samples)
    rows = max(shard.stop - shard.start for shard in manifest.shards)
    how = dataclasses.replace(resources, shard_rows=rows, shard=(0, 1))
    items = items_of(manifest.spec, pairs.samples)
    writer = FeatureWriter(store, manifest.spec, items.samples, rows)
    write_missing(writer, items, pairs, how, progress=progress(folder) if progress is not None else None)
    again = verify(folder, pairs.samples)
    return Repair(folder, not again.faults, "; ".join(fault.text for fault in again.faults) or "mended")


def _known(folder: Path) -> Samples | None:
    """The samples of the dataset; None if their file is missing or damaged, in which case it is removed."""
    try:
        return read_samples(folder)
    except StoreError:
        (folder / SAMPLES).unlink(missing_ok=True)
        return None
