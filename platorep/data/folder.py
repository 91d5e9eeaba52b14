"""A folder of pictures or sounds with a table of captions, following the Hub's conventions for such folders.

cats/metadata.csv        file_name,text        or metadata.jsonl, metadata.parquet
cats/001.jpg             or cats/train/metadata.csv and cats/train/001.jpg

Several pictures of one object: {"file_names": ["001.jpg", "002.jpg"], "text": "a cat"} in a .jsonl or .parquet. The
suffixes of the files say whether they are pictures or sounds. Sounds beside pictures are in a column of their own,
which columns.sound names.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path, PureWindowsPath
from typing import Any

from platorep.assets import content_hash
from platorep.core.errors import DataError, SpecError, unknown_name
from platorep.core.specs import DatasetSpec
from platorep.core.text import visible
from platorep.data.pair import WORDS, Pair, Report, check_switches, column_of, labelled, pin, several
from platorep.data.pictures import OPTION, SUFFIXES, pixel_limit, read_picture
from platorep.data.sounds import SUFFIXES as SOUND_SUFFIXES
from platorep.data.sounds import read_sound
from platorep.data.tables import Table, read_table


log = logging.getLogger(__name__)

TABLES = ("metadata.csv", "metadata.jsonl", "metadata.parquet")


def pairs(spec: DatasetSpec, progress: Report | None = None) -> tuple[DatasetSpec, Sequence[Pair]]:
    """All rows of the folder's metadata table, in the order of the table.

    The id of a pair is the name of its first file below the folder. Captions are a text or, in .jsonl and .parquet, a
    list of texts, and so are the pictures or sounds in the column `file_name` or `file_names`, which are sounds if the
    first of them ends as sounds do, and the sounds in the column `columns.sound`. The revision is the content hash of
    the folder, so changed files or captions are never combined with old features. `options.max_pixels` is the largest
    size of a picture.
    """
    check_switches(spec, options=[OPTION], columns=WORDS)
    if not spec.id:
        raise SpecError(f"dataset {spec.name!r} (source=folder) has no folder: set dataset.id=/path/to/the/folder.")
    root = Path(spec.id).expanduser()
    if not root.is_dir():
        raise DataError(
            f"{root} is not a folder; relative paths start at {Path.cwd()}. Set dataset.id to the folder with the "
            "pictures."
        )
    root, table = _table(spec, root)
    rows, listed = _pairs(spec, root, table)
    try:
        revision = content_hash(root, leave_out=_outputs(root, listed))[:40]
    except OSError as error:
        raise DataError(f"{visible(str(error.filename))} cannot be read: {error.strerror}.") from error
    return pin(spec, revision, "The folder changed: leave dataset.revision open to use it as it is."), rows


def _pairs(spec: DatasetSpec, root: Path, table: Table) -> tuple[list[Pair], set[str]]:
    """The pairs of the table, and the files that it lists."""
    files_column, text, category, name = _columns(spec, root, table)
    column: str | None = files_column
    sound = column_of(spec, "sound", table.names, files_column) if "sound" in spec.columns else None
    if sound == column or (sound is None and _holds_sounds(table.cells(files_column))):
        column, sound = None, files_column
    read = partial(read_picture, max_pixels=pixel_limit(spec.options))
    labels = table.cells(category) if category else [None] * table.rows
    texts, names = table.cells(text), None if name in (column, sound) else table.cells(name)
    rows, listed = [], set[Any]()
    for i in range(table.rows):
        row = f"row {i + 1}"
        pictures, sounds = (_files(root, table.cells(one)[i], row) if one else None for one in (column, sound))
        files = [*(pictures or []), *(sounds or [])]
        listed.update(Path(file).as_posix() for file in files)
        name_cell = names[i] if names else (files or [row])[0]
        rows.append(
            labelled(
                row,
                name_cell,
                labels[i],
                several(texts[i]),
                None if pictures is None else [partial(read, root / file) for file in pictures],
                "category" in spec.columns,
                None if sounds is None else [partial(read_sound, root / file) for file in sounds],
            )
        )
    _warn_of_unlisted(root, listed, SUFFIXES if column else SOUND_SUFFIXES)
    return rows, listed


def _files(root: Path, cell: Any, row: str) -> list[str]:
    return [_file(root, file, f"{root}: {row} of the metadata") for file in several(cell) if file != ""]


def _holds_sounds(cells: Sequence[Any]) -> bool:
    """Whether the first file of a column ends as sounds do; files of another kind are then bad samples."""
    first = next((file for cell in cells for file in several(cell) if isinstance(file, str) and file), "")
    return first.lower().endswith(SOUND_SUFFIXES)


def _columns(spec: DatasetSpec, root: Path, table: Table) -> tuple[str, str, str | None, str]:
    """The columns of files, captions, categories (if any) and ids."""
    if {"file_name", "file_names"} <= {*table.names} and "image" not in spec.columns:
        raise DataError(
            f"{root}: the metadata has both file_name and file_names. Remove one column, or set columns.image."
        )
    image = column_of(spec, "image", table.names, "file_names" if "file_names" in table.names else "file_name")
    text = column_of(spec, "text", table.names, "text")
    wanted = "category" in (*spec.columns, *table.names)
    category = column_of(spec, "category", table.names, "category") if wanted else None
    return image, text, category, column_of(spec, "id", table.names, image)


def _table(spec: DatasetSpec, root: Path) -> tuple[Path, Table]:
    """The folder of the metadata table (the given folder, or that of the split) and the table."""
    places = [root, root / spec.split]
    paths = [place / name for place in places for name in TABLES if (place / name).is_file()]
    if not paths:
        splits = [
            visible(child.name)
            for child in root.iterdir()
            if child.is_dir() and any((child / name).is_file() for name in TABLES)
        ]
        if splits:
            raise unknown_name(f"split of folder {root}", spec.split, splits)
        raise DataError(
            f"{root} has no {', '.join(TABLES)}. Add one with the columns file_name and text, one row per picture."
        )
    if len(paths) > 1:
        raise DataError(
            f"{root} has more than one table: {', '.join(str(path.relative_to(root)) for path in paths)}. Keep one."
        )
    table = read_table(paths[0])
    if not table.rows:
        raise DataError(
            f"{paths[0]} has no rows; expected one per picture, with file_name and text. Write them, or create the "
            "table again."
        )
    return paths[0].parent, table


def _file(root: Path, file: Any, row: str) -> str:
    """The file name in a cell, with the separators of this system.

    Raises:
        DataError: the cell is not text, is a list written as text, or leads out of the folder.
    """
    if not isinstance(file, str):
        raise DataError(
            f"{row} has {file!r:.60} ({type(file).__name__}), which is not a file name; expected a text such as "
            "'001.jpg'."
        )
    if file.strip().startswith("[") and file.strip().endswith("]"):
        raise DataError(
            f"{row} has the text {file[:60]!r} for a file name. A list of names needs a .jsonl or .parquet; a text is "
            "one."
        )
    windows = PureWindowsPath(file)
    elsewhere = False
    if ("\\" in file or windows.drive) and not _exists(root / file):
        file, elsewhere = windows.as_posix(), bool(windows.drive)  # written on Windows
    if elsewhere or _outside(root, file):
        raise DataError(f"{row} names {file!r}, which lies outside the folder. File names must be relative to it.")
    return file


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def _outside(root: Path, file: str) -> bool:
    """Whether the name leads out of the folder; False if such a file cannot exist, as reading it gives the reason."""
    try:
        return not (root / file).resolve().is_relative_to(root.resolve())
    except (OSError, ValueError, RuntimeError):  # the name is too long, has a zero byte, or is a link to itself
        return False


def _warn_of_unlisted(root: Path, listed: set[str], suffixes: Sequence[str]) -> None:
    unlisted = sorted(
        f.relative_to(root).as_posix()
        for f in root.rglob("*")
        if f.suffix.lower() in suffixes and f.relative_to(root).as_posix() not in listed
    )
    if unlisted:
        log.warning(
            "%s: %d %s have no row in the metadata and are not samples, first %s",
            visible(str(root)),
            len(unlisted),
            "pictures" if suffixes is SUFFIXES else "sounds",
            unlisted[:3],
        )


def _outputs(root: Path, listed: set[str]) -> list[Path]:
    """Output folders of this program, such as with dataset.id=., which would change the revision in every run."""
    marks = ("features/*--*/samples.json", "runs/*/*/.hydra", "runs/*/*/*/.hydra")
    folders = {path for mark in marks for path in root.glob(f"*/{mark}")}
    outputs = sorted({root / path.relative_to(root).parts[0] for path in folders})
    return [path for path in outputs if not any(file.startswith(f"{path.name}/") for file in listed)]
