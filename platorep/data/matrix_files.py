"""Reads dissimilarities of samples from files: NumPy arrays, tables of numbers, and MATLAB files of the RSA toolbox.

An array holds one matrix (n, n), several (R, n, n) as repetitions, or their upper triangles (R, n (n - 1) / 2) row by
row. Nothing in a file is executed.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from platorep.core.errors import FeatureError, PlatorepError, SpecError, unknown_name
from platorep.core.text import cause
from platorep.data.feature_files import READERS, read_features
from platorep.data.tables import read_text


SUFFIXES = (".npy", ".npz", ".safetensors", ".pt", ".mat", ".csv")
"""Formats that `read_matrices` reads."""

LAYER = "dissimilarity"
"""Name of the layer in a file without names."""

TOLERANCE = 1e-6
"""Largest asymmetry and diagonal that count as rounding, as a share of the largest dissimilarity."""


@dataclass(frozen=True)
class Matrices:
    """The dissimilarities in one file.

    Attributes:
        layers: repetitions of each layer (a region, or the only one), shape (R, n, n) float64, symmetric, diagonal 0.
        repetitions: R names, "PERSON" or "PERSON/SESSION".
        ids: ids of the samples, in order; None if the file has none.
    """

    layers: dict[str, np.ndarray]
    repetitions: list[str]
    ids: list[Any] | None = None

    @property
    def n(self) -> int:
        """Number of samples."""
        return next(iter(self.layers.values())).shape[1]


def read_matrices(path: Path, variable: str = "") -> Matrices:
    """Reads the dissimilarities in a file.

    Args:
        path: one of `SUFFIXES`. In .npz, .safetensors and .pt each array is a layer; the arrays "ids" and (in .npz)
            "repetitions" name samples and repetitions. A .csv is one table of numbers, with ids in its first row and
            column, or without both.
        variable: of a .mat file: the name of an array, or of a struct array with the fields RDM and name, one element a
            repetition; "VARIABLE/NAME" takes one element. May be left out where the file holds one variable.

    Raises:
        SpecError: the file has another format.
        FeatureError: the file is damaged, or holds something other than dissimilarities: not square, not symmetric, a
            diagonal other than 0, or NaN off the diagonal.
        UnknownNameError: the file has no such variable.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise SpecError(
            f"{path}: matrices are imported from {', '.join(SUFFIXES)}; got {path.suffix or 'no suffix'!r}."
        )
    names: Sequence[str] | None = None
    ids: list[Any] | None = None
    try:
        if suffix == ".mat":
            arrays, names = _mat(path, variable)
        elif suffix == ".csv":
            arrays, ids = _csv(path)
        else:
            arrays, ids = read_features(path) if suffix in READERS else ({}, None)
            given = arrays.pop("repetitions", None)
            names = None if given is None else [str(name) for name in np.asarray(given).ravel()]
    except PlatorepError:
        raise
    except Exception as error:  # the libraries raise nearly every built-in error for damaged files
        raise FeatureError(
            f"{path} is damaged, or not a {suffix} file ({type(error).__name__}: {cause(error)})."
        ) from error
    if not arrays:
        raise FeatureError(f"{path} holds no matrix.")
    layers = {LAYER if name == "layer" else name: _square(array, f"{path}, {name}") for name, array in arrays.items()}
    shapes = {layer.shape for layer in layers.values()}
    if len(shapes) > 1:
        raise FeatureError(
            f"{path}: layers have different shapes: {sorted(shapes)}. Import them as models of their own."
        )
    count = shapes.pop()[0]
    names = [str(i + 1) for i in range(count)] if names is None else list(names)
    if len(names) != count or len(set(names)) != count:
        raise FeatureError(f"{path}: {len(set(names))} different names of repetitions, but {count} matrices.")
    return Matrices(layers, names, ids)


def split_variable(name: str) -> tuple[str, str]:
    """A file's name and the variable of a .mat file that follows it after a colon: "rdms.mat:RDMs/monkey"."""
    file, suffix, variable = name.partition(".mat:")
    return (f"{file}.mat", variable) if suffix else (name, "")


