"""Temporary folders whose names identify the writing process, so that leftovers of killed processes can be removed."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path


DAY = 24 * 3600
"""Seconds."""

_NAME = re.compile(r"\.tmp-([0-9a-f]{8})-(\d+)-[0-9a-f]{8}")

_EARLIER = re.compile(r"\..*\.tmp|\.tmp[A-Za-z0-9_]{4,}|\.tmp-\d+-[0-9a-f]{8}")
"""Names of temporary files of earlier versions and of safetensors, which do not identify the machine."""

_in_use: set[Path] = set()

_tidied: set[tuple[int, Path]] = set()


@contextmanager
def temporary_folder(parent: Path) -> Iterator[Path]:
    """Creates an empty folder inside `parent`, which is removed at the end with its content.

    Files in it can be renamed into `parent`. The first call for a `parent` also removes the leftovers of killed
    processes (`remove_temporary`).
    """
    parent.mkdir(parents=True, exist_ok=True)
    place = (os.getpid(), parent.absolute())
    if place not in _tidied:
        _tidied.add(place)
        remove_temporary(parent)
    folder = parent.absolute() / f".tmp-{_machine()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    _in_use.add(folder)
    try:
        folder.mkdir()
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        _in_use.discard(folder)


def remove_temporary(folder: Path) -> None:
    """Removes temporary files and folders in `folder` whose writers have ended.

    Folders whose writers run on this machine are kept, and so are folders of other machines or earlier versions that
    are less than a day old. Failures to remove a folder are ignored.
    """
    with suppress(OSError):
        for path in list(folder.iterdir()):
            if path.name.startswith(".") and _is_stale(path):
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)


def remove_temporary_below(root: Path) -> None:
    """`remove_temporary` for every folder below `root`, whether or not it is written to again.

    A process may die between its last file and the removal of its temporary folder. What it wrote is complete then, and
    no later run opens that folder to write.

    Cost: a listing of every folder, less than it takes to open the features in it.
    """
    for folder, folders, files in os.walk(root):
        if any(name.startswith(".") for name in (*folders, *files)):
            remove_temporary(Path(folder))
        folders[:] = [name for name in folders if not name.startswith(".")]


def _is_stale(path: Path) -> bool:
    named = _NAME.fullmatch(path.name)
    if named is None and not _EARLIER.fullmatch(path.name):
        return False
    with suppress(FileNotFoundError):
        if time.time() - path.stat().st_mtime > DAY:
            return path.absolute() not in _in_use
    if named is None or named[1] != _machine():
        return False
    writer = int(named[2])
    return path.absolute() not in _in_use if writer == os.getpid() else not _is_alive(writer)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # another user's process, or not a process number
        return True
    return True


@cache
def _machine() -> str:
    """Eight digits for this host and process namespace, within which process numbers are unique."""
    with suppress(OSError):
        return _digits(f"{socket.gethostname()} {os.readlink('/proc/self/ns/pid')}")
    return _digits(socket.gethostname())


def _digits(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
