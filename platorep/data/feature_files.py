"""Reads features from files of other programs (.npy, .npz, .safetensors, .parquet, .pt) and from exports.

Nothing in a file is executed: pickled objects in NumPy files are refused, and .pt files go through PyTorch's restricted
loader, which builds tensors and plain containers only.
"""

from __future__ import annotations

import json
import logging
import re
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.lib.format import MAGIC_PREFIX

from platorep.core.errors import DataError, FeatureError, PlatorepError
from platorep.core.files import write_atomically
from platorep.core.text import cause, is_unicode, visible
from platorep.data.tables import arrow_cells, read_arrow


if TYPE_CHECKING:
    import pyarrow

log = logging.getLogger(__name__)

Array = np.ndarray | torch.Tensor

Contents = tuple[dict[str, Array], list[Any] | None]
"""Layers by name in depth order, and the sample ids, if the file has any."""

_HEADER = "platorep"
"""Key in .safetensors metadata of the order of layers and, in exports, the ids, as JSON."""

_NO_PLAIN_ARRAYS = (
    "damaged, or holds Python objects: pickled objects are not read. Save arrays of numbers, and ids as texts."
)
_NO_PLAIN_TENSORS = (
    "is damaged, or holds more than tensors, lists and dicts of them: other objects are not read, because reading them "
    "could run code. Save a dict of tensors, or a .safetensors"
)


def read_features(path: Path) -> Contents:
    """Reads the layers of a file, and its sample ids, if it has any.

    Layers have the order of the file. A .safetensors file has no order: its layers have the order that exports record,
    or else that of their names, in which numbers are compared as numbers (`depth_order`).

    Raises:
        FeatureError: the file is damaged, has another format than its suffix, or holds something other than arrays of
            numbers.
        DataError: a .parquet file cannot be read.
    """
    try:
        layers, ids = READERS[path.suffix.lower()](path)
    except PlatorepError:
        raise
    except Exception as error:  # the libraries raise nearly every built-in error for damaged files
        raise FeatureError(
            f"{path} is damaged, or not a {path.suffix.lower()} file ({type(error).__name__}: {cause(error)}). Save it "
            "again."
        ) from error
    if broken := [name for name in layers if not is_unicode(name) or name in ("ids", "__metadata__")]:
        raise FeatureError(f"{path}: a layer is named {broken[0]!r}, which a file of features cannot keep. Rename it.")
    return layers, ids


def write_features(path: Path, layers: Mapping[str, torch.Tensor], ids: Sequence[str]) -> None:
    """Writes layers and sample ids as .safetensors or .npz, such that `read_features` returns them in this order."""
    from safetensors.torch import save_file

    def write(temporary: Path) -> None:
        if path.suffix.lower() == ".npz":
            _write_npz(temporary, {"ids": np.array(ids)} | {name: values.numpy() for name, values in layers.items()})
        else:
            header = json.dumps({"layers": list(layers), "ids": list(ids)})
            save_file(
                {name: values.contiguous() for name, values in layers.items()}, temporary, metadata={_HEADER: header}
            )

    write_atomically(path, write)


def depth_order(names: Sequence[str]) -> list[str]:
    """Sorts names of layers by depth, as far as names show it: "layer.2" before "layer.10".

    Numbers in names are compared as numbers. Names that begin with "embed" come first, because embeddings are the input
    of the first block.
    """

    def place(name: str) -> list[Any]:
        parts = re.split(r"(\d+)", name)
        return [not name.lower().startswith("embed"), *((int(p), p) if p.isdecimal() else p for p in parts)]

    return sorted(names, key=place)


