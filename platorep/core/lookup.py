"""Finding stored features and datasets by a spec that may leave fields open."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from platorep.core.errors import StoreError
from platorep.core.files import read_json, slug
from platorep.core.samples import Samples
from platorep.core.specs import DatasetSpec, ExtractSpec
from platorep.core.store import FeatureSet, FeatureStore


OPEN = {"revision": None, "asset": None, "dtype": "auto", "pool": "auto"}
"""Spec fields that are settled when features are made, with the value that leaves them open."""


def fits(asked: Any, stored: Any) -> bool:
    """Whether every value that the identity `asked` settles is the one of `stored`."""
    if isinstance(asked, dict) and isinstance(stored, dict):
        return asked.keys() == stored.keys() and all(
            (name in OPEN and value == OPEN[name]) or fits(value, stored[name]) for name, value in asked.items()
        )
    return asked == stored


def find_features(store: FeatureStore, spec: ExtractSpec) -> FeatureSet | None:
    """The stored features that fit a spec with open fields; None where the model was never extracted on the dataset.

    Raises:
        StoreError: the model was extracted with other settings only, or several extractions fit.
    """
    extractions = list(extractions_of(store, spec.dataset.name, spec.model.name))
    if not extractions:
        return None
    matches = [features for features in extractions if fits(spec.identity(), features.spec.identity())]
    if len(matches) == 1:
        return matches[0]
    if not matches:
        raise StoreError(
            f"no features of {spec.model.name} on {spec.dataset.name} under {store.root} with these settings. "
            "Run `platorep extract` with the same words first, or leave the model out of the suite (~models.NAME)."
        )
    keys = ", ".join(
        sorted(f"{m.key} (revision {m.spec.model.revision}, {m.spec.model.dtype}, in {m.dataset})" for m in matches)
    )
    raise StoreError(
        f"{len(matches)} extractions of {spec.model.name} on {spec.dataset.name} fit: {keys}. Say which: set the "
        "model's revision and dtype or the dataset's revision, or remove one with `platorep store rm`."
    )


def extractions_of(store: FeatureStore, dataset: str, model: str) -> Iterator[FeatureSet]:
    """Every complete extraction of a model on a dataset, by their names, in the order of the folders."""
    for folder in dataset_folders(store, dataset):
        for manifest in sorted(folder.glob("*/manifest.json")):
            if _name(manifest.parent) == slug(model):
                yield FeatureSet(manifest.parent)


def dataset_folders(store: FeatureStore, name: str) -> list[Path]:
    """Folders of the stored datasets of that name, "<name>--<key>", in order."""
    return sorted(folder for folder in store.root.glob("*/") if _name(folder) == slug(name))


def find_dataset(store: FeatureStore, dataset: DatasetSpec) -> Path:
    """The folder of the stored dataset that fits a spec with open fields.

    Raises:
        StoreError: none fits, or several do.
    """
    matches = [
        folder
        for folder in dataset_folders(store, dataset.name)
        if (folder / "samples.json").is_file()
        and fits(dataset.identity(), DatasetSpec.from_dict(read_json(folder / "samples.json")["spec"]).identity())
    ]
    if len(matches) == 1:
        return matches[0]
    if not matches:
        raise StoreError(
            f"no samples of {dataset.name} under {store.root} with these settings. Run `platorep extract` first."
        )
    names = ", ".join(folder.name for folder in matches)
    raise StoreError(f"several stored datasets fit {dataset.name}: {names}. Say which by dataset.revision.")


def known_samples(store: FeatureStore, dataset: DatasetSpec) -> Samples | None:
    """The samples that an earlier run stored for a resolved dataset, whatever it is called; None where there are none."""
    folder = next((path.parent for path in sorted(store.root.glob(f"*--{dataset.key()}/samples.json"))), None)
    return None if folder is None else store.read_samples(folder)


def _name(folder: Path) -> str:
    return folder.name.rpartition("--")[0]
