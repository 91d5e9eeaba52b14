"""Files that are written atomically and carry checksums of their content."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from platorep.core.disk import disk_errors
from platorep.core.errors import StoreError
from platorep.core.temporary import remove_temporary, temporary_folder


if TYPE_CHECKING:
    import pyarrow

__all__ = [
    "link_latest",
    "read_json",
    "read_parquet",
    "read_record",
    "remove_temporary",
    "sha256_file",
    "slug",
    "table_facts",
    "temporary_folder",
    "write_atomically",
    "write_json",
    "write_parquet",
    "write_record",
]

CHECKSUM = "checksum"
"""Field of a JSON record that holds the hash of all other fields."""

_FACTS, _CODE = b"platorep", b"platorep.checksum"
"""Keys of a parquet file's metadata: the facts given to `write_parquet`, and the hash of the facts and all values."""

_LONGEST = 80
"""Characters of a slug: two slugs, a metric and a key fit into a file name."""


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Calls `write` with a path of the same name in a temporary folder beside `path`, then renames the file to `path`.

    A reader sees the old file, the new file or none, never a part of one. Of two concurrent writers, one wins.
    Leftovers of a killed process are removed when the folder is next written to (`temporary_folder`).

    Raises:
        DiskError: the disk is full or read-only, a permission is missing, or a file stands where a folder is needed.
    """
    with disk_errors(path), temporary_folder(path.parent) as folder:
        fresh = folder / path.name
        write(fresh)
        with open(fresh, "rb") as handle:
            os.fsync(handle.fileno())
        os.replace(fresh, path)


def link_latest(target: Path, link: Path) -> None:
    """Atomically creates or replaces the relative symbolic link `link` to `target` in the same folder.

    Does nothing on file systems without symbolic links.
    """
    with suppress(OSError), temporary_folder(link.parent) as folder:
        os.symlink(target.name, folder / link.name)
        os.replace(folder / link.name, link)


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def slug(name: str) -> str:
    """`name` as one path component: letters, digits, dot, dash and underscore; anything else becomes "-".

    At most 80 characters. Different names may have the same slug; a key in addition distinguishes them.
    """
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name)[:_LONGEST].strip("-.") or "unnamed"


# JSON -----------------------------------------------------------------------------------------------------------------


def write_json(path: Path, value: Any) -> None:
    """Writes indented JSON with a final newline, atomically. NaN and infinity are refused."""
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    write_atomically(path, lambda p: p.write_text(text, encoding="utf-8"))


def read_json(path: Path, kind: type | tuple[type, ...] = dict) -> Any:
    """Reads a JSON file written by this program.

    Args:
        path: the file.
        kind: expected type of the outermost value: dict, list, or both.

    Raises:
        StoreError: the file is missing, unreadable or not JSON, or holds a value of another type.
    """
    try:
        with disk_errors(path):
            value = json.loads(path.read_bytes())
    except StoreError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise StoreError(f"{path} is missing. Run `platorep extract` first.") from None
        raise
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise damaged(path, str(error) or "nested too deeply") from None
    if not isinstance(value, kind):
        kinds = " or ".join(expected.__name__ for expected in (kind if isinstance(kind, tuple) else (kind,)))
        raise damaged(path, f"it holds a {type(value).__name__}, expected a {kinds}")
    return value


def write_record(path: Path, value: Mapping[str, Any]) -> None:
    """Writes a JSON object together with its checksum."""
    write_json(path, {**value, CHECKSUM: _json_hash(value)})


def read_record(path: Path, *, checked_since: int | None = None) -> dict[str, Any]:
    """The JSON object that `write_record` wrote, without its checksum.

    Args:
        path: the file.
        checked_since: lowest value of the field `schema` that requires a checksum; earlier files have none.

    Raises:
        StoreError: as for `read_json`, or the file was changed after it was written.
    """
    value = read_json(path)
    stated, schema = value.pop(CHECKSUM, None), value.get("schema")
    needed = checked_since is not None and isinstance(schema, int) and schema >= checked_since
    if (stated is not None or needed) and stated != _json_hash(value):
        raise damaged(path, "its contents do not match its checksum: it was changed after it was written")
    return value


def damaged(path: Path, why: str) -> StoreError:
    """The error for a damaged file under `features/`."""
    return StoreError(f"{path} is damaged ({why}).", "`platorep store repair` removes it; it is then created again.")


def _json_hash(value: Mapping[str, Any]) -> str:
    """Hash of a JSON value, independent of the order of keys and the layout."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


