"""Any dataset that the `datasets` library loads: of the Hub at a commit, or a local folder in the Hub's formats."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fsspec

from platorep.assets import content_hash, is_commit, resolve_revision
from platorep.core.errors import DataError, SpecError
from platorep.core.specs import DatasetSpec
from platorep.data import repositories
from platorep.data.contents import read_regular
from platorep.data.pair import WORDS, Pair, Report, check_switches, column_of, labelled, pin, several
from platorep.data.pictures import OPTION, decode_picture, pixel_limit
from platorep.data.sounds import decode_sound


if TYPE_CHECKING:
    import datasets


def pairs(spec: DatasetSpec, progress: Report | None = None) -> tuple[DatasetSpec, Sequence[Pair]]:
    """All rows of a split, in the order of the split.

    The id of a pair is its row number, or the value of the column `columns.id`. The default columns are `image` and
    `text`. A cell may hold one caption or a list of captions, and one picture or a list of pictures. With
    `columns.sound` the rows have sounds, and pictures only if `columns.image` is set as well. `options.max_pixels` is
    the largest size of a picture.
    """
    check_switches(spec, options=[OPTION], columns=WORDS)
    if not spec.id:
        raise SpecError(f"dataset {spec.name!r} (source=hub) has no id: set dataset.id=owner/name, or a local folder.")
    local = Path(spec.id).expanduser()
    if local.is_dir():
        spec = pin(
            spec, content_hash(local)[:40], "The folder changed: leave dataset.revision open to use it as it is."
        )
        rows = repositories.read(repositories.local(local, str(spec.revision)), spec.config, spec.split, spec.id)
    else:
        branch = spec.branch if is_commit(spec.revision) else spec.revision or ""
        commit = resolve_revision(spec.id, spec.revision, repo_type="dataset")
        spec = spec.replace(revision=commit, branch=branch)
        rows = repositories.load(spec.id, commit, spec.config, spec.split)
    return spec, _pairs(spec, rows)


def _pairs(spec: DatasetSpec, rows: datasets.Dataset) -> list[Pair]:
    text = column_of(spec, "text", rows.column_names, "text")
    ids = _cells(spec, rows, "id")
    categories = _cells(spec, rows, "category")
    pictures = _loaders(spec, rows, "image") if "image" in spec.columns or "sound" not in spec.columns else None
    sounds = _loaders(spec, rows, "sound") if "sound" in spec.columns else None
    return [
        labelled(
            f"row {i}",
            i if ids is None else ids[i],
            None if categories is None else categories[i],
            several(captions),
            None if pictures is None else pictures[i],
            categories is not None,
            None if sounds is None else sounds[i],
        )
        for i, captions in enumerate(_texts(rows, text))
    ]


def _loaders(spec: DatasetSpec, rows: datasets.Dataset, word: str) -> list[list[Callable[[], Any]]]:
    """Functions that decode the pictures or the sounds of every row."""
    import datasets

    name = column_of(spec, word, rows.column_names, word)
    undecoded: Any = datasets.Audio(decode=False) if word == "sound" else datasets.Image(decode=False)
    decode: Callable[[bytes], Any] = decode_sound
    if word == "image":
        decode = partial(decode_picture, max_pixels=pixel_limit(spec.options))
    kind = {"image": "picture", "sound": "sound"}[word]
    feature = rows.features[name]
    try:
        # bytes instead of pictures, which are decoded later, so that a damaged picture is reported and does not stop
        # the others. For a column of lists, the library therefore writes a copy into its cache once
        cells = rows.select_columns([name]).cast_column(
            name, type(feature)(undecoded) if hasattr(feature, "feature") else undecoded
        )
    except (TypeError, ValueError, NotImplementedError) as error:  # base classes of pyarrow's errors
        raise DataError(
            f"column {name!r} of dataset {spec.id} holds no {kind}s but {feature}. Set columns.{word}."
        ) from error
    return [
        [partial(_decoded, cells, row, name, number, decode, kind) for number in range(count)]
        for row, count in enumerate(_counts(cells, name))
    ]


def _counts(cells: datasets.Dataset, column: str) -> list[int]:
    """Numbers of pictures or sounds per row, from the lengths of lists, without reading their bytes."""
    from pyarrow import compute

    if not hasattr(cells.features[column], "feature"):
        return [1] * len(cells)
    return [length or 0 for length in compute.list_value_length(cells.with_format("arrow")[:][column]).to_pylist()]


def _texts(rows: datasets.Dataset, name: str) -> list[Any]:
    """The captions. Class labels and whole numbers become their names, which makes labelled pictures usable."""
    cells, feature = rows.select_columns([name])[:][name], rows.features[name]
    if hasattr(feature, "int2str"):
        return _class_names(feature, cells)
    return (
        [str(cell) if cell is not None else None for cell in cells]
        if "int" in str(getattr(feature, "dtype", ""))
        else cells
    )


def _cells(spec: DatasetSpec, rows: datasets.Dataset, word: str) -> list[Any] | None:
    """An optional column, with class labels converted to names."""
    if word not in spec.columns:
        return None
    name = column_of(spec, word, rows.column_names, word)
    cells, feature = rows.select_columns([name])[:][name], rows.features[name]
    return _class_names(feature, cells) if hasattr(feature, "int2str") else cells


def _class_names(feature: datasets.ClassLabel, cells: list[int | None]) -> list[str | None]:
    """The names of class labels; None for missing labels, including -1, which published test splits use."""
    return [None if cell is None or cell == -1 else feature.int2str(cell) for cell in cells]


def _decoded(
    cells: datasets.Dataset, index: int, column: str, number: int, decode: Callable[[bytes], Any], kind: str
) -> Any:
    """Decodes one picture or sound of a row, whose cell holds its bytes or the path of its file.

    Raises:
        DataError: the cell is empty, or what it holds cannot be decoded.
    """
    cell = cells[index][column]
    cell = cell[number] if isinstance(cell, list) else cell
    if cell is None or (cell.get("bytes") is None and cell.get("path") is None):
        raise DataError(f"{kind} is missing")
    if cell.get("bytes") is not None:
        return decode(cell["bytes"])
    if "::" in cell["path"]:  # in an archive
        with fsspec.open(cell["path"]) as file:
            return decode(file.read())
    return decode(read_regular(Path(cell["path"])))
