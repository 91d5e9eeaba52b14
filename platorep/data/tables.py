"""Reads tables (CSV, JSON lines, parquet) without guessing types or formats."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from platorep.core.errors import DataError
from platorep.core.text import cause, visible


if TYPE_CHECKING:
    import pyarrow

DELIMITERS = (",", ";", "\t")
"""Separators of the cells of a CSV file: the first of these in the header is used."""

_LINE = 'Each line must be an object, {"file_name": "001.jpg", "text": "a cat"}.'


@dataclass(frozen=True)
class Table:
    """The columns of a table.

    Attributes:
        names: names of the named columns.
        rows: number of rows.
        cells: returns the cells of a column, with None for missing cells.
        lines: line of the file at which each row ends; empty for parquet.
    """

    names: list[str]
    rows: int
    cells: Callable[[str], list[Any]]
    lines: Sequence[int] = ()


def read_table(path: Path) -> Table:
    """Reads a .csv, .jsonl or .parquet file.

    Cells of a CSV file are text, which may be empty; cells of the other formats have the types in the file. A table
    without rows has no columns either.

    Raises:
        DataError: the file is damaged or not UTF-8, two columns have the same name, or a CSV row has more or fewer
            cells than the header.
    """
    try:
        if not path.stat().st_size:
            return _table([], {})
        return {".csv": _csv, ".jsonl": _lines, ".parquet": _parquet}[path.suffix.lower()](path)
    except OSError as error:
        raise DataError(f"{visible(str(path))} cannot be read: {error.strerror or cause(error)}.") from error


def read_text(path: Path) -> str:
    """Reads the text of a UTF-8 file, without a byte-order mark.

    Raises:
        DataError: the file is not UTF-8; the message states the place, or the likely encoding.
    """
    raw = path.read_bytes()
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        utf16 = raw.startswith((b"\xff\xfe", b"\xfe\xff"))
        where = "but UTF-16" if utf16 else f"({error.reason} at byte {error.start}, in line {line})"
        raise DataError(f"{visible(str(path))} is not UTF-8 {where}. Save it as UTF-8.") from error


def _table(names: list[str], rows: dict[int, dict[str, Any]]) -> Table:
    """A table from rows by line."""
    return Table(names if rows else [], len(rows), lambda name: [row.get(name) for row in rows.values()], list(rows))


def _check_names(path: Path, names: list[str]) -> None:
    if twice := [name for i, name in enumerate(names) if name and name in names[:i]]:
        raise DataError(f"{visible(str(path))} has two columns named {twice[0]!r}. Rename or remove one.")


def _csv(path: Path) -> Table:
    records = _records(path)
    _, header = next(records, (0, []))
    _check_names(path, header)
    rows = {}
    for line, cells in records:
        # spreadsheets may write a comma after the last cell
        surplus = cells[len(header) :]
        if len(cells) < len(header) or any(surplus):
            raise DataError(
                f"{visible(str(path))}, line {line}: {len(cells)} cells, but the header has {len(header)} columns. Put "
                "a cell that holds a comma or a line break into double quotes "
                '("a cat, asleep"), and give each row every column.'
            )
        if any(cells):
            rows[line] = dict(zip(header, cells, strict=False))
    return _table([name for name in header if name], rows)


def _records(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The last line and the cells of each record that is not blank."""
    text = read_text(path)
    first = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = next((character for character in DELIMITERS if character in first), ",")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        for cells in reader:
            if len(cells) > 1 or any(cell.strip() for cell in cells):
                yield reader.line_num, cells
    except csv.Error as error:
        raise DataError(
            f"{visible(str(path))}, line {reader.line_num}: {cause(error)}. A double quote inside a quoted cell is "
            "written twice."
        ) from error


def _lines(path: Path) -> Table:
    rows: dict[int, dict[str, Any]] = {}
    for number, line in enumerate(io.StringIO(read_text(path), newline=None), 1):
        if not line.strip():
            continue
        where = f"{visible(str(path))}, line {number}"
        try:
            row = json.loads(line, object_pairs_hook=_object)
        except json.JSONDecodeError as error:  # whose line number counts within this line
            raise DataError(f"{where} is not JSON ({error.msg}, column {error.colno}). {_LINE}") from error
        except (ValueError, RecursionError) as error:  # duplicate names, numbers with too many digits, deep nesting
            raise DataError(f"{where} cannot be read: {cause(error)}. {_LINE}") from error
        if not isinstance(row, dict):
            raise DataError(f"{where} is {row!r:.40}. {_LINE}")
        rows[number] = row
    return _table(list(dict.fromkeys(name for row in rows.values() for name in row)), rows)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the name {next(name for name in names if names.count(name) > 1)!r} occurs twice")
    return row


def _parquet(path: Path) -> Table:
    frame = read_arrow(path)
    _check_names(path, frame.column_names)
    return Table(frame.column_names if frame.num_rows else [], frame.num_rows, lambda name: arrow_cells(frame[name]))


def read_arrow(path: Path) -> pyarrow.Table:
    """Reads one parquet file completely, without columns from the names of parent folders.

    Raises:
        DataError: the file is damaged or not parquet.
    """
    import pyarrow
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            return file.read()
    except FileNotFoundError:
        raise
    except (pyarrow.ArrowException, OSError, ValueError, KeyError) as error:
        raise DataError(f"{visible(str(path))} is damaged or not a parquet file: {cause(error, 200)}.") from error


def arrow_cells(column: pyarrow.ChunkedArray) -> list[Any]:
    """The cells of a column as Python values; short floating-point numbers stay short, as their text shows."""
    import pyarrow

    short = {pyarrow.float16(): np.float16, pyarrow.float32(): np.float32}.get(column.type)
    cells = column.to_pylist()
    return cells if short is None else [cell if cell is None else short(cell) for cell in cells]
