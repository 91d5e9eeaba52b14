"""Any dataset that the `datasets` library loads: of the Hub at a commit, or a local folder in the Hub's formats."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fsspec
from PIL import Image

from platorep.assets import content_hash, is_commit, resolve_revision
from platorep.core.errors import DataError, SpecError
from platorep.core.specs import DatasetSpec
from platorep.data import repositories
from platorep.data.pair import WORDS, Pair, Report, check_switches, column_of, labelled, pin, several
from platorep.data.pictures import OPTION, decode_picture, pixel_limit, read_picture


if TYPE_CHECKING:
    import datasets


def pairs(spec: DatasetSpec, progress: Report | None = None) -> tuple[DatasetSpec, Sequence[Pair]]:
    """All rows of a split, in the order of the split.

    The id of a pair is its row number, or the value of the column `columns.id`. The default columns are `image` and
    `text`. A cell may hold one caption or a list of captions, and one picture or a list of pictures.
    `options.max_pixels` is the largest size of a picture.
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
    image, text = (
        column_of(spec, "image", rows.column_names, "image"),
        column_of(spec, "text", rows.column_names, "text"),
    )
    ids = _cells(spec, rows, "id")
    categories = _cells(spec, rows, "category")
    try:
        # bytes instead of pictures, which are decoded later, so that a damaged picture is reported and does not stop
        # the others. For a column of lists, the library therefore writes a copy into its cache once
        pictures = rows.select_columns([image]).cast_column(image, _undecoded(rows.features[image]))
    except (TypeError, ValueError, NotImplementedError) as error:  # base classes of pyarrow's errors
        raise DataError(
            f"column {image!r} of dataset {spec.id} holds no pictures but {rows.features[image]}. Set columns.image."
        ) from error
    counts, limit = _counts(pictures, image), pixel_limit(spec.options)
    return [
        labelled(
            f"row {i}",
            i if ids is None else ids[i],
            None if categories is None else categories[i],
            several(captions),
            [partial(_picture, pictures, i, image, number, limit) for number in range(counts[i])],
            categories is not None,
        )
        for i, captions in enumerate(_texts(rows, text))
    ]


def _undecoded(feature: Any) -> Any:
    """The feature of undecoded pictures, or of lists of them if the column holds lists."""
    import datasets

    undecoded = datasets.Image(decode=False)
    return type(feature)(undecoded) if hasattr(feature, "feature") else undecoded


def _counts(pictures: datasets.Dataset, column: str) -> list[int]:
    """Numbers of pictures per row, from the lengths of lists, without reading the bytes of pictures."""
    from pyarrow import compute

    if not hasattr(pictures.features[column], "feature"):
        return [1] * len(pictures)
    return [length or 0 for length in compute.list_value_length(pictures.with_format("arrow")[:][column]).to_pylist()]


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


def _picture(pictures: datasets.Dataset, index: int, column: str, number: int, max_pixels: int) -> Image.Image:
    cell = pictures[index][column]
    cell = cell[number] if isinstance(cell, list) else cell
    if cell is None or (cell.get("bytes") is None and cell.get("path") is None):
        raise DataError("picture is missing")
    if cell.get("bytes") is None and "::" in cell["path"]:  # in an archive
        with fsspec.open(cell["path"]) as file:
            return decode_picture(file.read(), max_pixels=max_pixels)
    if cell.get("bytes") is not None:
        return decode_picture(cell["bytes"], max_pixels=max_pixels)
    return read_picture(Path(cell["path"]), max_pixels=max_pixels)
