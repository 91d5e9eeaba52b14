"""`platorep store`: verify, import, export and remove what is stored."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from platorep.core.errors import StoreError
from platorep.core.files import read_json, slug
from platorep.core.specs import DatasetSpec
from platorep.core.store import FeatureSet, FeatureStore
from platorep.data.feature_files import write_features


def store_at(root: Path) -> FeatureStore:
    """The features under a root folder such as outputs."""
    return FeatureStore(root / "features")


def found(store: FeatureStore, pattern: str) -> list[FeatureSet]:
    """Extractions whose model name, folder, or "dataset/model" matches a glob.

    Raises:
        StoreError: none does.
    """
    matches = list(store.find(pattern)) or list(store.find(f"{pattern}--*"))
    if not matches:
        raise StoreError(
            f"no features under {store.root} match {pattern!r}. `platorep ls features` lists what there is."
        )
    return matches


def verify(store: FeatureStore, pattern: str) -> Iterator[tuple[FeatureSet, str]]:
    """Reads every byte of the matching extractions; yields each with "" or what is wrong with it."""
    for one in found(store, pattern):
        try:
            one.verify()
            store.read_samples(one.path.parent)
        except StoreError as error:
            yield one, str(error)
        else:
            yield one, ""


def dataset_named(store: FeatureStore, name: str) -> DatasetSpec:
    """The stored dataset of that name, or a new one for features that come with their own sample ids.

    Raises:
        StoreError: several stored datasets have the name.
    """
    folders = sorted(store.root.glob(f"{slug(name)}--*/samples.json")) or sorted(
        store.root.glob(f"{slug(name)}/samples.json")
    )
    if len(folders) > 1:
        raise StoreError(
            f"several stored datasets are named {name}: {', '.join(f.parent.name for f in folders)}. Give the whole folder name."
        )
    if folders:
        return DatasetSpec.from_dict(read_json(folders[0])["spec"])
    return DatasetSpec(name=name, source="folder", id="imported")


def export(store: FeatureStore, pattern: str, out: Path) -> Path:
    """Writes the layers of one extraction, float32, and its sample ids to one .safetensors or .npz file.

    Raises:
        StoreError: several extractions match, or the file's ending is neither.
    """
    matches = found(store, pattern)
    if len(matches) > 1:
        raise StoreError(
            f"{len(matches)} extractions match {pattern!r}: {', '.join(one.path.name for one in matches)}. Name one."
        )
    if out.suffix not in (".safetensors", ".npz"):
        raise StoreError(f"{out}: expected a name that ends in .safetensors or .npz.")
    layers = {layer.name: matches[0].load(layer.name) for layer in matches[0].layers}
    write_features(out, layers, store.read_samples(matches[0].path.parent).ids)
    return out
