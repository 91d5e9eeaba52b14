"""Writing features: shard by shard, each whole or not at all, and the manifest last. Torch is imported only where tensors are touched."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from platorep.core.errors import FeatureError, StoreError
from platorep.core.files import remove_temporary, sha256_file, write_atomically, write_json
from platorep.core.provenance import provenance
from platorep.core.samples import Samples
from platorep.core.specs import ExtractSpec
from platorep.core.store import SCHEMA, FeatureStore, Layer, Shard


if TYPE_CHECKING:
    import torch


def shard_bounds(n: int, rows: int) -> list[tuple[int, int]]:
    """Row ranges of the shards of `n` samples with at most `rows` rows each: fixed by n and rows alone."""
    return [(start, min(start + rows, n)) for start in range(0, n, rows)]


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

    def write(
        self, index: int, layers: Mapping[str, torch.Tensor], scalars: Mapping[str, Sequence[float]] = {}
    ) -> None:
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
                cause = (
                    "the model's output is not finite"
                    if not torch.isfinite(values[bad[0]]).all()
                    else f"it overflows {dtype}"
                )
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
            raise StoreError(
                f"{self.path}: shards {missing} are not written yet; the extraction cannot be declared complete."
            )
        shards, layers = [], None
        for i, (start, stop) in enumerate(self.bounds):
            file = self._file(i)
            shards.append(Shard(file.name, start, stop, file.stat().st_size, sha256_file(file)))
            found = self._layers(file)
            if layers is not None and found != layers:
                raise StoreError(
                    f"{file} holds other layers than the shards before it; remove {self.path} and extract it again."
                )
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
