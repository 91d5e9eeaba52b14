"""The cache on disk: whole folders of unpacked members, each with a list of its files' hashes.

    <cache>/downloads/                      archives that the user put there; found by name
    <cache>/assets/<hash>-<members>/        the wanted members of one archive, and .contents.json with their hashes

A folder is written under a temporary name and then renamed, so folders under assets/ are complete, and processes can
fetch the same asset concurrently.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from platorep.core.errors import AssetError
from platorep.core.files import sha256_file, slug, write_json
from platorep.core.specs import AssetSpec


CONTENTS = ".contents.json"


@dataclass(frozen=True)
class Origin:
    """The origin of an unpacked asset.

    Attributes:
        version: its version among the asset's `contents`; None if these are empty.
        taken: description of its source; "" if an earlier version of the program fetched it.
    """

    version: str | None = None
    taken: str = ""


def cache_dir() -> Path:
    """The folder of fetched files: PLATOREP_CACHE, or the user's cache folder."""
    return Path(os.environ.get("PLATOREP_CACHE") or platformdirs.user_cache_dir("platorep"))


def downloads_dir() -> Path:
    """The folder for archives that the user downloads."""
    return cache_dir() / "downloads"


def folder_of(asset: AssetSpec, digest: str) -> Path:
    """The folder of an asset's members; `digest` is the SHA-256 of the archive, or the hash of an accepted version."""
    members = hashlib.sha256("\n".join(asset.members).encode()).hexdigest()[:8]
    name = slug(asset.id.partition("=")[0].rpartition("/")[2])
    return cache_dir() / "assets" / f"{name}-{digest[:16]}-{members}"


def cached(asset: AssetSpec) -> Path | None:
    """The cached folder of an archive's members, if any; the pinned version takes precedence over accepted ones."""
    digests = [asset.sha256, *list(asset.contents.values())[1:]]
    for digest in filter(None, digests):
        if (folder := folder_of(asset, digest)).is_dir():
            return folder
    return None


def origin(folder: Path) -> Origin:
    """Version and source of an unpacked asset; an empty `Origin` for any other folder."""
    try:
        known = json.loads((folder / CONTENTS).read_text(encoding="utf-8"))
        return Origin(known.get("version"), known.get("taken", ""))
    except (OSError, ValueError):
        return Origin()


def settle(asset: AssetSpec | None, fresh: Path, names: Sequence[str], final: Path, came: Origin) -> None:
    """Records the content and origin of a new folder, and moves it into place."""
    files = {name: {"bytes": (fresh / name).stat().st_size, "sha256": sha256_file(fresh / name)} for name in names}
    known = {
        "asset": None if asset is None else asset.to_dict(),
        "version": came.version,
        "taken": came.taken,
        "files": files,
    }
    write_json(fresh / CONTENTS, known)
    final.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.rename(fresh, final)
    except OSError:
        if not final.is_dir():  # otherwise another process has stored the same bytes
            raise


def check_contents(folder: Path) -> None:
    """Raises if the files of an unpacked asset have changed.

    Raises:
        AssetError: a file is missing, truncated or changed.
    """
    mend = f"Remove {folder}; it is fetched again at the next start."
    try:
        files = json.loads((folder / CONTENTS).read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, KeyError) as error:
        raise AssetError(f"{folder / CONTENTS} cannot be read ({error}). {mend}") from error

    def check(name: str) -> None:
        file, expected = folder / name, files[name]
        if not file.is_file():
            raise AssetError(f"{file} is missing from the cache. {mend}")
        if (size := file.stat().st_size) != expected["bytes"]:
            raise AssetError(f"{file} has {size} bytes, expected {expected['bytes']}. {mend}")
        check_hash(file, sha256_file(file), expected["sha256"], f"It changed in the cache. {mend}")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(check, files))


def check_hash(path: Path, got: str, expected: str, help_text: str) -> None:
    """Raises if a file does not have the expected SHA-256."""
    if got != expected:
        raise AssetError(f"{path} has SHA-256 {got}, expected {expected}. {help_text}")