# parquet --------------------------------------------------------------------------------------------------------------


def write_parquet(path: Path, table: pyarrow.Table, facts: Mapping[str, Any] | None = None) -> None:
    """Writes a table atomically, with a checksum per page and one over all values.

    Args:
        path: the file.
        table: the table to write.
        facts: stored as JSON in the file's metadata, for example the inputs of the values; `table_facts` returns them.
    """
    from pyarrow import parquet

    code = _table_hash(table, facts or {})
    stated = {_FACTS: json.dumps(dict(facts or {})), _CODE: code}
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), **stated})
    write_atomically(path, lambda p: parquet.write_table(table, p, compression="zstd", write_page_checksum=True))


def read_parquet(path: Path) -> pyarrow.Table:
    """Reads a table written by this program and verifies the checksums of its pages and values.

    Raises:
        FileNotFoundError: there is no such file.
        StoreError: the file is truncated or was changed.
    """
    import pyarrow
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path, page_checksum_verification=True) as file:
            table = file.read()
            if b"ARROW:schema" not in (file.metadata.metadata or {}):  # present in every table that this program writes
                raise ValueError("its metadata are lost")
        facts, code = table_facts(table), (table.schema.metadata or {}).get(_CODE)
    except FileNotFoundError:
        raise
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise _changed(path, str(error).splitlines()[0]) from None
    if (code is not None or _FACTS in (table.schema.metadata or {})) and code != _table_hash(table, facts).encode():
        raise _changed(path, "its values do not match its checksum")
    return table


def table_facts(table: pyarrow.Table) -> dict[str, Any]:
    """The facts that `write_parquet` put into a table's metadata; empty for tables of earlier versions."""
    facts = json.loads((table.schema.metadata or {}).get(_FACTS, b"{}"))
    if not isinstance(facts, dict):
        raise ValueError("its metadata are no JSON object")
    return facts


def _changed(path: Path, why: str) -> StoreError:
    remedy = "Remove it and run the command that wrote it again: only what is missing is computed."
    return StoreError(f"{path} is damaged ({why}).", remedy)


def _table_hash(table: pyarrow.Table, facts: Mapping[str, Any]) -> str:
    """Hash of column names, values and facts; a table keeps its hash when written to parquet and read back."""
    import xxhash

    code = xxhash.xxh3_64(json.dumps(facts, sort_keys=True).encode())
    for name, column in zip(table.column_names, table.columns, strict=True):
        code.update(f"{name} {len(column)} ".encode())
        _hash_values(column.combine_chunks(), code)
    return code.hexdigest()


def _hash_values(values: pyarrow.Array, code: Any) -> None:
    from pyarrow import compute, types

    if types.is_list(values.type) or types.is_fixed_size_list(values.type):
        _hash_values(compute.list_value_length(values), code)
        _hash_values(values.flatten(), code)
        return
    if types.is_string(values.type) or types.is_large_string(values.type):
        encoded = values.dictionary_encode(null_encoding="encode")
        code.update(json.dumps(encoded.dictionary.to_pylist()).encode())
        values = encoded.indices
    numbers = values.to_numpy(zero_copy_only=False)
    code.update(json.dumps(values.to_pylist()).encode() if numbers.dtype == object else numbers.tobytes())
