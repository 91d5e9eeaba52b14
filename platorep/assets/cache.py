"""`fetch`: an asset's files on this machine, checked against their SHA-256.

    <cache>/downloads/                      wheels and Debian packages put there by hand; found by name
    <cache>/assets/<sha256>-<members>/      the wanted members of one archive, and .contents.json with their hashes

An archive is downloaded to a temporary folder, checked, unpacked beside it and renamed into place, so that a folder
under assets/ is whole, and two processes that fetch the same asset do no harm. Every later fetch checks the unpacked
files against .contents.json before it hands them out.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import platformdirs

from platorep.assets import hub
from platorep.assets.download import archive_pattern, download_deb, download_wheel
from platorep.assets.unpack import ARCHIVES, unpack
from platorep.core.disk import disk_errors_of_the_system
from platorep.core.errors import AssetError, SpecError
from platorep.core.files import sha256_file, slug, temporary_folder, write_json
from platorep.core.specs import AssetSpec


Report = Callable[[int, int | None, str], None]
"""`report(done, total, what)`: megabytes brought so far, of how many where that is known, and what is being done."""

log = logging.getLogger(__name__)

CONTENTS = ".contents.json"


def cache_dir() -> Path:
    """Where fetched files are kept: PLATOREP_CACHE, or the user's cache folder."""
    return Path(os.environ.get("PLATOREP_CACHE") or platformdirs.user_cache_dir("platorep"))


def fetch(asset: AssetSpec, *, progress: Report | None = None) -> Path:
    """The asset's files on this machine, downloaded if they are not here yet.

    Args:
        asset: what to fetch. Wheels and Debian packages must have a SHA-256.
        progress: told of megabytes while they come.

    Returns:
        A folder in which the members lie under the names that they have in the archive or repository; for a local
        path, that file or folder itself, unless it is an archive of which members are asked for.

    Raises:
        AssetError: it cannot be fetched, or its SHA-256 is not the pinned one, or files in the cache have changed.
        SpecError: a wheel or Debian package without SHA-256 or version.
    """
    if asset.source == "hub":
        return _fetch_hub(asset)
    if asset.source == "path":
        path = _local(asset)
        if asset.sha256 is not None:
            _check(path, content_hash(path), asset.sha256, "Restore it, or set sha256 to what it is now.")
        if not (path.is_file() and path.suffix in ARCHIVES and asset.members):
            return path
        return _unpacked(asset, asset.sha256 or sha256_file(path), lambda temporary, report: path, progress)
    if asset.source == "parts":
        return _joined(asset, progress)
    separator = "==" if asset.source == "wheel" else "="
    if separator not in asset.id:
        raise SpecError(
            f"asset {asset.id!r} names no version; expected NAME{separator}VERSION for source={asset.source}."
        )
    return _unpacked(asset, asset.sha256, lambda temporary, report: _download(asset, temporary, report), progress)


def cached(asset: AssetSpec) -> Path | None:
    """The folder of an archive's unpacked members, if it is in the cache."""
    folder = _folder(asset, asset.sha256) if asset.sha256 else None
    return folder if folder is not None and folder.is_dir() else None


def derived(name: str, make: Callable[[Path], object]) -> Path:
    """A folder of files that were computed from an asset, in the cache under `name`; made once, and checked at every use.

    Made in a temporary folder and renamed, so that a kill leaves no part of it. One whose files have changed, or of an
    earlier version that noted no hashes, is made again.

    Args:
        name: path below the cache, which must name everything that the files depend on.
        make: called with a new empty folder, to fill.

    Raises:
        DiskError: the cache cannot be written.

    Cost: reads every byte, SHA-256.
    """
    final = cache_dir() / name
    if final.is_dir():
        try:
            _check_contents(final)
            return final
        except AssetError as error:
            log.warning("%s It is made again.", str(error).partition(" Remove ")[0])
    with _temporary_folder() as temporary:
        fresh = temporary / "fresh"
        fresh.mkdir()
        make(fresh)
        names = sorted(path.relative_to(fresh).as_posix() for path in fresh.rglob("*") if path.is_file())
        if final.is_dir():
            os.rename(final, temporary / "stale")
        _settle(fresh, names, final)
    return final


def resolve(asset: AssetSpec) -> AssetSpec:
    """The asset pinned to its content: a path gets its SHA-256, a Hub repository its commit; archives are pinned already.

    Raises:
        AssetError: the path does not exist, or the Hub does not know the revision.
    """
    if asset.source == "path" and asset.sha256 is None:
        return asset.replace(sha256=content_hash(_local(asset)))
    if asset.source == "hub":
        repo, _, revision = asset.id.partition("@")
        return asset.replace(id=f"{repo}@{hub.resolve_revision(repo, revision or None)}")
    return asset


def content_hash(path: Path) -> str:
    """SHA-256 of a file's bytes; of a folder, SHA-256 over the sorted relative names and hashes of its files.

    Hidden files and folders are left out: they do not belong to the data. Cost: reads every byte.
    """
    if path.is_file():
        return sha256_file(path)
    files = sorted(_visible_files(path), key=lambda f: f.relative_to(path).as_posix())
    digest = hashlib.sha256()
    with ThreadPoolExecutor(4) as pool:
        for file, one in zip(files, pool.map(sha256_file, files), strict=True):
            digest.update(f"{one}  {file.relative_to(path).as_posix()}\n".encode())
    return digest.hexdigest()