def _square(array: Any, where: str) -> np.ndarray:
    """Matrices of shape (R, n, n), symmetric, with zero diagonal, float64."""
    values = np.asarray(array, dtype=np.float64)
    if values.ndim < 3 and not (values.ndim == 2 and values.shape[0] == values.shape[1]):
        values = _unfolded(np.atleast_2d(values), where)
    values = values[None] if values.ndim == 2 else values
    if values.ndim != 3 or values.shape[1] != values.shape[2] or values.shape[1] < 2 or not len(values):
        raise FeatureError(f"{where}: shape {values.shape}; expected (n, n), or (repetitions, n, n).")
    values = values.copy()
    rows = np.arange(values.shape[1])
    diagonal = values[:, rows, rows]
    values[:, rows, rows] = 0
    if not np.isfinite(values).all():
        _, row, column = np.argwhere(~np.isfinite(values))[0]
        raise FeatureError(f"{where}: NaN or infinity between samples {row} and {column}. Leave one of them out.")
    largest = np.abs(values).max()
    if np.nanmax(np.abs(diagonal), initial=0) > TOLERANCE * largest:
        raise FeatureError(
            f"{where}: the diagonal has values up to {np.nanmax(np.abs(diagonal)):.3g}; expected dissimilarities, "
            "which are 0 between a sample and itself. Of similarities such as correlations save 1 - values."
        )
    turned = values.transpose(0, 2, 1)
    if np.abs(values - turned).max() > TOLERANCE * largest:
        raise FeatureError(f"{where}: the matrix is not symmetric. Save the mean of it and its transpose.")
    return (values + turned) / 2


def _unfolded(triangles: np.ndarray, where: str) -> np.ndarray:
    """Matrices from upper triangles, shape (R, n (n - 1) / 2), row by row."""
    pairs = triangles.shape[1]
    n = (1 + math.isqrt(1 + 8 * pairs)) // 2
    if n * (n - 1) // 2 != pairs or pairs < 1:
        raise FeatureError(f"{where}: shape {triangles.shape}; expected (n, n), or n (n - 1) / 2 values a repetition.")
    values = np.zeros((len(triangles), n, n))
    values[:, *np.triu_indices(n, 1)] = triangles
    return values + values.transpose(0, 2, 1)


def _csv(path: Path) -> tuple[dict[str, Any], list[Any] | None]:
    """A table of numbers; the first row and column hold ids if the first cell is not a number."""
    rows = [row for row in csv.reader(io.StringIO(read_text(path), newline=""), strict=True) if any(row)]
    if not rows or any(len(row) != len(rows[0]) for row in rows):
        raise FeatureError(f"{path}: expected a table whose rows have one number of cells.")
    ids = None
    if not _is_number(rows[0][0]):
        ids, across = [row[0] for row in rows[1:]], rows[0][1:]
        if ids != across:
            raise FeatureError(f"{path}: the first row and the first column name different samples.")
        rows = [row[1:] for row in rows[1:]]
    if bad := next((cell for row in rows for cell in row if not _is_number(cell)), None):
        raise FeatureError(f"{path}: the cell {bad!r} is no number.")
    return {"layer": np.array(rows, dtype=np.float64)}, ids


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _mat(path: Path, variable: str) -> tuple[dict[str, Any], list[str] | None]:
    """An array, or the field RDM of the elements of a struct array, with the elements' names."""
    from scipy.io import loadmat

    variables = {name: value for name, value in loadmat(path).items() if not name.startswith("__")}
    name, _, element = variable.partition("/")
    if not name and len(variables) == 1:
        name = next(iter(variables))
    if name not in variables:
        raise unknown_name(f"variable of {path}", name, variables)
    array = variables[name]
    if array.dtype.names is None:
        if array.dtype.kind not in "fiu":
            raise FeatureError(f"{path}, {name} holds {array.dtype} values; expected numbers, or a struct array.")
        return {"layer": array}, None
    if not {"RDM", "name"} <= set(array.dtype.names):
        raise FeatureError(f"{path}, {name}: fields {', '.join(array.dtype.names)}; expected RDM and name.")
    entries = {str(entry["name"].ravel()[0]): entry["RDM"] for entry in array.ravel()}
    if element:
        if element not in entries:
            raise unknown_name(f"element of {name} in {path}", element, entries)
        return {"layer": np.atleast_2d(entries[element])}, [element]
    squares = [_square(matrix, f"{path}, {label}")[0] for label, matrix in entries.items()]
    return {"layer": np.stack(squares)}, _repetition_names(list(entries))


def _repetition_names(names: list[str]) -> list[str]:
    """Names such as "hIT | BE | Session: 1" as "BE/Session: 1": without the first parts that all of them share."""
    parts = [[part.strip() for part in name.split("|")] for name in names]
    while len(parts) > 1 and all(len(part) > 1 for part in parts) and len({part[0] for part in parts}) == 1:
        parts = [part[1:] for part in parts]
    return ["/".join(part) for part in parts]
