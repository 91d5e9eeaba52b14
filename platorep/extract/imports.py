"""Features made elsewhere, brought into the store: diffusion models, audio, proteins, brains join the same matrix."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.lib.format import MAGIC_PREFIX

from platorep.core.errors import DataError, FeatureError, SpecError
from platorep.core.files import sha256_file
from platorep.core.samples import Samples
from platorep.core.specs import DatasetSpec, ExtractSpec, ModelSpec
from platorep.core.store import FeatureSet, FeatureStore
from platorep.core.writer import FeatureWriter


READERS = {}
"""Suffix -> function from a path to ({layer name: tensor}, ids or None)."""

_NO_PLAIN_ARRAYS = (
    "damaged, or holds Python objects: pickled objects are not read. Save arrays of numbers, and ids as texts."
)

Contents = tuple[dict[str, torch.Tensor], list[str] | None]


def store_import(
    path: Path | str,
    *,
    store: FeatureStore,
    dataset: DatasetSpec,
    name: str,
    modality: str,
    family: str = "",
    ids: Sequence[str] | Path | str | None = None,
    shard_rows: int = 4096,
) -> FeatureSet:
    """Writes the layers of one file into the store, as features of a model whose revision is the file's content hash.

    Rows are put into the dataset's order by their ids; a dataset that the store does not know yet is made of them.

    Args:
        path: .npy, .npz, .safetensors, .parquet or .pt (read with weights only). Arrays of shape (n, d) are layers, in the
            file's order; one of shape (n, layers, d) is several. Parquet: a column "id", and either list columns (a layer
            each) or number columns (together one layer).
        store: where to.
        dataset: which samples the rows are.
        name: the model's name.
        modality: such as "language", "vision", "audio", "brain".
        family: models of one family are no independent witnesses; see `platorep.stats`.
        ids: sample ids in row order, or a file of them (.json list, or one a line). Not needed where the file holds them:
            an "ids" array in .npz, the "id" column in .parquet.
        shard_rows: rows of one shard.

    Raises:
        SpecError: a kind of file that is not read.
        DataError: ids that are missing, doubled, or not the dataset's.
        FeatureError: no layers, or layers that do not fit.
    """
    path = Path(path)
    if path.suffix not in READERS:
        raise SpecError(f"{path}: features are imported from {', '.join(READERS)}; got {path.suffix or 'no suffix'!r}.")
    if not path.is_file():
        raise DataError(f"{path} does not exist.")
    layers, own = READERS[path.suffix](path)
    layers = _unstacked(layers, path)
    rows = _ids(ids) if ids is not None else own
    if rows is None:
        raise DataError(
            f"{path} holds no sample ids. Give them with ids=, a list or a file (.json list, or one a line): pairing depends on them."
        )
    n = len(next(iter(layers.values())))
    if len(rows) != n:
        raise DataError(f"{path} has {n} rows, but there are {len(rows)} ids.")
    samples, order = _placed(store, dataset, rows, path)
    spec = ExtractSpec(
        model=ModelSpec(
            name=name, modality=modality, source="imported", id=path.name, revision=sha256_file(path), family=family
        ),
        dataset=dataset,
    )
    store.write_samples(dataset, samples)
    writer = FeatureWriter(store, spec, samples, shard_rows)
    for index in writer.missing():
        start, stop = writer.bounds[index]
        writer.write(index, {layer: values[order[start:stop]] for layer, values in layers.items()})
    return FeatureSet(writer.finish({}, imported_from=path.name))


def _placed(store: FeatureStore, dataset: DatasetSpec, rows: list[str], path: Path) -> tuple[Samples, torch.Tensor]:
    """The dataset's samples, and for each the row of the file that is it."""
    place = {one: i for i, one in enumerate(rows)}
    if len(place) != len(rows):
        twice = next(one for i, one in enumerate(rows) if place[one] != i)
        raise DataError(f"{path}: sample id {twice!r} occurs twice.")
    folder = store.dataset_dir(dataset)
    samples = store.read_samples(folder) if (folder / "samples.json").is_file() else Samples(rows, [[]] * len(rows))
    missing, extra = [one for one in samples.ids if one not in place], sorted(set(rows) - set(samples.ids))
    if missing or extra:
        raise DataError(
            f"{path} and {folder.name} do not hold the same samples: {len(missing)} of the dataset's are missing in the file"
            f"{f' (first {missing[0]!r})' if missing else ''}, {len(extra)} of the file's are not in the dataset"
            f"{f' (first {extra[0]!r})' if extra else ''}. Features must cover exactly the dataset's samples."
        )
    return samples, torch.tensor([place[one] for one in samples.ids])


