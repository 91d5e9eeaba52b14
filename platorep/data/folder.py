"""A folder of pictures with a table of captions, as the Hub's imagefolder convention has it.

cats/metadata.csv        file_name,text        or metadata.jsonl, metadata.parquet
cats/001.jpg             or cats/train/metadata.csv and cats/train/001.jpg

Several pictures of one thing: {"file_names": ["001.jpg", "002.jpg"], "text": "a cat"} in a .jsonl or .parquet.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from platorep.assets import content_hash
from platorep.core.errors import DataError, SpecError, unknown_name
from platorep.core.specs import DatasetSpec
from platorep.data.pair import WORDS, Pair, Report, check_switches, column_of, pin, several
from platorep.data.pictures import SUFFIXES, read_picture


log = logging.getLogger(__name__)

_LINE = 'Each line must be an object, {"file_name": "001.jpg", "text": "a cat"}.'


def _read_lines(path: Path) -> pd.DataFrame:
    rows = []
    with open(path, encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:  # which counts lines within this one
                raise ValueError(f"line {number} is no JSON ({error.msg}, column {error.colno}). {_LINE}") from error
            if not isinstance(row, dict):
                raise ValueError(f"line {number} is {row!r:.40}. {_LINE}")
            rows.append(row)
    return pd.DataFrame(rows)


TABLES = {
    "metadata.csv": partial(pd.read_csv, keep_default_na=False, dtype=str),
    "metadata.jsonl": _read_lines,
    "metadata.parquet": pd.read_parquet,
}


def pairs(spec: DatasetSpec, progress: Report | None = None) -> tuple[DatasetSpec, Sequence[Pair]]:
    """All rows of the folder's metadata table, in its order.

    A pair's id is its first file's name below the folder; its captions are one text or, in .jsonl and .parquet, a list,
    and so are its pictures: `file_name` or `file_names`, whichever column there is. The revision is the content hash
    of the folder, so that changed pictures or captions never meet old features.
    """
    check_switches(spec, columns=WORDS)
    if not spec.id:
        raise SpecError(f"dataset {spec.name!r} (source=folder) has no folder: set dataset.id=/path/to/the/folder.")
    root = Path(spec.id).expanduser()
    if not root.is_dir():
        raise DataError(
            f"{root} is not a folder; relative paths start at {Path.cwd()}. Set dataset.id to the folder with the pictures."
        )
    root, frame = _table(spec, root)
    both = {"file_name", "file_names"} <= {*frame.columns}
    if both and "image" not in spec.columns:
        raise DataError(
            f"{root}: the metadata has both file_name and file_names. Remove one column, or set columns.image."
        )
    default = "file_names" if "file_names" in frame.columns else "file_name"
    image, text = column_of(spec, "image", frame.columns, default), column_of(spec, "text", frame.columns, "text")
    category = (
        column_of(spec, "category", frame.columns, "category")
        if "category" in (*spec.columns, *frame.columns)
        else None
    )
    name = column_of(spec, "id", frame.columns, image)
    found, listed = [], set()
    for cell, captions, label, one in zip(
        frame[image], frame[text], frame[category or image], frame[name], strict=True
    ):
        files = several(cell)
        for file in files:
            _check_name(file, f"{root}: row {len(found) + 1} of the metadata")
        if outside := [file for file in files if not (root / file).resolve().is_relative_to(root.resolve())]:
            raise DataError(
                f"{root}: the metadata names {outside[0]!r}, which lies outside the folder. File names must be relative to it."
            )
        listed.update(files)
        own = (files or [f"row {len(found)}"])[0] if name == image else str(one)
        found.append(
            Pair(
                own,
                several(captions),
                str(label) if category else None,
                [partial(read_picture, root / file) for file in files],
            )
        )
    _warn_of_unlisted(root, listed)
    return pin(
        spec, content_hash(root)[:40], "The folder changed: leave dataset.revision open to use it as it is."
    ), found


def _table(spec: DatasetSpec, root: Path) -> tuple[Path, pd.DataFrame]:
    """The folder of the metadata table (the given one, or its split's) and the table."""
    places = [root, root / spec.split]
    tables = [place / name for place in places for name in TABLES if (place / name).is_file()]
    if not tables:
        splits = [
            child.name
            for child in root.iterdir()
            if child.is_dir() and any((child / name).is_file() for name in TABLES)
        ]
        if splits:
            raise unknown_name(f"split of folder {root}", spec.split, splits)
        raise DataError(
            f"{root} has no {', '.join(TABLES)}. Add one with the columns file_name and text, one row a picture."
        )
    if len(tables) > 1:
        raise DataError(
            f"{root} has more than one table: {', '.join(str(table.relative_to(root)) for table in tables)}. Keep one."
        )
    try:
        frame = TABLES[tables[0].name](tables[0]) if tables[0].stat().st_size else pd.DataFrame()
    except pd.errors.EmptyDataError:  # blank lines alone
        frame = pd.DataFrame()
    except (ValueError, OSError) as error:  # the errors of the three parsers are all ValueErrors
        raise DataError(f"{tables[0]} cannot be read: {str(error)[:200]}") from error
    if not len(frame):
        raise DataError(
            f"{tables[0]} has no rows; expected one a picture, with file_name and text. Write them, or make the table anew."
        )
    return tables[0].parent, frame


def _check_name(file: Any, row: str) -> None:
    """Refuses what is no file name: anything but a text, and a text that is a list written out."""
    if not isinstance(file, str):
        raise DataError(
            f"{row} has {file!r:.60} ({type(file).__name__}), which is not a file name; expected a text such as '001.jpg'."
        )
    if file.strip().startswith("[") and file.strip().endswith("]"):
        raise DataError(
            f"{row} has the text {file[:60]!r} for a file name. A list of names needs a .jsonl or .parquet; a text is one."
        )


def _warn_of_unlisted(root: Path, listed: set[str]) -> None:
    unlisted = sorted(
        f.relative_to(root).as_posix()
        for f in root.rglob("*")
        if f.suffix.lower() in SUFFIXES and f.relative_to(root).as_posix() not in listed
    )
    if unlisted:
        log.warning(
            "%s: %d pictures have no row in the metadata and are no samples, first %s",
            root,
            len(unlisted),
            unlisted[:3],
        )
