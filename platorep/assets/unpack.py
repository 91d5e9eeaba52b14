"""Unpacks the wanted files of archives: only regular files, under their names, inside the target folder."""

from __future__ import annotations

import difflib
import gzip
import lzma
import shutil
import subprocess
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import IO, Any, BinaryIO

from platorep.core.errors import AssetError


AR_MAGIC = b"!<arch>\n"
TARS = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2")
ARCHIVES = (".whl", ".zip", ".deb", *TARS)
"""Suffixes of the files that `unpack` reads."""


def wanted(name: str, members: Sequence[str]) -> bool:
    """Whether a file of an archive matches a member: its name, a parent folder, or a pattern (`*` crosses folders)."""
    return not members or any(
        name == m or name.startswith(m.rstrip("/") + "/") or fnmatchcase(name, m) for m in members
    )


def unpack(archive: Path, members: Sequence[str], into: Path) -> list[str]:
    """Writes the wanted files of an archive below `into`, under their names in the archive.

    Links and devices are left out. Cost: one pass over the archive, constant memory.

    Args:
        archive: a file whose name ends in one of `ARCHIVES`.
        members: names, folders or patterns; empty for everything.
        into: folder to write to.

    Returns:
        The names written, in order.

    Raises:
        AssetError: the file is not an archive of its kind, a name leads out of `into`, or a member does not exist.
    """
    if archive.name.endswith(".deb"):
        files = _deb_files(archive)
    else:
        files = _tar_files(archive) if archive.name.endswith(TARS) else _zip_files(archive)
    written: list[str] = []
    seen: list[str] = []
    try:
        for name, stream in files:
            seen.append(name)
            if wanted(name, members):
                target = into / _safe(name, archive)
                target.parent.mkdir(parents=True, exist_ok=True)
                with open(target, "wb") as out:
                    shutil.copyfileobj(stream, out, 1 << 20)
                written.append(name)
    except (zipfile.BadZipFile, tarfile.TarError, lzma.LZMAError, zlib.error, gzip.BadGzipFile, EOFError) as error:
        kind = next((ending for ending in ARCHIVES if archive.name.endswith(ending)), ".zip")
        raise AssetError(f"{archive} cannot be read as {kind}: {error}. Remove it and fetch it again.") from error
    for member in members:
        if not any(wanted(name, [member]) for name in written):
            near = difflib.get_close_matches(member, seen, n=3, cutoff=0.4) or seen[:3]
            raise AssetError(
                f"{archive.name} has no member {member!r}. Nearest: {', '.join(near) or 'it is empty'}. Fix the "
                "asset's `members`."
            )
    return written


def _safe(name: str, archive: Path) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or not path.parts:
        raise AssetError(
            f"{archive.name} holds a file named {name!r}, which would be written outside its folder. The archive is "
            "not to be trusted."
        )
    return path


def _zip_files(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    with zipfile.ZipFile(archive) as packed:
        for info in packed.infolist():
            is_link = (info.external_attr >> 16) & 0o170000 == 0o120000
            if not info.is_dir() and not is_link:
                with packed.open(info) as stream:
                    yield info.filename, stream


def _tar_files(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    with tarfile.open(archive, mode="r|*") as packed:
        yield from _tar_members(packed)


def _deb_files(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    with _deb_data(archive) as packed:
        yield from _tar_members(packed)


def _tar_members(packed: tarfile.TarFile) -> Iterator[tuple[str, IO[bytes]]]:
    for info in packed:
        if info.isfile() and (stream := packed.extractfile(info)) is not None:
            yield info.name.removeprefix("./"), stream


@contextmanager
def _deb_data(archive: Path) -> Iterator[tarfile.TarFile]:
    """The tar of a Debian package's files: an ar archive holds it as data.tar, mostly compressed by xz or zstd."""
    with open(archive, "rb") as raw:
        name, size = _seek_data(raw, archive)
        if not name.endswith(".zst"):
            # a window on the ar member: tarfile stops at the end mark of the tar and does not read the rest of the ar
            window: Any = _Window(raw, size)  # a stream is only read, whatever the types of tarfile ask for
            with tarfile.open(fileobj=window, mode="r|*") as packed:
                yield packed
            return
    if shutil.which("dpkg-deb") is None:
        raise AssetError(
            f"{archive.name} is compressed by zstd, which this Python cannot read, and there is no dpkg-deb. "
            "Install dpkg, or unpack the package elsewhere and name the folder with source=path."
        )
    command = ["dpkg-deb", "--fsys-tarfile", str(archive)]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE) as process,
        tarfile.open(fileobj=process.stdout, mode="r|") as packed,
    ):
        yield packed


def _seek_data(raw: BinaryIO, archive: Path) -> tuple[str, int]:
    """Moves to the first byte of data.tar*; returns its name and size."""
    if raw.read(len(AR_MAGIC)) != AR_MAGIC:
        raise AssetError(f"{archive.name} is not a Debian package: it does not begin as an ar archive.")
    while len(header := raw.read(60)) == 60:
        name, length = header[:16].decode("ascii", "replace").strip().rstrip("/"), header[48:58].strip()
        if not length.isdigit():
            break
        size = int(length)
        if name.startswith("data.tar"):
            return name, size
        raw.seek(size + size % 2, 1)
    raise AssetError(f"{archive.name} is not a whole Debian package: it has no data.tar. Remove it and fetch it again.")


class _Window:
    """The next `size` bytes of a file, as a stream."""

    def __init__(self, raw: BinaryIO, size: int) -> None:
        self._raw, self._left = raw, size

    def read(self, count: int) -> bytes:
        data = self._raw.read(min(count, self._left))
        self._left -= len(data)
        return data
