"""Features on disk: safetensors shards, and a manifest written last whose presence means complete.

    <root>/<dataset>--<key>/samples.json                        ids, captions, categories, what was dropped
    <root>/<dataset>--<key>/<model>--<key>/shard-00000-of-00008.safetensors   rows [start, stop), one tensor a layer
    <root>/<dataset>--<key>/<model>--<key>/manifest.json

Nothing here pickles. A shard is written to a temporary name and renamed, so a kill at any moment loses at most the
shard in flight, and two writers of the same shard do no harm. Torch is imported only where tensors are touched.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from platorep.core.errors import StoreError, unknown_name
from platorep.core.features import Layer
from platorep.core.files import read_json, sha256_file, slug, write_json
from platorep.core.samples import Samples
from platorep.core.specs import DatasetSpec, ExtractSpec


if TYPE_CHECKING:
    import torch

SCHEMA = 1
"""Version of the manifest's layout."""


@dataclass(frozen=True, slots=True)
class Shard:
    """One stored shard: rows [start, stop) of every layer."""

    file: str
    start: int
    stop: int
    bytes: int
    sha256: str


class FeatureStore:
    """The folder that holds every extraction, addressed by spec."""

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)

    def dataset_dir(self, dataset: DatasetSpec) -> Path:
        """Folder of a dataset's samples and of the features made from them."""
        return self.root / f"{slug(dataset.name)}--{dataset.key()}"

    def dir(self, spec: ExtractSpec) -> Path:
        """Folder of one extraction."""
        return self.dataset_dir(spec.dataset) / f"{slug(spec.model.name)}--{spec.key()}"

    def has(self, spec: ExtractSpec) -> bool:
        """Whether the extraction is complete."""
        return (self.dir(spec) / "manifest.json").is_file()

    def open(self, spec: ExtractSpec) -> FeatureSet:
        """The complete features of `spec`.

        Raises:
            StoreError: they are not there, or what is there was made from another spec, or a shard has another size.
        """
        found = FeatureSet(self.dir(spec))
        found.check_spec(spec)
        return found

    def find(self, pattern: str = "*") -> Iterator[FeatureSet]:
        """Every complete extraction whose "<dataset>--<key>/<model>--<key>" matches a glob, in name order."""
        pattern = pattern if "/" in pattern else f"*/{pattern}"
        for manifest in sorted(self.root.glob(f"{pattern}/manifest.json")):
            yield FeatureSet(manifest.parent)

    def remove(self, features: FeatureSet) -> None:
        """Deletes one extraction, manifest first, so that a kill cannot leave a manifest without its shards."""
        (features.path / "manifest.json").unlink(missing_ok=True)
        shutil.rmtree(features.path)

    def write_samples(self, dataset: DatasetSpec, samples: Samples) -> Path:
        """Writes a dataset's samples once; a second, different list under the same key is refused."""
        path = self.dataset_dir(dataset) / "samples.json"
        if path.is_file():
            known = self.read_samples(path.parent)
            if known.digest != samples.digest:
                raise StoreError(
                    f"{path} holds {len(known.ids)} samples with digest {known.digest[:12]}, but the dataset now gives "
                    f"{len(samples.ids)} with digest {samples.digest[:12]}: the source changed under the same revision. "
                    "Pin its revision, or remove that folder to start again."
                )
            return path
        write_json(path, {"schema": SCHEMA, "digest": samples.digest, "spec": dataset.to_dict(), **asdict(samples)})
        return path

    def read_samples(self, folder: Path) -> Samples:
        """The samples of a dataset's folder.

        Raises:
            StoreError: the file is missing, is not JSON, or its ids do not have the digest that it states.
        """
        values = read_json(folder / "samples.json")
        samples = Samples(
            values["ids"], values["captions"], values["categories"], values["dropped"], values.get("pictures")
        )
        if samples.digest != values["digest"]:
            raise StoreError(
                f"{folder / 'samples.json'}: the ids do not have the digest that the file states; it was edited."
            )
        return samples