def _write_npz(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Like `numpy.savez`, which takes names as arguments and therefore cannot write an array named "file"."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, values in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, values, allow_pickle=False)


def _npy(path: Path) -> Contents:
    with open(path, "rb") as file:
        if file.read(len(MAGIC_PREFIX)) != MAGIC_PREFIX:
            raise FeatureError(
                f"{path} is not an .npy file: it does not begin as numpy.save writes them. Save the array again."
            )
    try:
        return {"layer": np.load(path, allow_pickle=False)}, None
    except Exception as error:  # many types for damaged files, and numpy's message suggests loading that may run code
        raise FeatureError(f"{path} is {_NO_PLAIN_ARRAYS}") from error


def _npz(path: Path) -> Contents:
    if not zipfile.is_zipfile(path):
        raise FeatureError(
            f"{path} is not an .npz file: it is not the archive that numpy.savez writes. Save the arrays again."
        )
    try:
        with np.load(path, allow_pickle=False) as file:
            if twice := [name for i, name in enumerate(file.files) if name in file.files[:i]]:
                raise FeatureError(f"{path} holds two arrays named {twice[0]!r}. Save the arrays again.")
            arrays = {name: file[name] for name in file.files}
    except FeatureError:
        raise
    except Exception as error:
        raise FeatureError(f"{path} is {_NO_PLAIN_ARRAYS}") from error
    if other := [name for name, values in arrays.items() if not isinstance(values, np.ndarray)]:
        raise FeatureError(
            f"{path} is not an .npz file: {other[0]} in it is not an array. Save the arrays with numpy.savez."
        )
    ids = arrays.pop("ids", None)
    return arrays, None if ids is None else _flat(ids, path)


def _safetensors(path: Path) -> Contents:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        header = json.loads((file.metadata() or {}).get(_HEADER, "{}"))
        names = header.get("layers") or depth_order(list(file.keys()))
        ids = header.get("ids")
        return {name: file.get_tensor(name) for name in names}, ids if isinstance(ids, list) else None


def _parquet(path: Path) -> Contents:
    import pyarrow

    frame = read_arrow(path)
    names = frame.column_names
    if twice := [name for i, name in enumerate(names) if name in names[:i]]:
        raise FeatureError(f"{path} has two columns named {twice[0]!r}. Rename or remove one.")
    ids = arrow_cells(frame["id"]) if "id" in names else None
    described = frame.schema.pandas_metadata or {}
    index = [name for name in described.get("index_columns", []) if isinstance(name, str)]
    names = [name for name in names if name != "id" and name not in index]
    kinds = pyarrow.types
    lists = [
        n for n in names if kinds.is_list(t := frame[n].type) or kinds.is_large_list(t) or kinds.is_fixed_size_list(t)
    ]
    if lists and len(lists) < len(names):
        rest = [name for name in names if name not in lists]
        log.warning("%s: columns of lists are the layers; left out are the columns %s", visible(str(path)), rest)
    if lists:
        return {name: _list_column(frame[name], f"{path}, {name!r}") for name in lists}, ids
    columns = [_number_column(frame[name], f"{path}, {name!r}") for name in names]
    return ({"layer": np.column_stack(columns)} if columns else {}), ids


def _number_column(column: pyarrow.ChunkedArray, where: str) -> np.ndarray:
    """A column of numbers; missing values become NaN."""
    import pyarrow

    if pyarrow.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if not _is_number(column.type):
        raise FeatureError(
            f"{where}: the column has the type {column.type}; expected numbers (one column a feature) or lists of them "
            "(a layer)."
        )
    return column.to_numpy()


def _list_column(column: pyarrow.ChunkedArray, where: str) -> np.ndarray:
    """A column of lists of equal length, shape (n, d)."""
    from pyarrow import compute

    if not _is_number(column.type.value_type):
        raise FeatureError(f"{where}: the column has the type {column.type}; expected lists of numbers.")
    lengths = compute.unique(compute.list_value_length(column)).to_pylist()
    if len(lengths) > 1 or None in lengths:
        got = ", ".join("no list" if length is None else str(length) for length in lengths[:5])
        raise FeatureError(f"{where}: lists of different lengths ({got}); expected as many numbers in every row.")
    return compute.list_flatten(column).to_numpy().reshape(len(column), -1)


def _is_number(kind: pyarrow.DataType) -> bool:
    import pyarrow

    return pyarrow.types.is_integer(kind) or pyarrow.types.is_floating(kind)


def _pt(path: Path) -> Contents:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # many types for damaged files, and torch's message suggests loading that may run code
        raise FeatureError(f"{path} {_NO_PLAIN_TENSORS}.") from error
    if isinstance(content, torch.Tensor):
        content = {"layer": content}
    elif isinstance(content, (list, tuple)):
        content = {f"layer.{i:02d}": values for i, values in enumerate(content)}
    if not isinstance(content, dict):
        raise FeatureError(f"{path} holds {type(content).__name__}; {_EXPECTED}.")
    ids = content.pop("ids", None)
    if other := [name for name, values in content.items() if not isinstance(values, torch.Tensor)]:
        raise FeatureError(f"{path}: {other[0]!r} is {type(content[other[0]]).__name__}; {_EXPECTED}.")
    if len({str(name) for name in content}) < len(content):
        raise FeatureError(f"{path}: two layers have the same name once it is text. Rename one.")
    if isinstance(ids, torch.Tensor):
        ids = _flat(ids.numpy(), path)
    if not isinstance(ids, (list, tuple, type(None))):
        raise DataError(f"{path}: ids are {type(ids).__name__}; expected a list of texts or numbers.")
    return {str(name): values for name, values in content.items()}, None if ids is None else list(ids)


_EXPECTED = "expected a tensor, a list of tensors, or a dict of tensors (and ids)"


def _flat(ids: np.ndarray, path: Path) -> list[Any]:
    """Flattens ids from an array that may be one column or one row of a table."""
    if ids.size not in ids.shape and ids.size > 1:
        raise DataError(f"{path}: ids have the shape {ids.shape}; expected one id per sample, ({ids.size},).")
    return list(ids.ravel())


READERS = {".npy": _npy, ".npz": _npz, ".safetensors": _safetensors, ".parquet": _parquet, ".pt": _pt}
"""Suffix -> function from a path to its contents."""
