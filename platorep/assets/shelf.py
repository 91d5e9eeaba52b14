"""The cache on disk: whole folders of unpacked members, each with a list of its files' hashes.

    <cache>/downloads/                      archives put there by hand; found by name
    <cache>/assets/<hash>-<members>/        the wanted members of one archive, and .contents.json with their hashes

A folder is filled under a temporary name and renamed into place, so that what is under assets/ is whole, and two
processes that fetch the same asset do no harm.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from platorep.core.errors import AssetError
from platorep.core.files import DAY, sha256_file, slug, write_json
from platorep.core.specs import AssetSpec


CONTENTS = ".contents.json"


@dataclass(frozen=True)
class Origin:
    """What is known of an unpacked asset beside its files.

    Attributes:
        version: which of the asset's `contents` it is; None where it has none.
        taken: the way it came, in words; "" for what earlier versions of the program fetched.
    """

    version: str | None = None
    taken: str = ""


def cache_dir() -> Path:
    """Where fetched files are kept: PLATOREP_CACHE, or the user's cache folder."""
    return Path(os.environ.get("PLATOREP_CACHE") or platformdirs.user_cache_dir("platorep"))


def downloads_dir() -> Path:
    """Where archives may be put by hand."""
    return cache_dir() / "downloads"


def folder_of(asset: AssetSpec, digest: str) -> Path:
    """Where an asset's members belong: `digest` is the archive's SHA-256, or the hash of another accepted version."""
    members = hashlib.sha256("\n".join(asset.members).encode()).hexdigest()[:8]
    name = slug(asset.id.partition("=")[0].rpartition("/")[2])
    return cache_dir() / "assets" / f"{name}-{digest[:16]}-{members}"


def cached(asset: AssetSpec) -> Path | None:
    """The folder of an archive's members, if it is in the cache; its own version before other accepted ones."""
    digests = [asset.sha256, *list(asset.contents.values())[1:]]
    for digest in filter(None, digests):
        if (folder := folder_of(asset, digest)).is_dir():
            return folder
    return None


def origin(folder: Path) -> Origin:
    """Version and way of an unpacked asset; of any other folder an empty `Origin`."""
    try:
        known = json.loads((folder / CONTENTS).read_text(encoding="utf-8"))
        return Origin(known.get("version"), known.get("taken", ""))
    except (OSError, ValueError):
        return Origin()


def settle(asset: AssetSpec, fresh: Path, names: Sequence[str], final: Path, came: Origin) -> None:
    """Notes what a fresh folder holds and how it came, and puts it into its place."""
    files = {name: {"bytes": (fresh / name).stat().st_size, "sha256": sha256_file(fresh / name)} for name in names}
    known = {"asset": asset.to_dict(), "version": came.version, "taken": came.taken, "files": files}
    write_json(fresh / CONTENTS, known)
    final.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.rename(fresh, final)
    except OSError:
        if not final.is_dir():  # else another process was faster, with the same bytes
            raise


def check_contents(folder: Path) -> None:
    """Refuses an unpacked asset whose files are not those that were unpacked.

    Raises:
        AssetError: a file is missing, cut or changed; names it.
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
    """Refuses a file whose SHA-256 is not the expected one."""
    if got != expected:
        raise AssetError(f"{path} has SHA-256 {got}, expected {expected}. {help_text}")


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder of our own in the cache, removed at the end; those that kills left behind a day ago go too."""
    root = cache_dir()
    root.mkdir(parents=True, exist_ok=True)
    for old in root.glob(".tmp-*"):
        if time.time() - old.stat().st_mtime > DAY:
            shutil.rmtree(old, ignore_errors=True)
    folder = root / f".tmp-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
