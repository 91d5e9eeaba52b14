"""Features on disk: safetensors shards, and a manifest written last whose presence means complete.

    <root>/<dataset>--<key>/samples.json                        ids, captions, categories, what was dropped
    <root>/<dataset>--<key>/<model>--<key>/shard-00000-of-00008.safetensors   rows [start, stop), one tensor a layer
    <root>/<dataset>--<key>/<model>--<key>/manifest.json

Nothing here pickles. A shard is written to a temporary name and renamed, so a kill at any moment loses at most the
shard in flight, and two writers of the same shard do no harm. Torch is imported only where tensors are touched.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from platorep.core.errors import FeatureError, StoreError, unknown_name
from platorep.core.files import remove_temporary, sha256_file, slug, write_atomically, write_json
from platorep.core.provenance import provenance
from platorep.core.specs import DatasetSpec, ExtractSpec


if TYPE_CHECKING:
    import torch

SCHEMA = 1
"""Version of the manifest's layout."""


def ids_digest(ids: Sequence[str]) -> str:
    """SHA-256 over the ordered sample ids, each by length and UTF-8 bytes, so that no two lists collide."""
    digest = hashlib.sha256()
    for one in ids:
        raw = one.encode()
        digest.update(f"{len(raw)}:".encode() + raw)
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Samples:
    """The ordered samples of a dataset, without the pictures: what `align` needs of a dataset.

    `captions` holds one list of captions an item, `categories` one label an item or None, `dropped` one
    {"id", "reason"} for every sample left out, `pictures` how many pictures each item has, or None where it is one.
    """

    ids: list[str]
    captions: list[list[str]]
    categories: list[str] | None = None
    dropped: list[dict[str, str]] = field(default_factory=list)
    pictures: list[int] | None = None

    @property
    def digest(self) -> str:
        """Digest of the ordered ids; features may be compared only where it is equal."""
        return ids_digest(self.ids)


@dataclass(frozen=True, slots=True)
class Layer:
    """One stored layer: its name, its width, and its dtype as safetensors writes it."""

    name: str
    dim: int
    dtype: str


@dataclass(frozen=True, slots=True)
class Shard:
    """One stored shard: rows [start, stop) of every layer."""

    file: str
    start: int
    stop: int
    bytes: int
    sha256: str


def shard_bounds(n: int, rows: int) -> list[tuple[int, int]]:
    """Row ranges of the shards of `n` samples with at most `rows` rows each: fixed by n and rows alone."""
    return [(start, min(start + rows, n)) for start in range(0, n, rows)]


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
        samples = Samples(values["ids"], values["captions"], values["categories"], values["dropped"], values.get("pictures"))
        if samples.digest != values["digest"]:
            raise StoreError(f"{folder / 'samples.json'}: the ids do not have the digest that the file states; it was edited.")
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
                raise StoreError(f"{file} {got}, but its manifest says {shard.bytes} bytes. Remove {path} and extract it again.")

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
            raise StoreError(f"{self.path} was made from another spec; they differ in {differ}. Remove it, or extract under a new name.")

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


