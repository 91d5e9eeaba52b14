"""Errors of the file system, as one sentence with the path, the cause and the remedy."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from platorep.core.errors import DiskError
from platorep.core.temporary import temporary_folder


ELSEWHERE = "choose another folder (root=PATH)"

_CAUSES = {
    errno.ENOSPC: (
        "no space is left on its disk",
        f"Free some, or {ELSEWHERE}. Finished work is kept: run the same command again to continue.",
    ),
    errno.EDQUOT: ("the disk quota is used up", f"Free some, or {ELSEWHERE}. Finished work is kept."),
    errno.EROFS: ("its file system is read-only", f"Mount it writable, or {ELSEWHERE}."),
    errno.EACCES: ("permission denied", f"Change its owner or mode (chmod u+rwX), or {ELSEWHERE}."),
    errno.EPERM: ("operation not permitted", f"Change its owner or attributes, or {ELSEWHERE}."),
    errno.ENAMETOOLONG: ("its name is too long for this file system", "Shorten the name."),
    errno.ELOOP: ("a link in it leads back to itself", "Remove the link."),
    errno.EEXIST: ("it is a file, where a folder is needed", f"Remove or rename it, or {ELSEWHERE}."),
    errno.EISDIR: ("it is a folder, where a file is expected", "Remove or rename it."),
    errno.EIO: ("the disk reports an input/output error", f"Check the disk, or {ELSEWHERE}."),
    errno.EMFILE: ("this process has too many open files", "Raise the limit (ulimit -n)."),
    errno.ENOENT: ("it does not exist", "Check the spelling, or run the command that writes it."),
    errno.ESTALE: ("its network mount is stale", "Mount it again."),
}
"""Cause and remedy by error number."""

PROBE = 1 << 16
"""Bytes that `check_writable` writes: enough to meet a full disk."""


def disk_error(error: OSError, path: Path | str | None = None) -> DiskError:
    """Describes an error of the file system in one sentence: the path, the cause and the remedy.

    Args:
        error: raised by the system or a library.
        path: the file or folder to name; the error's own file name by default.
    """
    path = Path(path if path is not None else error.filename or ".")
    if (obstacle := _obstacle(path)) is not None:
        return DiskError(obstacle)
    cause, remedy = _CAUSES.get(error.errno or 0, (error.strerror or str(error) or type(error).__name__, ""))
    return DiskError(f"{path}: {cause}. {remedy}".rstrip())


@contextmanager
def disk_errors(path: Path | str) -> Iterator[None]:
    """Turns every OSError within the block into a `DiskError` that names `path`.

    safetensors wraps errors of the system in its own type; they are recognised by the system's error number.
    """
    try:
        yield
    except OSError as error:
        raise disk_error(error, path) from error
    except Exception as error:
        number = re.search(r"\(os error (\d+)\)", str(error)) if type(error).__name__ == "SafetensorError" else None
        if number is None:
            raise
        raise disk_error(OSError(int(number[1]), os.strerror(int(number[1]))), path) from error


@contextmanager
def disk_errors_of_the_system(folder: Path | str | None = None) -> Iterator[None]:
    """Turns an OSError with a system error number into a `DiskError`; other errors pass.

    Libraries also raise OSError without a number for errors that do not concern the disk. The message names the path of
    the error, or `folder` if it has none.
    """
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise disk_error(error, error.filename or folder) from error


def check_writable(folder: Path | str) -> None:
    """Creates a folder if it does not exist, and checks that a small file can be written in it.

    Raises:
        DiskError: the folder cannot be created or written to.
    """
    with disk_errors(folder), temporary_folder(Path(folder)) as probe:  # what a kill leaves of it is removed later
        (probe / "probe").write_bytes(b"\0" * PROBE)


def check_folder(folder: Path | str) -> None:
    """Checks that a folder is one, or can be made: no file or broken link stands at it or above it.

    Raises:
        DiskError: something else stands there.
    """
    folder = Path(folder)
    if (obstacle := _obstacle(folder / "inside")) is not None:
        raise DiskError(obstacle)


def _obstacle(path: Path) -> str | None:
    """Describes a file or broken link on the way to `path` where a folder is needed; None if there is none."""
    for place in (*reversed(path.parents), path):
        try:
            if place.is_symlink() and not place.exists():
                target = os.readlink(place)
                return f"{place} is a link to {target}, which does not exist. Make that folder, or remove the link."
            if place != path and place.exists() and not place.is_dir():
                return f"{place} is a file, where a folder is needed. Remove or rename it, or {ELSEWHERE}."
        except OSError:
            return None
    return None