def _visible_files(path: Path) -> Iterator[Path]:
    return (
        f
        for f in path.rglob("*")
        if f.is_file() and not any(part.startswith(".") for part in f.relative_to(path).parts)
    )


def _local(asset: AssetSpec) -> Path:
    path = Path(asset.id).expanduser()
    if not path.exists():
        raise AssetError(
            f"{path} does not exist (source=path). Check the spelling; relative paths start at {Path.cwd()}."
        )
    return path


def _fetch_hub(asset: AssetSpec) -> Path:
    repo, _, revision = asset.id.partition("@")
    folder = hub.snapshot(repo, hub.resolve_revision(repo, revision or None), asset.members)
    if asset.sha256 is not None:
        if len(asset.members) != 1:
            raise SpecError(
                f"asset {asset.id!r}: sha256 of a Hub repository needs exactly one member, its file; got {len(asset.members)}."
            )
        file = folder / asset.members[0]
        _check(file, sha256_file(file), asset.sha256, "The repository's file is another; check the revision.")
    return folder


def _check(path: Path, got: str, expected: str, help_text: str) -> None:
    if got != expected:
        raise AssetError(f"{path} has SHA-256 {got}, expected {expected}. {help_text}")


def _download(asset: AssetSpec, temporary: Path, report: Report) -> Path:
    """The archive: one put into downloads/ by hand, or a fresh download in `temporary`."""
    downloads = cache_dir() / "downloads"
    if found := sorted(downloads.glob(archive_pattern(asset.source, asset.id))):
        return found[0]

    def watch() -> None:
        report(_bytes_below(temporary) // 10**6, None, f"downloading {asset.id}")

    download = download_wheel if asset.source == "wheel" else download_deb
    return download(asset.id, temporary, watch)


def _bytes_below(folder: Path) -> int:
    """Size of what lies in a folder to which another process writes: files may come and go while it is counted."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                total += os.stat(os.path.join(parent, name)).st_size
    return total


def _unpacked(
    asset: AssetSpec, sha256: str | None, archive: Callable[[Path, Report], Path], progress: Report | None
) -> Path:
    """The folder of an archive's members in the cache, made if need be."""
    report = progress or (lambda done, total, what: None)
    final = _folder(asset, sha256) if sha256 else None
    if final is not None and final.is_dir():
        _check_contents(final)
        return final
    with _temporary_folder() as temporary:
        path = archive(temporary, report)
        got = sha256_file(path)
        if sha256 is None or final is None:
            raise SpecError(
                f"asset {asset.id!r} has no sha256. The file that was fetched has {got}: if you trust it, write that into the asset."
            )
        where = "" if temporary in path.parents else f" It lies at {path}: replace or remove it."
        _check(
            Path(path.name),
            got,
            sha256,
            f"It is another file than the pinned one: rebuilt upstream, damaged on the way, or tampered with; nothing was unpacked.{where}",
        )
        report(path.stat().st_size // 10**6, path.stat().st_size // 10**6, f"unpacking {asset.id}")
        fresh = temporary / "unpacked"
        names = unpack(path, asset.members, fresh)
        _settle(fresh, names, final, asset)
    return final


def _joined(asset: AssetSpec, progress: Report | None) -> Path:
    """The folder of a file that comes in pieces, each the one member of a part."""
    if asset.sha256 is None or not asset.parts or any(len(part.members) != 1 for part in asset.parts):
        raise SpecError(
            f"asset {asset.id!r}: source=parts needs a sha256 of the joined file, and parts with one member each."
        )
    final = _folder(asset, asset.sha256)
    if final.is_dir():
        _check_contents(final)
        return final
    with _temporary_folder() as temporary:
        fresh = temporary / "unpacked"
        fresh.mkdir()
        with open(fresh / asset.id, "wb") as whole:
            for part in asset.parts:
                with open(fetch(part, progress=progress) / part.members[0], "rb") as piece:
                    shutil.copyfileobj(piece, whole)
        _check(
            Path(asset.id),
            sha256_file(fresh / asset.id),
            asset.sha256,
            "The parts are not those of the pinned file, or not in order.",
        )
        _settle(fresh, [asset.id], final, asset)
    return final


def _settle(fresh: Path, names: Sequence[str], final: Path, asset: AssetSpec | None = None) -> None:
    """Notes what a fresh folder holds, and puts it into its place."""
    files = {name: {"bytes": (fresh / name).stat().st_size, "sha256": sha256_file(fresh / name)} for name in names}
    write_json(fresh / CONTENTS, {"asset": None if asset is None else asset.to_dict(), "files": files})
    final.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.rename(fresh, final)
    except OSError:
        if not final.is_dir():  # else another process was faster, with the same bytes
            raise


def _folder(asset: AssetSpec, sha256: str) -> Path:
    members = hashlib.sha256("\n".join(asset.members).encode()).hexdigest()[:8]
    name = slug(asset.id.partition("=")[0].rpartition("/")[2])
    return cache_dir() / "assets" / f"{name}-{sha256[:16]}-{members}"


def _check_contents(folder: Path) -> None:
    """Refuses an unpacked asset whose files are not those that were unpacked."""
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
        _check(file, sha256_file(file), expected["sha256"], f"It changed in the cache. {mend}")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(check, files))


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    """A folder of our own in the cache, removed at the end; what killed processes left there goes too."""
    root = cache_dir()
    with disk_errors_of_the_system(root), temporary_folder(root) as folder:
        yield folder