class FeatureWriter:
    """Writes one extraction shard by shard; what is already there is kept.

    Args:
        store: where to write.
        spec: what is extracted.
        samples: the dataset's ordered samples.
        shard_rows: rows a shard. Fixed for one extraction: a restart with another number starts again.
    """

    def __init__(self, store: FeatureStore, spec: ExtractSpec, samples: Samples, shard_rows: int) -> None:
        self.spec, self.samples, self.path = spec, samples, store.dir(spec)
        self.bounds = shard_bounds(len(samples.ids), shard_rows)

    def missing(self) -> list[int]:
        """Indices of the shards that are not there yet."""
        return [i for i in range(len(self.bounds)) if not self._is_whole(i)]

    def write(self, index: int, layers: Mapping[str, torch.Tensor], scalars: Mapping[str, Sequence[float]] = {}) -> None:
        """Writes shard `index`: for every layer, in depth order, the rows of that shard, shape (rows, dim).

        Args:
            index: which shard.
            layers: features of the shard's rows, all of the same number of rows.
            scalars: per-sample figures of these rows (such as bits of each caption), kept beside the features.

        Raises:
            FeatureError: a value that is not finite, with layer and sample id, or a wrong number of rows.
        """
        import torch
        from safetensors.torch import save_file

        start, stop = self.bounds[index]
        dtype = getattr(torch, self.spec.storage_dtype)
        tensors = {}
        for name, values in layers.items():
            if values.ndim != 2 or len(values) != stop - start:
                raise FeatureError(
                    f"{self.spec.model.name}, layer {name}: got shape {tuple(values.shape)}, expected ({stop - start}, width)."
                )
            stored = values.detach().to("cpu", dtype).contiguous()
            if bad := (~torch.isfinite(stored).all(dim=1)).nonzero().flatten().tolist():
                cause = "the model's output is not finite" if not torch.isfinite(values[bad[0]]).all() else f"it overflows {dtype}"
                raise FeatureError(
                    f"{self.spec.model.name}, layer {name}: NaN or infinity for sample {self.samples.ids[start + bad[0]]!r} "
                    f"({len(bad)} of {stop - start} rows): {cause}. Try dtype=float32, or on_bad_sample=drop after finding the cause."
                )
            tensors[name] = stored
        for name, values in scalars.items():
            tensors[f"sample.{name}"] = torch.tensor(list(values), dtype=torch.float64)
        header = {"key": self.spec.key(), "digest": self.samples.digest, "layers": list(layers)}
        # one entry only: safetensors writes several in an order that changes from process to process
        metadata = {"platorep": json.dumps(header)}
        write_atomically(self._file(index), lambda p: save_file(tensors, p, metadata=metadata))

    def finish(self, scalars: Mapping[str, Any], **more: Any) -> Path:
        """Writes the manifest, and so declares the extraction complete.

        Args:
            scalars: figures of the model: parameters, bits_per_byte, ….
            more: what else provenance should hold: device, dtype, seconds.

        Raises:
            StoreError: a shard is missing, or shards have different layers.
        """
        if missing := self.missing():
            raise StoreError(f"{self.path}: shards {missing} are not written yet; the extraction cannot be declared complete.")
        shards, layers = [], None
        for i, (start, stop) in enumerate(self.bounds):
            file = self._file(i)
            shards.append(Shard(file.name, start, stop, file.stat().st_size, sha256_file(file)))
            found = self._layers(file)
            if layers is not None and found != layers:
                raise StoreError(f"{file} holds other layers than the shards before it; remove {self.path} and extract it again.")
            layers = found
        manifest = {
            "schema": SCHEMA,
            "key": self.spec.key(),
            "spec": self.spec.to_dict(),
            "sample_digest": self.samples.digest,
            "n": len(self.samples.ids),
            "layers": [asdict(layer) for layer in layers or []],
            "shards": [asdict(shard) for shard in shards],
            "scalars": dict(scalars),
            "provenance": provenance(**more),
        }
        write_json(self.path / "manifest.json", manifest)
        remove_temporary(self.path)
        return self.path

    def sample_scalars(self) -> dict[str, list[float]]:
        """The per-sample figures of all shards, in dataset order; for figures of the model that sum over samples."""
        from safetensors import safe_open

        found: dict[str, list[float]] = {}
        for i in range(len(self.bounds)):
            with safe_open(self._file(i), framework="pt") as file:
                for name in file.keys():  # noqa: SIM118 - a safetensors handle is no mapping
                    if name.startswith("sample."):
                        found.setdefault(name.removeprefix("sample."), []).extend(file.get_tensor(name).tolist())
        return found

    def _file(self, index: int) -> Path:
        return self.path / f"shard-{index:05d}-of-{len(self.bounds):05d}.safetensors"

    def _is_whole(self, index: int) -> bool:
        """Whether the shard was written for this spec and these samples: renamed files are whole by construction."""
        from safetensors import SafetensorError, safe_open

        if not self._file(index).is_file():
            return False
        try:
            with safe_open(self._file(index), framework="pt") as file:
                header = json.loads((file.metadata() or {}).get("platorep", "{}"))
        except (SafetensorError, OSError):
            return False
        return header.get("key") == self.spec.key() and header.get("digest") == self.samples.digest

    @staticmethod
    def _layers(file: Path) -> list[Layer]:
        from safetensors import safe_open

        with safe_open(file, framework="pt") as handle:
            names = json.loads(handle.metadata()["platorep"])["layers"]
            slices = {name: handle.get_slice(name) for name in names}
            return [Layer(name, one.get_shape()[1], one.get_dtype()) for name, one in slices.items()]


def read_json(path: Path) -> Any:
    """JSON of a file of ours, or a StoreError that names the file."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StoreError(f"{path} is missing. Run `platorep extract` first.") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise StoreError(f"{path} is damaged ({error}). Remove its folder and extract again.") from None


def _differences(a: Any, b: Any, where: str = "") -> Iterator[str]:
    """Dotted names of the fields in which two JSON values differ, with both values."""
    if isinstance(a, dict) and isinstance(b, dict):
        for name in sorted({*a, *b}):
            yield from _differences(a.get(name), b.get(name), f"{where}.{name}" if where else name)
    elif a != b:
        yield f"{where} (stored {a!r}, asked {b!r})"
