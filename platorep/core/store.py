"""Features on disk: safetensors shards, and a manifest written last whose presence means complete.

    <root>/<dataset>--<key>/samples.json                        ids, captions, categories, what was dropped
    <root>/<dataset>--<key>/<model>--<key>/shard-00000-of-00008-rows-0-256.safetensors      one tensor a layer
    <root>/<dataset>--<key>/<model>--<key>/manifest.json
    <root>/<dataset>--<key>/.<model>--<key>.new/                what will replace them (overwrite=true)

Nothing here pickles. Every file is written to a temporary name and renamed, so that a kill at any moment loses at most
the shard in flight, and two writers of the same shard do no harm. Shards, layers, manifests and samples have checksums:
a layer is checked when it is read. Torch is imported only where tensors are touched.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

from platorep.core.disk import disk_errors
from platorep.core.errors import StoreError
from platorep.core.files import slug
from platorep.core.manifest import MANIFEST, SCHEMA, Layer, Shard
from platorep.core.samples import SAMPLES, Samples, read_dataset, read_samples, write_samples
from platorep.core.specs import DatasetSpec, ExtractSpec
from platorep.core.stored import FeatureSet, Stamp


__all__ = ["SCHEMA", "Damaged", "FeatureSet", "FeatureStore", "Layer", "Shard"]


class Damaged(NamedTuple):
    """A stored extraction that cannot be opened.

    Attributes:
        path: its folder.
        error: what is wrong with it.
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
        """Whether the extraction was finished; `open` says whether it is whole."""
        settle(self.dir(spec))
        return (self.dir(spec) / MANIFEST).is_file()

    def open(self, spec: ExtractSpec) -> FeatureSet:
        """The complete features of `spec`.

        Raises:
            StoreError: they are not there, or what is there is damaged or was made from another spec.
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
        """Every complete extraction that a pattern names; see `scan`.

        Raises:
            StoreError: some of them are damaged; names all of those.
        """
        sets, broken = self.scan(pattern)
        if broken:
            raise StoreError(all_damaged(broken))
        return sets

    def named(self, model: str) -> tuple[list[FeatureSet], list[Damaged]]:
        """What is stored of models with that name: complete extractions, and damaged ones that may be of them.

        Names are compared by their slug, which is in the folder's name, whatever characters they have.
        """
        return self._opened_of([folder for folder in self._folders() if _prefix(folder) == slug(model)])

    def remove(self, stored: FeatureSet | Damaged) -> None:
        """Deletes one extraction, manifest first, so that a kill cannot leave a manifest without its shards."""
        for folder in (stored.path, *_neighbours(stored.path)):
            if folder.is_dir():
                with disk_errors(folder):
                    (folder / MANIFEST).unlink(missing_ok=True)
                    shutil.rmtree(folder)
        self._opened.pop(stored.path, None)

    def write_samples(self, dataset: DatasetSpec, samples: Samples) -> Path:
        """Writes a dataset's samples once; a second, different list under the same key is refused."""
        return write_samples(self.dataset_dir(dataset), dataset, samples)

    def read_samples(self, folder: Path) -> Samples:
        """The samples of a dataset's folder; raises StoreError where the file is missing or damaged."""
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
        """Folders of all finished extractions, in the order of their names."""
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
        """The features in a folder, from memory where no file of theirs has changed since they were opened."""
        known = self._opened.get(folder)
        if known is None or known[0] != known[1].stamps():
            features = FeatureSet(folder)
            self._opened[folder] = known = (features.stamps(), features)
        return known[1]


def all_damaged(broken: list[Damaged]) -> str:
    """One line for each damaged extraction."""
    if len(broken) == 1:
        return str(broken[0].error)
    return f"{len(broken)} extractions are damaged:\n" + "\n".join(f"  {one.error}" for one in broken)


def replacement(folder: Path) -> Path:
    """Where the features that will replace those in `folder` are made."""
    return folder.with_name(f".{folder.name}.new")


def settle(folder: Path) -> None:
    """Ends a replacement that a kill left between its two renames: what is complete takes the empty place."""
    fresh = replacement(folder)
    if not folder.exists() and (fresh / MANIFEST).is_file():
        with suppress(OSError):  # another process was faster, or the disk is read-only
            os.rename(fresh, folder)


def replace(folder: Path) -> None:
    """Puts the complete features of `replacement(folder)` in the place of those in `folder`.

    The old ones are set aside by one rename and the new ones take their place by another; a kill between the two is
    mended by whoever looks next (`settle`).
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
            os.rename(old, folder)  # another process was faster: what was set aside was the new one
        shutil.rmtree(old, ignore_errors=True)


def _neighbours(folder: Path) -> tuple[Path, Path]:
    """Where features wait before and after a replacement."""
    return replacement(folder), folder.with_name(f".{folder.name}.old")


def _prefix(folder: Path) -> str:
    """The slug of the model's or dataset's name in a folder's name, which a key follows."""
    return folder.name.rpartition("--")[0]


def _is_named(folder: Path, pattern: str, spec: ExtractSpec | None = None) -> bool:
    """Whether a pattern names an extraction, by its folders and, where its manifest can be read, by its names."""
    dataset = folder.parent
    models = [folder.name, _prefix(folder), *([spec.model.name] if spec is not None else [])]
    datasets = [dataset.name, _prefix(dataset), *([spec.dataset.name] if spec is not None else [])]
    names = [*models, *(f"{place}/{model}" for place in datasets for model in models)]
    return any(name == pattern or fnmatchcase(name, pattern) for name in names)
