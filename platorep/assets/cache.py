"""`fetch`: an asset's files on this machine, checked against their SHA-256.

An archive that is not in the cache is fetched from the first available source (`platorep.assets.ladder`), checked and
unpacked. Every later fetch checks the unpacked files against the hashes recorded at that time.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from platorep.assets import hub
from platorep.assets.download import archive_pattern
from platorep.assets.ladder import Rung, rungs
from platorep.assets.shelf import (
    Origin,
    cache_dir,
    cached,
    check_contents,
    check_hash,
    downloads_dir,
    folder_of,
    origin,
    settle,
)
from platorep.assets.unpack import ARCHIVES, unpack
from platorep.core.disk import disk_errors_of_the_system
from platorep.core.errors import AssetError, SpecError
from platorep.core.files import sha256_file, temporary_folder
from platorep.core.specs import AssetSpec


log = logging.getLogger(__name__)

Report = Callable[[int, int | None, str], None]
"""`report(done, total, what)`: megabytes fetched, their total if known, and the current step."""

SEPARATORS = {"wheel": "==", "sdist": "==", "deb": "="}
"""Separator of name and version in the id of an asset, by source."""


@contextmanager
def _workspace() -> Iterator[Path]:
    """A temporary folder in the cache; what its disk refuses is said in a sentence."""
    root = cache_dir()
    with disk_errors_of_the_system(root), temporary_folder(root) as folder:
        yield folder


def content_hash(path: Path, *, leave_out: Collection[Path] = ()) -> str:
    """SHA-256 of a file's bytes; of a folder, SHA-256 over the sorted relative names and hashes of its files.

    Names are hashed as bytes and need not be UTF-8. Hidden files and folders, and those in `leave_out`, are ignored.
    Cost: reads every byte.
    """
    if path.is_file():
        return sha256_file(path)
    files = sorted(_visible_files(path), key=lambda f: f.relative_to(path).as_posix())
    files = [f for f in files if not any(f.is_relative_to(folder) for folder in leave_out)]
    digest = hashlib.sha256()
    with ThreadPoolExecutor(4) as pool:
        for file, file_hash in zip(files, pool.map(sha256_file, files), strict=True):
            digest.update(f"{file_hash}  {file.relative_to(path).as_posix()}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def fetch(asset: AssetSpec, *, progress: Report | None = None, digest: Callable[[Path], str] = content_hash) -> Path:
    """Returns the asset's files on this machine, after downloading them if necessary.

    Args:
        asset: what to fetch. Wheels, source archives, Debian packages and addresses must have a SHA-256.
        progress: called during downloads.
        digest: computes the hash of an unpacked folder, for comparison with the asset's `contents`.

    Returns:
        A folder that contains the members under their names in the archive or repository. For a local path, the file
        or folder itself, unless it is an archive and members are requested.

    Raises:
        AssetError: the asset cannot be fetched, its SHA-256 is wrong, or files in the cache have changed.
        SpecError: a wheel, source archive or Debian package without SHA-256 or version.
    """
    if asset.source == "hub":
        return _fetch_hub(asset)
    if asset.source == "path":
        path = _local(asset)
        if asset.sha256 is not None:
            check_hash(path, content_hash(path), asset.sha256, "Restore it, or set sha256 to what it is now.")
        return (
            _unpacked_path(asset, path) if path.is_file() and path.name.endswith(ARCHIVES) and asset.members else path
        )
    if asset.source == "parts":
        return _joined(asset, progress)
    separator = SEPARATORS.get(asset.source)
    if separator is not None and separator not in asset.id:
        raise SpecError(
            f"asset {asset.id!r} names no version; expected NAME{separator}VERSION for source={asset.source}."
        )
    if (folder := cached(asset)) is not None:
        check_contents(folder)
        return folder
    return _climb(asset, progress or (lambda done, total, what: None), digest)


def derived(name: str, make: Callable[[Path], object]) -> Path:
    """A cached folder of files computed from an asset; created once and checked at every use.

    The files are written to a temporary folder, which is then renamed, so a killed process leaves no partial folder.
    The folder is created again if its files have changed, or if an earlier version stored it without hashes.

    Args:
        name: path below the cache; it must identify everything that the files depend on.
        make: called with a new empty folder, which it fills.

    Raises:
        DiskError: the cache cannot be written.

    Cost: reads every byte, SHA-256.
    """
    final = cache_dir() / name
    if final.is_dir():
        try:
            check_contents(final)
            return final
        except AssetError as error:
            log.warning("%s It is created again.", str(error).partition(" Remove ")[0])
    with _workspace() as temporary:
        fresh = temporary / "fresh"
        fresh.mkdir()
        make(fresh)
        names = sorted(path.relative_to(fresh).as_posix() for path in fresh.rglob("*") if path.is_file())
        if final.is_dir():
            os.rename(final, temporary / "stale")
        settle(None, fresh, names, final, Origin(taken="computed"))
    return final


def resolve(asset: AssetSpec) -> AssetSpec:
    """Pins an asset to its content: a path by its SHA-256, a Hub repository by its commit; archives are pinned.

    Raises:
        AssetError: the path does not exist, or the Hub does not know the revision.
    """
    if asset.source == "path" and asset.sha256 is None:
        return asset.replace(sha256=content_hash(_local(asset)))
    if asset.source == "hub":
        repo, _, revision = asset.id.partition("@")
        return asset.replace(id=f"{repo}@{hub.resolve_revision(repo, revision or None)}")
    return asset


def survey(asset: AssetSpec) -> str:
    """Describes the source that `fetch` would use for a packaged asset, without fetching it.

    Raises:
        AssetError: no source is available on this machine; the message gives the reasons.
    """
    if asset.source == "parts":
        ways = dict.fromkeys(survey(part) for part in asset.parts) if cached(asset) is None else ["in the cache"]
        return "; ".join(ways)
    if (folder := cached(asset)) is not None:
        version = origin(folder).version
        return f"in the cache{f' (version {version})' if version else ''}"
    closed = []
    for rung in rungs(asset, downloads_dir()):
        try:
            return f"{rung.name}: {rung.look()}"
        except AssetError as error:
            closed.append(f"{rung.name}: {error}")
    raise AssetError("; ".join(closed))


# archives -------------------------------------------------------------------------------------------------------------


def _report_download(report: Report, asset: AssetSpec, folder: Path) -> None:
    report(_megabytes(folder), None, f"downloading {asset.id}")


def _climb(asset: AssetSpec, report: Report, digest: Callable[[Path], str]) -> Path:
    """Fetches an archive from the first source that provides the pinned content; returns the folder of its members."""
    closed: list[str] = []
    for rung in rungs(asset, downloads_dir()):
        try:
            with _workspace() as temporary:
                archive = rung.bring(temporary, partial(_report_download, report, asset, temporary))
                report(archive.stat().st_size // 10**6, archive.stat().st_size // 10**6, f"unpacking {asset.id}")
                folder, version = _admit(asset, rung, archive, temporary, digest)
        except AssetError as error:
            closed.append(f"{rung.name}: {error}")
            continue
        pinned = next(iter(asset.contents), None)
        why = [f"it has no {pinned}"] * (version != pinned) + closed
        log.info(
            "%s is taken from %s (%s)%s",
            asset.id.partition("=")[0] + (f" {version}" if version else ""),
            rung.name,
            archive.name,
            f", because {'; '.join(why)}" if why else "",
        )
        return folder
    raise AssetError(
        f"{asset.id} could not be fetched: {'; '.join(closed)}.\nCheck the connection. Or download "
        f"{archive_pattern(asset.source, asset.id)} by hand and put it into {downloads_dir()}; "
        "it is found there by its name and checked against its SHA-256."
    )


def _admit(
    asset: AssetSpec, rung: Rung, archive: Path, temporary: Path, digest: Callable[[Path], str]
) -> tuple[Path, str | None]:
    """Checks an archive, unpacks it and puts it into the cache; returns the folder and its version."""
    sha256 = sha256_file(archive)
    if rung.asset.sha256 is None or asset.sha256 is None:
        raise SpecError(
            f"asset {rung.asset.id!r} has no sha256. The file that was fetched has {sha256}: if you trust it, write "
            "that into the asset."
        )
    if sha256 != rung.asset.sha256 and (rung.asset.source == "url" or not asset.contents):
        where = "" if temporary in archive.parents else f" It lies at {archive}: replace or remove it."
        check_hash(
            Path(archive.name),
            sha256,
            rung.asset.sha256,
            "It is another file than the pinned one: rebuilt upstream, damaged on the way, or tampered with; nothing "
            f"was unpacked.{where}",
        )
    fresh = temporary / "unpacked"
    names = unpack(archive, rung.asset.members, fresh)
    version = None
    if asset.contents:
        hashes = {known: name for name, known in asset.contents.items()}
        if sha256 == asset.sha256:
            version = next(iter(asset.contents))
        elif (got := digest(fresh)) in hashes:
            version = hashes[got]
        else:
            raise AssetError(f"{archive.name} holds something else ({got[:12]}) than {' or '.join(asset.contents)}")
    is_pinned = version is None or version == next(iter(asset.contents))
    final = folder_of(asset, asset.sha256 if is_pinned else asset.contents[str(version)])
    settle(rung.asset, fresh, names, final, Origin(version, rung.name))
    return final, version


def _unpacked_path(asset: AssetSpec, path: Path) -> Path:
    """The folder of the members of a local archive."""
    final = folder_of(asset, asset.sha256 or sha256_file(path))
    if final.is_dir():
        check_contents(final)
        return final
    with _workspace() as temporary:
        fresh = temporary / "unpacked"
        settle(asset, fresh, unpack(path, asset.members, fresh), final, Origin(taken=str(path)))
    return final


def _joined(asset: AssetSpec, progress: Report | None) -> Path:
    """The folder of a file that is joined from the single members of its parts."""
    if asset.sha256 is None or not asset.parts or any(len(part.members) != 1 for part in asset.parts):
        raise SpecError(
            f"asset {asset.id!r}: source=parts needs a sha256 of the joined file, and parts with one member each."
        )
    final = folder_of(asset, asset.sha256)
    if final.is_dir():
        check_contents(final)
        return final
    with _workspace() as temporary:
        fresh = temporary / "unpacked"
        fresh.mkdir()
        with open(fresh / asset.id, "wb") as whole:
            for part in asset.parts:
                with open(fetch(part, progress=progress) / part.members[0], "rb") as piece:
                    shutil.copyfileobj(piece, whole)
        check_hash(
            Path(asset.id),
            sha256_file(fresh / asset.id),
            asset.sha256,
            "The parts are not those of the pinned file, or not in order.",
        )
        settle(asset, fresh, [asset.id], final, Origin(taken="its parts"))
    return final


# files ----------------------------------------------------------------------------------------------------------------


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
                f"asset {asset.id!r}: sha256 of a Hub repository needs exactly one member, its file; got "
                f"{len(asset.members)}."
            )
        file = folder / asset.members[0]
        check_hash(file, sha256_file(file), asset.sha256, "The repository's file is another; check the revision.")
    return folder


def _megabytes(folder: Path) -> int:
    """Size of a folder that another process writes to; files may appear and disappear meanwhile."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                total += os.stat(os.path.join(parent, name)).st_size
    return total // 10**6
