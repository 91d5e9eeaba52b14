"""Finding stored features and datasets by a spec that may leave fields open."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from platorep.core.errors import StoreError
from platorep.core.files import read_json, slug
from platorep.core.matching import CommitOf, matching
from platorep.core.samples import Samples
from platorep.core.specs import DatasetSpec, ExtractSpec
from platorep.core.store import FeatureSet, FeatureStore


def find_features(store: FeatureStore, spec: ExtractSpec, commit_of: CommitOf) -> FeatureSet | None:
    """The stored features that fit a spec with open fields; None where the model was never extracted on the dataset.

    Args:
        store: where to look.
        spec: what is asked for; see `platorep.core.matching` for what it may leave open.
        commit_of: the commit that a spec's branch or tag stands for now, or None where nobody can tell.

    Raises:
        StoreError: the model was extracted with other settings only, several extractions fit, or the branch that the
            spec names has moved since they were made.
    """
    stored = {f.path.name: f for f in extractions_of(store, spec.dataset.name, spec.model.name)}
    if not stored:
        return None
    matches = [stored[name] for name in matching(spec, {name: f.spec for name, f in stored.items()}, commit_of)]
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


def find_dataset(store: FeatureStore, dataset: DatasetSpec, commit_of: CommitOf) -> Path:
    """The folder of the stored dataset that fits a spec with open fields.

    Raises:
        StoreError: none fits, several do, or the branch that the spec names has moved.
    """
    folders = {f.name: f for f in dataset_folders(store, dataset.name) if (f / "samples.json").is_file()}
    specs = {
        name: DatasetSpec.from_dict(read_json(folder / "samples.json")["spec"]) for name, folder in folders.items()
    }
    matches = [folders[name] for name in matching(dataset, specs, commit_of)]
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
