"""Features on disk: safetensors shards, and a manifest that is written last and marks them as complete.

    <root>/<dataset>--<key>/samples.json                        ids, captions, categories, dropped samples
    <root>/<dataset>--<key>/<model>--<key>/shard-00000-of-00008-rows-0-256.safetensors      one tensor per layer
    <root>/<dataset>--<key>/<model>--<key>/manifest.json
    <root>/<dataset>--<key>/.<model>--<key>.new/                their replacement (overwrite=true)

Nothing is pickled. Every file is written under a temporary name and then renamed, so a killed process loses at most the
current shard, and concurrent writers of the same shard do no harm. Shards, layers, manifests and samples have
checksums; a layer is checked when it is read. Torch is only imported by functions that use tensors.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

from platorep.core.disk import check_folder, disk_errors
from platorep.core.errors import StoreError
from platorep.core.files import slug, temporary_folder
from platorep.core.manifest import MANIFEST, SCHEMA, Layer, Shard
from platorep.core.samples import SAMPLES, Samples, read_dataset, read_samples, write_samples
from platorep.core.specs import DatasetSpec, ExtractSpec
from platorep.core.stored import FeatureSet, Stamp
from platorep.core.temporary import remove_temporary_below


__all__ = ["SCHEMA", "Damaged", "FeatureSet", "FeatureStore", "Layer", "Shard"]


class Damaged(NamedTuple):
    """A stored extraction that cannot be opened.

    Attributes:
        path: its folder.
        error: describes the damage.
    """

    path: Path
    error: StoreError


class FeatureStore:
    """The folder that holds every extraction, addressed by spec. An extraction is opened again if its files change."""

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)
        self._opened: dict[Path, tuple[list[Stamp | None], FeatureSet]] = {}

    def dataset_dir(self, dataset: DatasetSpec) -> Path:
        """Folder of a dataset's samples and of the features made from them."""
        return self.root / f"{slug(dataset.name)}--{dataset.key()}"

    def dir(self, spec: ExtractSpec) -> Path:
        """Folder of one extraction."""
        return self.dataset_dir(spec.dataset) / f"{slug(spec.model.name)}--{spec.key()}"

    def has(self, spec: ExtractSpec) -> bool:
        """Whether the extraction was finished. `open` checks whether it is intact."""
        settle(self.dir(spec))
        return (self.dir(spec) / MANIFEST).is_file()

    def open(self, spec: ExtractSpec) -> FeatureSet:
        """The complete features of `spec`.

        Raises:
            StoreError: the features are missing, damaged or were extracted with another spec.
        """
        settle(self.dir(spec))
        features = self._open(self.dir(spec))
        features.check_spec(spec)
        return features

    def scan(self, pattern: str = "*") -> tuple[list[FeatureSet], list[Damaged]]:
        """Finished extractions that match a pattern, in the order of their folders: those that open, and damaged ones.

        Args:
            pattern: a model's name or folder, or DATASET/MODEL with names or folders. `*`, `?` and `[...]` are
                wildcards; a name that contains such characters also matches itself.
        """
        sets, broken = self._opened_of(self._folders())
        return (
            [features for features in sets if _is_named(features.path, pattern, features.spec)],
            [damaged for damaged in broken if _is_named(damaged.path, pattern)],
        )

    def find(self, pattern: str = "*") -> list[FeatureSet]:
        """Complete extractions that match a pattern; see `scan`.

        Raises:
            StoreError: some of them are damaged; the message names all of these.
        """
        sets, broken = self.scan(pattern)
        if broken:
            raise StoreError(all_damaged(broken))
        return sets

    def named(self, model: str) -> tuple[list[FeatureSet], list[Damaged]]:
        """Extractions of models with that name: complete ones, and damaged ones that may belong to such a model.

        Names are compared by their slugs, which are part of the names of folders.
        """
        return self._opened_of([folder for folder in self._folders() if _prefix(folder) == slug(model)])

    def remove(self, stored: FeatureSet | Damaged) -> None:
        """Deletes one extraction, and what waits to replace it: out of sight by one rename, then from the disk."""
        path = stored.path
        with disk_errors(path), temporary_folder(path.parent) as trash:
            for folder in (path, *_neighbours(path)):
                if folder.is_dir():
                    os.rename(folder, trash / folder.name)
        self._opened.pop(path, None)

    def tidy(self) -> None:
        """Removes what killed processes left beside and in the extractions; see `remove_temporary_below`."""
        remove_temporary_below(self.root)

    def write_samples(self, dataset: DatasetSpec, samples: Samples) -> Path:
        """Writes the samples of a dataset once; raises if other samples are stored under the same key."""
        return write_samples(self.dataset_dir(dataset), dataset, samples)

    def read_samples(self, folder: Path) -> Samples:
        """Reads the samples in a dataset's folder; raises StoreError if the file is missing or damaged."""
        return read_samples(folder)

    def known_samples(self, dataset: DatasetSpec) -> Samples | None:
        """The samples that an earlier run stored for a resolved dataset under any name; None if there are none.

        Raises:
            StoreError: their file is damaged.
        """
        folders = sorted(self.root.glob(f"*--{dataset.key()}/{SAMPLES}"))
        return read_samples(folders[0].parent) if folders else None

    def datasets(self, name: str) -> Iterator[tuple[Path, DatasetSpec]]:
        """Folder and spec of every stored dataset whose name has the same slug.

        Raises:
            StoreError: a file of samples is damaged.
        """
        for path in sorted(self.root.glob(f"*/{SAMPLES}")):
            if _prefix(path.parent) == slug(name):
                yield path.parent, read_dataset(path.parent)

    def _folders(self) -> list[Path]:
        """Folders of all finished extractions, in the order of their names; a missing root has none."""
        check_folder(self.root)
        for waiting in self.root.glob(f"*/.*.new/{MANIFEST}"):
            settle(waiting.parent.with_name(waiting.parent.name[1 : -len(".new")]))
        return sorted(path.parent for path in self.root.glob(f"*/*/{MANIFEST}") if not path.parent.name.startswith("."))

    def _opened_of(self, folders: list[Path]) -> tuple[list[FeatureSet], list[Damaged]]:
        sets, broken = [], []
        for folder in folders:
            try:
                sets.append(self._open(folder))
            except StoreError as error:
                broken.append(Damaged(folder, error))
        return sets, broken

    def _open(self, folder: Path) -> FeatureSet:
        """The features in a folder; reused from memory if no file has changed since they were opened."""
        known = self._opened.get(folder)
        if known is None or known[0] != known[1].stamps():
            features = FeatureSet(folder)
            self._opened[folder] = known = (features.stamps(), features)
        return known[1]


