"""Files that are there whole or not at all: temporary name, flush, rename."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from platorep.core.errors import StoreError


if TYPE_CHECKING:
    import pyarrow

DAY = 24 * 3600
"""Seconds."""


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Calls `write` with a temporary path beside `path`, then renames it to `path`.

    A reader sees the old file, the new one, or none; never a part of one. Two writers racing leave one of the two
    whole. The temporary file is removed when `write` fails; one left by a kill stays until `remove_temporary`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        write(temporary)
        with open(temporary, "rb") as handle:
            os.fsync(handle.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def link_latest(target: Path, link: Path) -> None:
    """Makes `link` a relative symbolic link to `target`, which lies beside it, in one step; an older link is replaced.

    A file system without symbolic links is left without the link.
    """
    temporary = link.with_name(f".{link.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        os.symlink(target.name, temporary)
        os.replace(temporary, link)
    except OSError:
        temporary.unlink(missing_ok=True)


def remove_temporary(folder: Path) -> None:
    """Removes temporary files that kills left in a folder a day ago or earlier: younger ones may be another writer's."""
    for path in folder.glob(".*.tmp"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > DAY:
                path.unlink()


def write_json(path: Path, value: Any) -> None:
    """Writes indented JSON with a final newline, atomically. NaN and infinity are refused."""
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    write_atomically(path, lambda p: p.write_text(text, encoding="utf-8"))


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def slug(name: str) -> str:
    """`name` as one path component: letters, digits, dot, dash and underscore; anything else becomes "-"."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "unnamed"


def read_json(path: Path) -> Any:
    """JSON of a file of ours, or a StoreError that names the file."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StoreError(f"{path} is missing. Run `platorep extract` first.") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise StoreError(f"{path} is damaged ({error}). Remove its folder and extract again.") from None


def write_parquet(path: Path, table: pyarrow.Table) -> None:
    """Writes a table, atomically, with a checksum a page."""
    from pyarrow import parquet

    write_atomically(path, lambda p: parquet.write_table(table, p, compression="zstd", write_page_checksum=True))


def read_parquet(path: Path) -> pyarrow.Table:
    """A table of ours, every page against its checksum.

    Raises:
        FileNotFoundError: there is no such file.
        StoreError: it is cut short or changed; names it.
    """
    import pyarrow
    from pyarrow import parquet

    try:
        return parquet.read_table(path, page_checksum_verification=True)
    except FileNotFoundError:
        raise
    except (pyarrow.ArrowException, OSError) as error:
        raise StoreError(
            f"{path} is damaged ({str(error).splitlines()[0]}). Remove it and run the command that made it again: it makes what is missing."
        ) from None
