"""Imports external features, such as those of diffusion models, audio, proteins or brains, into the store."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from platorep.core.errors import DataError, FeatureError, SpecError
from platorep.core.files import sha256_file
from platorep.core.rounding import LOSS, rounding_loss, rounding_words, unusable
from platorep.core.samples import Samples
from platorep.core.specs import DatasetSpec, ExtractSpec, ModelSpec
from platorep.core.store import FeatureSet, FeatureStore
from platorep.core.text import cause, cell_text, is_unicode, visible
from platorep.core.writer import FeatureWriter
from platorep.data.feature_files import READERS, Array, read_features
from platorep.data.matrix_files import read_matrices, split_variable
from platorep.data.tables import read_text
from platorep.extract.matrices import write_matrices


log = logging.getLogger(__name__)

MASKED = 1e20
"""The default of `numpy.ma.MaskedArray.filled` for masked values."""


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
    """Imports the layers of one file as features of a model whose revision is the content hash of the file.

    Rows are sorted by their ids into the order of the dataset. A dataset that is not in the store is created from them.

    Args:
        path: .npy, .npz, .safetensors, .parquet or .pt (read with weights only). Arrays of shape (n, d) are layers, in
            the order of `platorep.data.feature_files.read_features`; an array of shape (n, layers, d) has several
            layers. Parquet: a column "id", and either list columns (one layer each) or number columns (one layer).
        store: the store to write to.
        dataset: the dataset of the rows.
        name: name of the model.
        modality: the modality, such as "language", "vision", "audio" or "brain".
        family: models of one family are not independent; see `platorep.stats`.
        ids: sample ids in row order, or a file of them (.json list, or one per line). Not needed if the file contains
            them: as an array "ids" in .npz, the column "id" in .parquet, "ids" in .pt, or as the ids of an export.
        shard_rows: rows per shard.

    Raises:
        SpecError: the file format is not supported.
        DataError: ids are missing, duplicate, or not those of the dataset.
        FeatureError: the file cannot be read, has no layers or layers of different lengths, or has values that are not
            finite, are too large for float32, or lose more than a thousandth of their spread in float32.
    """
    path = Path(path)
    _check_words(name, modality, family)
    arrays, rows = _contents(path, ids)
    samples, order = _placed(store, dataset, rows, path)
    layers = {name: _single(values, f"{path}, {visible(name)}", rows) for name, values in arrays.items()}
    log.info("%s: layers in the order %s", visible(str(path)), list(layers))
    file_name = path.name.encode(errors="surrogateescape").decode(errors="backslashreplace")  # may not be text
    spec = ExtractSpec(
        model=ModelSpec(
            name=name, modality=modality, source="imported", id=file_name, revision=sha256_file(path), family=family
        ),
        dataset=dataset,
    )
    store.write_samples(dataset, samples)
    writer = FeatureWriter(store, spec, samples, shard_rows)
    for index in writer.missing():
        start, stop = writer.bounds[index]
        writer.write(index, {layer: values[order[start:stop]] for layer, values in layers.items()})
    return FeatureSet(writer.finish({}, imported_from=file_name))


def store_import_matrix(
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
    """Imports dissimilarities as a model that has no features; several people or sessions are its repetitions.

    Dissimilarities are read as squared distances up to a factor, as 1 - correlation, 1 - cosine and crossnobis are;
    square Euclidean distances before the import. Ranks are the same for both, and so are neighbours and Spearman's RSA.

    Args:
        path: a file that `platorep.data.matrix_files.read_matrices` reads; "FILE.mat:VARIABLE" names one of its
            variables.
        store: the store to write to.
        dataset: the dataset of the samples.
        name: name of the model.
        modality: the modality, such as "brain" or "behaviour".
        family: models of one family are not independent; see `platorep.stats`.
        ids: as in `store_import`; the order of rows and columns.
        shard_rows: rows per shard.

    Raises:
        SpecError, FeatureError, UnknownNameError: as `read_matrices`.
        DataError: ids are missing, duplicate, or not those of the dataset.
    """
    name_of_file, variable = split_variable(str(path))
    file = Path(name_of_file)
    _check_words(name, modality, family)
    if not file.is_file():
        raise DataError(f"{file} {'is not a regular file' if file.exists() else 'does not exist'}.")
    matrices = read_matrices(file, variable)
    matrix_ids = _ids(ids) if ids is not None else matrices.ids
    if matrix_ids is None or len(matrix_ids) != matrices.n:
        got = "no sample ids" if matrix_ids is None else f"{len(matrix_ids)} sample ids for {matrices.n} samples"
        raise DataError(f"{file} has {got}. Pass them as ids=, a list or a file (.json list, or one per line).")
    rows = _texts(matrix_ids, file)
    samples, _ = _placed(store, dataset, rows, file)
    file_name = file.name.encode(errors="surrogateescape").decode(errors="backslashreplace")  # may not be text
    model = ModelSpec(
        name=name,
        modality=modality,
        source="matrix",
        id=f"{file_name}{f':{variable}' if variable else ''}",
        revision=sha256_file(file),
        family=family,
    )
    store.write_samples(dataset, samples)
    writer = FeatureWriter(store, ExtractSpec(model=model, dataset=dataset), samples, shard_rows)
    return FeatureSet(write_matrices(writer, matrices, rows, file_name))


def _check_words(*words: str) -> None:
    if broken := [word for word in words if not is_unicode(word)]:
        raise SpecError(f"{broken[0]!r} is not valid Unicode; expected a text for name, modality and family.")


def _contents(path: Path, ids: Sequence[Any] | Path | str | None) -> tuple[dict[str, Array], list[str]]:
    """The layers of a file, each of shape (n, d), and the n sample ids, given or from the file."""
    if path.suffix.lower() not in READERS:
        raise SpecError(f"{path}: features are imported from {', '.join(READERS)}; got {path.suffix or 'no suffix'!r}.")
    if not path.is_file():
        raise DataError(f"{path} {'is not a regular file' if path.exists() else 'does not exist'}.")
    arrays, file_ids = read_features(path)
    arrays = _unstacked(arrays, path)
    rows = _ids(ids) if ids is not None else file_ids
    if rows is None:
        raise DataError(
            f"{path} holds no sample ids. Pass them as ids=, a list or a file (.json list, or one per line): pairing "
            "depends on them."
        )
    n = len(next(iter(arrays.values())))
    if len(rows) != n:
        raise DataError(f"{path} has {n} rows, but there are {len(rows)} ids.")
    return arrays, _texts(rows, path)


def _placed(store: FeatureStore, dataset: DatasetSpec, rows: list[str], path: Path) -> tuple[Samples, torch.Tensor]:
    """The samples of the dataset, and the row of the file for each."""
    place = {sample: i for i, sample in enumerate(rows)}
    if len(place) != len(rows):
        twice = next(sample for i, sample in enumerate(rows) if place[sample] != i)
        raise DataError(f"{path}: sample id {twice!r} occurs twice.")
    folder = store.dataset_dir(dataset)
    samples = store.read_samples(folder) if (folder / "samples.json").is_file() else Samples(rows, [[]] * len(rows))
    missing, extra = [sample for sample in samples.ids if sample not in place], sorted(set(rows) - set(samples.ids))
    if missing or extra:
        raise DataError(
            f"{path} and {folder.name} do not hold the same samples: {len(missing)} of the dataset's are missing in "
            f"the file{f' (first {missing[0]!r})' if missing else ''}, {len(extra)} of the file's are "
            f"not in the dataset{f' (first {extra[0]!r})' if extra else ''}. Features must cover "
            "exactly the dataset's samples."
        )
    return samples, torch.tensor([place[sample] for sample in samples.ids])


def _unstacked(layers: dict[str, Array], path: Path) -> dict[str, Array]:
    """Layers of shape (n, d) with equal n; arrays of shape (n, layers, d) are split."""
    flat: dict[str, Array] = {}
    for name, values in layers.items():
        if why := unusable(values):
            raise FeatureError(f"{path}, {visible(name)}: {why}")
        if values.ndim not in (2, 3):
            raise FeatureError(
                f"{path}, {visible(name)}: shape {tuple(values.shape)}; expected (n, d), or (n, layers, d)."
            )
        parts = {name: values}
        if values.ndim == 3:
            parts = {f"{name}.{i:02d}": values[:, i] for i in range(values.shape[1])}
        if twice := [part for part in parts if part in flat]:
            raise FeatureError(f"{path}: two layers would be named {twice[0]!r}. Rename one.")
        flat |= parts
    if empty := [name for name, values in flat.items() if 0 in values.shape]:
        raise FeatureError(f"{path}, {visible(empty[0])}: shape {tuple(flat[empty[0]].shape)} holds no numbers.")
    if not flat:
        raise FeatureError(f"{path} holds no layers.")
    if len(counts := {len(values) for values in flat.values()}) > 1:
        raise FeatureError(f"{path}: layers have different numbers of rows: {sorted(counts)}.")
    return flat


def _ids(ids: Sequence[Any] | Path | str) -> list[Any]:
    """Reads ids: a list, a file with one per line, or a .json list."""
    if not isinstance(ids, (str, Path)):
        return list(ids)
    path = Path(ids)
    if not path.is_file():
        raise DataError(
            f"{path} {'is not a regular file' if path.exists() else 'does not exist'}; expected a file of ids."
        )
    text = read_text(path)
    if path.suffix.lower() != ".json":
        return text.replace("\r\n", "\n").rstrip("\n").split("\n")
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not JSON: {cause(error)}. Expected a list of ids.") from error
    if not isinstance(content, list):
        raise DataError(f"{path} holds {type(content).__name__}; expected a list of ids.")
    return content


def _texts(ids: Iterable[Any], path: Path) -> list[str]:
    """Converts ids to text."""
    texts = []
    for i, cell in enumerate(ids, 1):
        try:
            text = cell_text(cell, "id")
        except DataError as error:
            raise DataError(f"{path}, row {i}: {error}.") from error
        if text is None:
            raise DataError(f"{path}, row {i}: the id is missing. Every row needs one: pairing depends on them.")
        texts.append(text)
    return texts


def _single(values: Array, where: str, ids: Sequence[str]) -> torch.Tensor:
    """A layer as float32, shape (n, d).

    Raises:
        FeatureError: a value is not finite or exceeds float32, or differences between samples are lost in float32.
    """
    if isinstance(values, torch.Tensor):
        short = values.is_floating_point() and values.dtype != torch.float64
        values = (values.detach().float() if short else values.detach()).resolve_neg().numpy()
    if (bad := ~np.isfinite(values).all(axis=1)).any():
        raise FeatureError(
            f"{where}: NaN or infinity for sample {ids[int(bad.argmax())]!r} ({bad.sum()} of {len(values)} rows). Fix "
            "these samples, or leave them out here and in the dataset."
        )
    if (
        values.dtype.kind == "f"
        and values.itemsize > 2
        and (bad := (values == values.dtype.type(MASKED)).any(axis=1)).any()
    ):
        raise FeatureError(
            f"{where}: the value {MASKED:g} for sample {ids[int(bad.argmax())]!r}, which stands for a masked value in "
            "NumPy. Fill it with another (x.filled(value)), or leave these samples out here and in the dataset."
        )
    with np.errstate(over="ignore"):
        single = np.require(values, np.float32, ["C", "W"])  # columns of parquet are read-only
    if not np.isfinite(single).all():
        raise FeatureError(
            f"{where}: values up to {np.abs(values).max():.2g} are too large for float32. Scale the layer."
        )
    if (loss := rounding_loss(values)) > LOSS:
        raise FeatureError(
            f"{where}: features are stored in float32, and {rounding_words(loss)} To take the loss, save them as "
            "float32."
        )
    return torch.from_numpy(single)
