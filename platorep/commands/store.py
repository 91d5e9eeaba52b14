"""`platorep store`: verify, repair, import, export and remove stored features."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from platorep.core.errors import StoreError
from platorep.core.samples import SAMPLES, read_dataset
from platorep.core.specs import DatasetSpec
from platorep.core.store import Damaged, FeatureSet, FeatureStore
from platorep.core.verify import Verified, verify_store
from platorep.data.feature_files import write_features


if TYPE_CHECKING:
    from platorep.extract.repair import Repair


def store_at(root: Path) -> FeatureStore:
    """The store of features under a root folder such as outputs."""
    return FeatureStore(root / "features")


def matching(store: FeatureStore, pattern: str) -> list[FeatureSet | Damaged]:
    """The extractions that match a pattern; damaged ones come last.

    Raises:
        StoreError: there are none.
    """
    sets, broken = store.scan(pattern)
    if not sets and not broken:
        raise StoreError(
            f"no features under {store.root} match {pattern!r}. `platorep ls features` lists what there is."
        )
    return [*sets, *broken]


def verify(store: FeatureStore, pattern: str) -> Iterator[Verified]:
    """Reads every byte of the extractions that match a pattern.

    Raises:
        StoreError: there are none.
    """
    matching(store, pattern)
    return verify_store(store, pattern)


def repair(store: FeatureStore, pattern: str) -> Iterator[Repair]:
    """Extracts damaged shards again, in the extractions that match a pattern.

    Raises:
        StoreError: there are none.
    """
    from platorep.commands.options import Compute
    from platorep.core.resources import Resources
    from platorep.extract.repair import repair as repair_features

    matching(store, pattern)
    return repair_features(store, Resources.from_config(vars(Compute())), pattern)


def dataset_named(store: FeatureStore, name: str) -> DatasetSpec:
    """The stored dataset with that name or folder, or a new one for features that have their own sample ids.

    Raises:
        StoreError: several stored datasets have the name.
    """
    stored = list(store.datasets(name))
    if not stored and (store.root / name / SAMPLES).is_file():
        stored = [(store.root / name, read_dataset(store.root / name))]
    if len(stored) > 1:
        folders = ", ".join(folder.name for folder, _ in stored)
        raise StoreError(f"several stored datasets are named {name}: {folders}. Give the whole folder name.")
    return stored[0][1] if stored else DatasetSpec(name=name, source="folder", id="imported")


def export(store: FeatureStore, pattern: str, out: Path) -> Path:
    """Writes the layers of one extraction as float32, with its sample ids, to one .safetensors or .npz file.

    Raises:
        StoreError: several extractions match, or the file has another suffix.
    """
    matching(store, pattern)
    matches = store.find(pattern)
    if len(matches) > 1:
        raise StoreError(
            f"{len(matches)} extractions match {pattern!r}: "
            f"{', '.join(match.path.name for match in matches)}. Name one."
        )
    if out.suffix not in (".safetensors", ".npz"):
        raise StoreError(f"{out}: expected a name that ends in .safetensors or .npz.")
    layers = {layer.name: matches[0].load(layer.name) for layer in matches[0].layers}
    write_features(out, layers, store.read_samples(matches[0].path.parent).ids)
    return out
