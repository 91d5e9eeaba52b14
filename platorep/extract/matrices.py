"""Models that are matrices of dissimilarities, which the store holds instead of features, imported or from an asset."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from platorep.assets import fetch
from platorep.core.errors import DataError, FeatureError, SpecError
from platorep.core.rounding import LOSS, rounding_loss, rounding_words
from platorep.core.samples import Samples
from platorep.core.specs import ExtractSpec
from platorep.core.store import FeatureStore
from platorep.core.writer import FeatureWriter
from platorep.data.matrix_files import Matrices, read_matrices, split_variable
from platorep.metrics.knn import DENSE


def write_packaged(
    spec: ExtractSpec, samples: Samples, store: FeatureStore, shard_rows: int, *, renew: bool = False
) -> Path:
    """Writes a matrix that an asset holds; `spec.model.id` is FILE in it, FILE.mat:VARIABLE or FILE.mat:VARIABLE/NAME.

    If the file has no ids, its i-th sample has the id i, padded with zeros to one length ("01" to "92"), as in the
    dataset that belongs to it.

    Raises:
        SpecError: the model has no asset, or the asset has no such file.
        DataError: the file does not have all of the samples.
        AssetError: the asset cannot be fetched.
    """
    model = spec.model
    file, variable = split_variable(model.id)
    if model.asset is None:
        raise SpecError(
            f"{model.name}: source=matrix needs an asset with its file. A file of your own is imported with "
            "`platorep store import --matrix`, and then taken as it is."
        )
    folder = fetch(model.asset)
    paths = sorted(path for path in folder.rglob("*") if path.name == file)
    if len(paths) != 1:
        names = ", ".join(sorted(path.name for path in folder.rglob("*") if path.is_file() and path.suffix))
        raise SpecError(
            f"{model.name}: id is {model.id!r}, but {len(paths)} files of the asset have that name: {names}."
        )
    matrices = read_matrices(paths[0], variable)
    width = len(str(matrices.n))
    rows = (
        [str(i + 1).zfill(width) for i in range(matrices.n)] if matrices.ids is None else list(map(str, matrices.ids))
    )
    writer = FeatureWriter(store, spec, samples, shard_rows, renew=renew)
    return write_matrices(writer, matrices, rows, paths[0].name)


def write_matrices(writer: FeatureWriter, matrices: Matrices, ids: Sequence[str], origin: str) -> Path:
    """Writes the matrices of a model in the order of the dataset's samples, float32.

    A layer is stored with width R n: row i holds the dissimilarities of sample i to all samples in the first
    repetition, then in the second, and so on. `repetitions` in the manifest has their names.

    Args:
        writer: writer of the model's features.
        matrices: the dissimilarities.
        ids: ids of their samples, which may include samples that are not in the dataset.
        origin: name of the file, for the manifest and messages.

    Raises:
        DataError: the matrices lack some of the samples.
        FeatureError: there are too many samples for a dense matrix, or float32 cannot tell values apart.
    """
    samples, place = writer.samples, {sample: i for i, sample in enumerate(ids)}
    if missing := [sample for sample in samples.ids if sample not in place]:
        raise DataError(
            f"{origin} has dissimilarities of {len(ids)} samples, but {len(missing)} samples of "
            f"{writer.spec.dataset.name} are not among them, first {missing[0]!r}."
        )
    if len(samples.ids) > DENSE:
        raise FeatureError(
            f"{origin}: {len(samples.ids)} samples; a model that is a matrix may have at most {DENSE}. Take fewer "
            "samples (dataset.n), or import features."
        )
    order = np.array([place[sample] for sample in samples.ids])
    layers = {
        name: _packed(values[:, order][:, :, order], f"{origin}, {name}") for name, values in matrices.layers.items()
    }
    for index in writer.missing():
        start, stop = writer.bounds[index]
        writer.write(index, {name: values[start:stop].clone() for name, values in layers.items()})
    scalars: dict[str, Any] = {"repetitions": list(matrices.repetitions)}
    return writer.finish(scalars, imported_from=origin)


def _packed(values: np.ndarray, where: str) -> torch.Tensor:
    """Repetitions side by side, shape (n, R n) float32."""
    with np.errstate(over="ignore"):
        single = values.astype(np.float32)
    if not np.isfinite(single).all():
        raise FeatureError(f"{where}: values up to {np.abs(values).max():.2g} are too large for float32. Scale them.")
    if (loss := rounding_loss(values.reshape(len(values), -1).T)) > LOSS:
        raise FeatureError(f"{where}: dissimilarities are stored in float32, and {rounding_words(loss)}")
    return torch.from_numpy(single).transpose(0, 1).flatten(1)
