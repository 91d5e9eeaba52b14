"""Finding stored features and datasets by a spec that may leave fields open."""

from __future__ import annotations

from pathlib import Path

from platorep.core.errors import AmbiguousError, StoreError
from platorep.core.files import slug
from platorep.core.matching import CommitOf, matching
from platorep.core.specs import DatasetSpec, ExtractSpec
from platorep.core.store import FeatureStore, all_damaged
from platorep.core.stored import FeatureSet


def find_features(store: FeatureStore, spec: ExtractSpec, commit_of: CommitOf) -> FeatureSet | None:
    """The stored features that match a spec with open fields; None if the model was never extracted on the dataset.

    Args:
        store: the store to search.
        spec: the requested features; see `platorep.core.matching` for the fields that it may leave open.
        commit_of: returns the current commit of a spec's branch or tag, or None if it is unknown.

    Raises:
        AmbiguousError: several extractions match.
        StoreError: the model was only extracted with other settings, the extraction is damaged, or the branch of the
            spec has moved since the extraction.
    """
    sets, damaged = store.named(spec.model.name)
    sets = [features for features in sets if slug(features.spec.dataset.name) == slug(spec.dataset.name)]
    damaged = [broken for broken in damaged if broken.path.parent.name.rpartition("--")[0] == slug(spec.dataset.name)]
    stored = {f"{features.dataset}/{features.path.name}": features for features in sets}
    matches = [stored[name] for name in matching(spec, {name: f.spec for name, f in stored.items()}, commit_of)]
    if len(matches) == 1:
        return matches[0]
    if len(matches) > 1:
        keys = ", ".join(
            sorted(f"{m.key} (revision {m.spec.model.revision}, {m.spec.model.dtype}, in {m.dataset})" for m in matches)
        )
        raise AmbiguousError(
            f"{len(matches)} extractions of {spec.model.name} on {spec.dataset.name} fit: {keys}. Choose one: set the "
            "model's revision and dtype or the dataset's revision, or remove one with `platorep store rm`."
        )
    if damaged:
        raise StoreError(all_damaged(damaged))
    if sets:
        raise StoreError(
            f"no features of {spec.model.name} on {spec.dataset.name} under {store.root} with these settings. "
            "Run `platorep extract` with the same settings first, or leave the model out of the suite (~models.NAME)."
        )
    return None


def find_dataset(store: FeatureStore, dataset: DatasetSpec, commit_of: CommitOf) -> Path:
    """The folder of the stored dataset that matches a spec with open fields.

    Raises:
        AmbiguousError: several datasets match.
        StoreError: no dataset matches, or the branch of the spec has moved.
    """
    folders = {folder.name: (folder, stored) for folder, stored in store.datasets(dataset.name)}
    matches = matching(dataset, {name: stored for name, (_, stored) in folders.items()}, commit_of)
    if len(matches) == 1:
        return folders[matches[0]][0]
    if not matches:
        raise StoreError(
            f"no samples of {dataset.name} under {store.root} with these settings. Run `platorep extract` first."
        )
    raise AmbiguousError(
        f"several stored datasets fit {dataset.name}: {', '.join(matches)}. Set dataset.revision to one of them."
    )