def _unstacked(layers: dict[str, torch.Tensor], path: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = {}
    for name, values in layers.items():
        if values.ndim == 2:
            found[name] = values
        elif values.ndim == 3:
            found |= {f"{name}.{i:02d}": values[:, i] for i in range(values.shape[1])}
        else:
            raise FeatureError(f"{path}, {name}: shape {tuple(values.shape)}; expected (n, d), or (n, layers, d).")
    if not found:
        raise FeatureError(f"{path} holds no layers.")
    if len(counts := {len(values) for values in found.values()}) > 1:
        raise FeatureError(f"{path}: layers have different numbers of rows: {sorted(counts)}.")
    return found


def _ids(ids: Sequence[str] | Path | str) -> list[str]:
    if not isinstance(ids, (str, Path)):
        return [str(one) for one in ids]
    text = Path(ids).read_text(encoding="utf-8")
    return [str(one) for one in (json.loads(text) if Path(ids).suffix == ".json" else text.splitlines())]


def _arrays(found: dict[str, np.ndarray], path: Path) -> dict[str, torch.Tensor]:
    for name, values in found.items():
        if values.dtype.kind not in "fiu":
            raise FeatureError(f"{path}, {name}: dtype {values.dtype} holds no real numbers.")
    return {name: torch.from_numpy(np.ascontiguousarray(values)) for name, values in found.items()}


def _npy(path: Path) -> Contents:
    with open(path, "rb") as file:
        if file.read(len(MAGIC_PREFIX)) != MAGIC_PREFIX:
            raise FeatureError(f"{path} is no .npy: it does not begin as numpy.save writes them. Save the array anew.")
    try:
        found = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:  # whose words advise loading what may run code
        raise FeatureError(f"{path} is {_NO_PLAIN_ARRAYS}") from error
    return _arrays({"layer": found}, path), None


def _npz(path: Path) -> Contents:
    if not zipfile.is_zipfile(path):
        raise FeatureError(f"{path} is no .npz: it is not the archive that numpy.savez writes. Save the arrays anew.")
    try:
        with np.load(path, allow_pickle=False) as file:
            found = {name: file[name] for name in file.files}
    except (ValueError, EOFError, OSError, zipfile.BadZipFile, zlib.error) as error:
        raise FeatureError(f"{path} is {_NO_PLAIN_ARRAYS}") from error
    if other := [name for name, values in found.items() if not isinstance(values, np.ndarray)]:
        raise FeatureError(f"{path} is no .npz: {other[0]} in it is no array. Save the arrays with numpy.savez.")
    ids = found.pop("ids", None)
    return _arrays(found, path), None if ids is None else [str(one) for one in ids]


def _safetensors(path: Path) -> Contents:
    from safetensors.torch import load_file

    return dict(sorted(load_file(path).items())), None


def _parquet(path: Path) -> Contents:
    frame = pd.read_parquet(path)
    ids = [str(one) for one in frame.pop("id")] if "id" in frame else None
    lists = [name for name in frame if len(frame) and isinstance(frame[name].iloc[0], (np.ndarray, list))]
    if lists:
        return _arrays({str(name): np.stack(frame[name].tolist()) for name in lists}, path), ids
    return _arrays({"layer": frame.to_numpy()}, path), ids


def _pt(path: Path) -> Contents:
    found = torch.load(path, map_location="cpu", weights_only=True)
    if isinstance(found, torch.Tensor):
        found = {"layer": found}
    elif isinstance(found, (list, tuple)):
        found = {f"layer.{i:02d}": values for i, values in enumerate(found)}
    ids = found.pop("ids", None)
    if not all(isinstance(values, torch.Tensor) for values in found.values()):
        raise FeatureError(f"{path}: expected a tensor, a list of tensors, or a dict of tensors (and ids).")
    return {str(name): values for name, values in found.items()}, None if ids is None else [str(one) for one in ids]


READERS |= {".npy": _npy, ".npz": _npz, ".safetensors": _safetensors, ".parquet": _parquet, ".pt": _pt}