class FeatureSet:
    """One complete extraction: opens by manifest, reads a layer at a time.

    Raises:
        StoreError: the manifest is missing or damaged, or a shard is missing or has another size than the manifest says.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not (path / "manifest.json").is_file():
            raise StoreError(f"no complete features at {path} (no manifest.json). Run `platorep extract` for it first.")
        self.manifest = read_json(path / "manifest.json")
        if self.manifest.get("schema") != SCHEMA:
            raise StoreError(
                f"{path / 'manifest.json'} has schema {self.manifest.get('schema')!r}; this version reads {SCHEMA}. Extract it again."
            )
        self.layers = [Layer(**layer) for layer in self.manifest["layers"]]
        self.shards = [Shard(**shard) for shard in self.manifest["shards"]]
        for shard in self.shards:
            file = path / shard.file
            size = file.stat().st_size if file.is_file() else None
            if size != shard.bytes:
                got = "is missing" if size is None else f"has {size} bytes"
                raise StoreError(
                    f"{file} {got}, but its manifest says {shard.bytes} bytes. Remove {path} and extract it again."
                )

    @cached_property
    def spec(self) -> ExtractSpec:
        """The spec that the features were made from."""
        return ExtractSpec.from_dict(self.manifest["spec"])

    @property
    def key(self) -> str:
        """Key of the spec, as written."""
        return self.manifest["key"]

    @property
    def name(self) -> str:
        """The model's name."""
        return self.spec.model.name

    @property
    def dataset(self) -> str:
        """The dataset's folder in the store, "<name>--<key>", as tables write it."""
        return self.path.parent.name

    @property
    def n(self) -> int:
        """Number of samples."""
        return self.manifest["n"]

    @property
    def digest(self) -> str:
        """Digest of the ordered sample ids."""
        return self.manifest["sample_digest"]

    @property
    def scalars(self) -> dict[str, Any]:
        """Figures of the model measured on the way: parameters, bits_per_byte and the like."""
        return self.manifest["scalars"]

    def check_spec(self, spec: ExtractSpec) -> None:
        """Refuses features that were made from another spec, and names the fields that differ."""
        if self.key != spec.key():
            differ = ", ".join(_differences(self.manifest["spec"], spec.to_dict())) or "the spec version"
            raise StoreError(
                f"{self.path} was made from another spec; they differ in {differ}. Remove it, or extract under a new name."
            )

    def load(self, layer: int | str, *, rows: slice | None = None, device: str = "cpu") -> torch.Tensor:
        """One layer as float32, shape (n, dim), or the given rows of it. Reads that layer's bytes only."""
        import torch
        from safetensors import safe_open

        name = self._layer_name(layer)
        start, stop, _ = (rows or slice(None)).indices(self.n)
        parts = []
        for shard in self.shards:
            low, high = max(start, shard.start), min(stop, shard.stop)
            if low < high:
                with safe_open(self.path / shard.file, framework="pt", device=device) as file:
                    parts.append(file.get_slice(name)[low - shard.start : high - shard.start].to(torch.float32))
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def verify(self) -> None:
        """Reads every byte and refuses a shard whose SHA-256 is not the manifest's."""
        for shard in self.shards:
            if (got := sha256_file(self.path / shard.file)) != shard.sha256:
                raise StoreError(
                    f"{self.path / shard.file} has SHA-256 {got[:12]}…, its manifest says {shard.sha256[:12]}…: "
                    "it changed after it was written. Remove the folder and extract it again."
                )

    def _layer_name(self, layer: int | str) -> str:
        names = [one.name for one in self.layers]
        if isinstance(layer, int):
            if not -len(names) <= layer < len(names):
                raise StoreError(f"{self.name} has {len(names)} layers; got layer {layer}.")
            return names[layer]
        if layer not in names:
            raise unknown_name(f"layer of {self.name}", layer, names)
        return layer


def _differences(a: Any, b: Any, where: str = "") -> Iterator[str]:
    """Dotted names of the fields in which two JSON values differ, with both values."""
    if isinstance(a, dict) and isinstance(b, dict):
        for name in sorted({*a, *b}):
            yield from _differences(a.get(name), b.get(name), f"{where}.{name}" if where else name)
    elif a != b:
        yield f"{where} (stored {a!r}, asked {b!r})"
