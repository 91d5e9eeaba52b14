"""Writes features shard by shard, each atomically, and the manifest last.

Torch is only imported by functions that use tensors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from platorep.core.disk import disk_errors
from platorep.core.errors import FeatureError, StoreError
from platorep.core.files import remove_temporary, sha256_file, write_record
from platorep.core.manifest import MANIFEST, SCHEMA, Layer, Manifest, Shard
from platorep.core.provenance import provenance
from platorep.core.samples import Samples
from platorep.core.shards import changed_tensors, open_shard, read_header, tensor_bytes, write_shard
from platorep.core.specs import ExtractSpec
from platorep.core.store import FeatureStore, replace, replacement
from platorep.core.stored import FeatureSet


if TYPE_CHECKING:
    import torch


def shard_bounds(n: int, rows: int) -> list[tuple[int, int]]:
    """Row ranges of shards with at most `rows` rows each; determined by `n` and `rows`."""
    return [(start, min(start + rows, n)) for start in range(0, n, rows)]


class FeatureWriter:
    """Writes one extraction shard by shard, keeping existing shards.

    Args:
        store: the store to write to.
        spec: the spec of the extraction.
        samples: the ordered rows of the extraction.
        shard_rows: rows per shard, at least 1. Names of shards contain their rows, so a restart with another number
            begins again, and writers with different numbers do not touch each other's shards.
        renew: whether to extract complete features again. The new ones are written beside the old ones, which `finish`
            replaces.
    """

    def __init__(
        self, store: FeatureStore, spec: ExtractSpec, samples: Samples, shard_rows: int, *, renew: bool = False
    ) -> None:
        if shard_rows < 1:
            raise StoreError(f"shard_rows is {shard_rows}; expected at least 1.")
        self.spec, self.samples, self.final = spec, samples, store.dir(spec)
        self.path = replacement(self.final) if renew else self.final
        self.bounds = shard_bounds(len(samples.ids), shard_rows)
        remove_temporary(self.path)

    def absent(self) -> list[int]:
        """Indices of shards that do not exist or belong to other features. Cost: reads the header of every shard."""
        return [index for index in range(len(self.bounds)) if not self._is_ours(index)]

    def missing(self, indices: Sequence[int] | None = None) -> list[int]:
        """Indices among `indices` (default: all) of absent or damaged shards. Cost: reads every existing byte."""
        indices = range(len(self.bounds)) if indices is None else indices
        return [index for index in indices if not self._is_ours(index) or self._is_changed(index)]

    def write(
        self, index: int, layers: Mapping[str, torch.Tensor], scalars: Mapping[str, Sequence[float]] = {}
    ) -> None:
        """Writes shard `index`: for every layer, in depth order, the rows of that shard, shape (rows, dim).

        Args:
            index: which shard.
            layers: features of the shard's rows, all of the same number of rows.
            scalars: per-sample figures of these rows (such as bits of each caption), kept beside the features.

        Raises:
            FeatureError: there are no layers, a value is not finite, or the number of rows is wrong.
            DiskError: the shard cannot be written.
        """
        import torch

        if not layers:
            raise FeatureError(f"{self.spec.model.name} gave no layers.")
        rows = self.bounds[index]
        tensors = {name: self._stored(name, values, rows) for name, values in layers.items()}
        for name, values in scalars.items():
            tensors[f"sample.{name}"] = torch.tensor(list(values), dtype=torch.float64)
        write_shard(
            self._file(index), tensors, key=self.spec.key(), digest=self.samples.digest, rows=rows, layers=list(layers)
        )

    def finish(self, scalars: Mapping[str, Any], **more: Any) -> Path:
        """Writes the manifest, which marks the extraction as complete; removes shards that are not part of it.

        If another writer has finished the same features in the meantime, those are kept, and the shards of this writer
        are removed if their bounds differ.

        Args:
            scalars: figures of the model, such as parameters and bits_per_byte.
            more: further provenance, such as device, dtype and seconds.

        Raises:
            StoreError: shards are missing or damaged, or have different layers; the message names all of them.

        Cost: reads every byte.
        """
        if absent := self.absent():
            raise StoreError(
                f"{self.path}: shards {absent} are not written yet; the extraction cannot be declared complete."
            )
        if (others := self._of_others()) is None:
            write_record(self.path / MANIFEST, self._manifest(scalars, more).to_dict())
            kept = {self._file(index).name for index in range(len(self.bounds))}
        else:
            kept = {shard.file for shard in others.shards}
        self._tidy(kept)
        if self.path != self.final:
            replace(self.final)
        return self.final

    def discard(self) -> None:
        """Removes this writer's shards if another writer finished the features with other shard bounds."""
        if (others := self._of_others()) is not None:
            self._tidy({shard.file for shard in others.shards})

    def sample_scalars(self) -> dict[str, list[float]]:
        """The per-sample figures of all shards in dataset order, from which figures of the model are computed."""
        figures: dict[str, list[float]] = {}
        for index in range(len(self.bounds)):
            with open_shard(self._file(index)) as file:
                for name in file.keys():  # noqa: SIM118 - a safetensors handle is not a mapping
                    if name.startswith("sample."):
                        figures.setdefault(name.removeprefix("sample."), []).extend(file.get_tensor(name).tolist())
        return figures

    def _stored(self, name: str, values: torch.Tensor, rows: tuple[int, int]) -> torch.Tensor:
        """The values of one layer as they are stored."""
        import torch

        (start, stop), model = rows, self.spec.model.name
        dtype = getattr(torch, self.spec.storage_dtype)
        if values.ndim != 2 or len(values) != stop - start:
            raise FeatureError(
                f"{model}, layer {name}: got shape {tuple(values.shape)}, expected ({stop - start}, width)."
            )
        stored = values.detach().to("cpu", dtype).contiguous()
        if bad := (~torch.isfinite(stored).all(dim=1)).nonzero().flatten().tolist():
            finite = bool(torch.isfinite(values[bad[0]]).all())
            cause = f"it overflows {dtype}" if finite else "the model's output is not finite"
            raise FeatureError(
                f"{model}, layer {name}: NaN or infinity for sample {self.samples.ids[start + bad[0]]!r} "
                f"({len(bad)} of {stop - start} rows): {cause}. Try dtype=float32, or on_bad_sample=drop after finding "
                "the cause."
            )
        return stored

    def _manifest(self, scalars: Mapping[str, Any], more: Mapping[str, Any]) -> Manifest:
        """The manifest of the shards on disk, each of which is read in full and checked against its header."""
        import xxhash

        if damaged := [self._file(i).name for i in range(len(self.bounds)) if self._is_changed(i)]:
            raise StoreError(
                f"{self.path}: {', '.join(damaged)} changed after being written. Run the same command again: "
                "damaged shards are extracted again."
            )
        headers = [read_header(self._file(index)) for index in range(len(self.bounds))]
        layers = headers[0].layers
        for index, header in enumerate(headers):
            if header.layers != layers:
                raise StoreError(
                    f"{self._file(index)} holds other layers than the shards before it; remove {self.path} and extract "
                    "it again."
                )
        shards, codes = [], [xxhash.xxh3_64() for _ in layers]
        for index, ((start, stop), header) in enumerate(zip(self.bounds, headers, strict=True)):
            path = self._file(index)
            with open_shard(path) as file:
                for layer, code in zip(layers, codes, strict=True):
                    code.update(tensor_bytes(file.get_tensor(layer.name)).data)
            hashes = tuple(header.hashes[layer.name] for layer in layers)
            shards.append(Shard(path.name, start, stop, path.stat().st_size, sha256_file(path), hashes))
        return Manifest(
            schema=SCHEMA,
            key=self.spec.key(),
            spec=self.spec,
            sample_digest=self.samples.digest,
            n=len(self.samples.ids),
            layers=tuple(
                Layer(layer.name, layer.dim, layer.dtype, code.hexdigest())
                for layer, code in zip(layers, codes, strict=True)
            ),
            shards=tuple(shards),
            scalars=dict(scalars),
            provenance=provenance(**more),
        )

    def _of_others(self) -> FeatureSet | None:
        """The features in this folder, if another writer finished them with other shard bounds."""
        try:
            features = FeatureSet(self.path)
        except StoreError:
            return None
        return None if [(shard.start, shard.stop) for shard in features.shards] == self.bounds else features

    def _tidy(self, kept: set[str]) -> None:
        """Removes shards that are not in the manifest, and leftovers of killed processes."""
        with disk_errors(self.path):
            for path in self.path.glob("shard-*.safetensors"):
                if path.name not in kept:
                    path.unlink(missing_ok=True)
        remove_temporary(self.path)

    def _file(self, index: int) -> Path:
        start, stop = self.bounds[index]
        return self.path / f"shard-{index:05d}-of-{len(self.bounds):05d}-rows-{start}-{stop}.safetensors"

    def _is_ours(self, index: int) -> bool:
        """Whether the shard exists and its header states these rows of these features."""
        if not self._file(index).is_file():
            return False
        try:
            header = read_header(self._file(index))
        except StoreError:
            return False
        return (
            header.rows == self.bounds[index]
            and header.key == self.spec.key()
            and header.digest == self.samples.digest
            and all(layer.name in header.hashes for layer in header.layers)
        )

    def _is_changed(self, index: int) -> bool:
        """Whether the values of a shard differ from the checksums in its header."""
        path = self._file(index)
        try:
            return bool(changed_tensors(path, read_header(path).hashes))
        except StoreError:
            return True