def all_damaged(broken: list[Damaged]) -> str:
    """One line for each damaged extraction."""
    if len(broken) == 1:
        return str(broken[0].error)
    return f"{len(broken)} extractions are damaged:\n" + "\n".join(f"  {damage.error}" for damage in broken)


def replacement(folder: Path) -> Path:
    """The folder in which the replacement of the features in `folder` is written."""
    return folder.with_name(f".{folder.name}.new")


def settle(folder: Path) -> None:
    """Completes a replacement that was killed between its two renames."""
    fresh = replacement(folder)
    if not folder.exists() and (fresh / MANIFEST).is_file():
        with suppress(OSError):  # another process was faster, or the disk is read-only
            os.rename(fresh, folder)


def replace(folder: Path) -> None:
    """Replaces the features in `folder` by the complete features in `replacement(folder)`.

    One rename moves the old features aside, and another moves the new ones into place. If the process is killed between
    the two, the next access completes the replacement (`settle`).
    """
    fresh, old = _neighbours(folder)
    with disk_errors(folder):
        if not (fresh / MANIFEST).is_file():
            return  # another process was faster
        shutil.rmtree(old, ignore_errors=True)
        with suppress(FileNotFoundError):
            os.rename(folder, old)
        try:
            os.rename(fresh, folder)
        except OSError:
            if folder.exists():
                raise
            os.rename(old, folder)  # another process was faster: the new features were moved aside
        shutil.rmtree(old, ignore_errors=True)


def _neighbours(folder: Path) -> tuple[Path, Path]:
    """Folders of the new features before, and of the old features during a replacement."""
    return replacement(folder), folder.with_name(f".{folder.name}.old")


def _prefix(folder: Path) -> str:
    """The slug of a model or dataset in the name of a folder, without the key that follows it."""
    return folder.name.rpartition("--")[0]


def _is_named(folder: Path, pattern: str, spec: ExtractSpec | None = None) -> bool:
    """Whether a pattern matches an extraction, by its folders or, if its manifest is readable, by its names."""
    dataset = folder.parent
    models = [folder.name, _prefix(folder), *([spec.model.name] if spec is not None else [])]
    datasets = [dataset.name, _prefix(dataset), *([spec.dataset.name] if spec is not None else [])]
    names = [*models, *(f"{place}/{model}" for place in datasets for model in models)]
    return any(name == pattern or fnmatchcase(name, pattern) for name in names)
