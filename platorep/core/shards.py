"""One shard on disk: a safetensors file with rows of every layer, identified by its header."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from platorep.core.disk import disk_errors
from platorep.core.errors import StoreError
from platorep.core.files import write_atomically
from platorep.core.manifest import Layer


if TYPE_CHECKING:
    import numpy as np
    import torch


class Header(NamedTuple):
    """The header of a shard.

    Attributes:
        key: key of the spec.
        digest: digest of the ordered sample ids of the whole extraction.
        rows: first row and row after the last within the extraction; None in shards of earlier versions.
        n: number of rows of its layers.
        layers: names of the layers in depth order.
        hashes: tensor name -> hash of its values; empty in shards of earlier versions.
    """

    key: str
    digest: str
    rows: tuple[int, int] | None
    n: int
    layers: tuple[Layer, ...]
    hashes: dict[str, str]


@contextmanager
def open_shard(path: Path, framework: str = "pt") -> Iterator[Any]:
    """Opens a safetensors file.

    Raises:
        StoreError: the file is missing or unreadable.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with disk_errors(path), safe_open(path, framework=framework) as file:
            yield file
    except SafetensorError as error:
        raise StoreError(f"{path} cannot be read: {error}.", MEND) from None


MEND = "`platorep store repair` extracts damaged shards again."


def read_header(path: Path) -> Header:
    """Reads the header of a shard, without importing torch.

    Raises:
        StoreError: the file is missing or not a shard, or its layers do not have the stated rows.
    """
    with open_shard(path, "numpy") as file:
        try:
            stated = json.loads((file.metadata() or {})["platorep"])
            names = list(stated["layers"])
            slices = [file.get_slice(name) for name in names]
            shapes = [(*tensor.get_shape(), tensor.get_dtype()) for tensor in slices]
            layers = tuple(Layer(name, dim, dtype) for name, (_, dim, dtype) in zip(names, shapes, strict=True))
            counts = {count for count, _, _ in shapes}
            rows = None if "rows" not in stated else (int(stated["rows"][0]), int(stated["rows"][1]))
            header = Header(stated["key"], stated["digest"], rows, counts.pop(), layers, dict(stated.get("hashes", {})))
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise StoreError(f"{path} is not a shard of features ({type(error).__name__}: {error}).", MEND) from None
    if counts or (header.rows is not None and header.rows[1] - header.rows[0] != header.n):
        raise StoreError(f"{path} states the rows {header.rows}, but its layers have {header.n} rows.", MEND)
    return header


def write_shard(
    path: Path,
    tensors: Mapping[str, torch.Tensor],
    *,
    key: str,
    digest: str,
    rows: tuple[int, int],
    layers: Sequence[str],
) -> None:
    """Writes a shard atomically. Equal arguments give equal bytes.

    Args:
        path: the file.
        tensors: layers and per-sample figures by name, on the CPU.
        key: of the spec.
        digest: of the ordered sample ids of the whole extraction.
        rows: first row and row after the last.
        layers: names of the layers among the tensors, in depth order.
    """
    from safetensors.torch import save_file

    hashes = {name: tensor_hash(values) for name, values in tensors.items()}
    header = {"key": key, "digest": digest, "rows": list(rows), "layers": list(layers), "hashes": hashes}
    # a single entry, because safetensors writes several in an order that differs between processes
    metadata = {"platorep": json.dumps(header)}
    write_atomically(path, lambda p: save_file(dict(tensors), p, metadata=metadata))


def tensor_hash(values: torch.Tensor) -> str:
    """XXH3 (64 bits) of a CPU tensor's bytes, in hex. About as fast as reading memory."""
    import xxhash

    return xxhash.xxh3_64_hexdigest(tensor_bytes(values).data)


def tensor_bytes(values: torch.Tensor) -> np.ndarray:
    """The bytes of a CPU tensor, without a copy if it is contiguous."""
    import torch

    return values.contiguous().view(torch.uint8).reshape(-1).numpy()


def changed_tensors(path: Path, hashes: Mapping[str, str]) -> list[str]:
    """Names of the tensors in a shard whose values do not match the stated hashes. Cost: reads every byte.

    Raises:
        StoreError: the file cannot be read.
    """
    with open_shard(path) as file:
        return [name for name, stated in hashes.items() if tensor_hash(file.get_tensor(name)) != stated]
