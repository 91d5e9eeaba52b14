"""Temporary folders whose names say who writes in them, so that those of killed processes can be told and removed."""

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
    """An empty folder inside `parent`, removed at the end with all that is in it.

    What is made in it can be renamed to a place beside it. The first one in `parent` also removes what killed processes
    left there (`remove_temporary`).
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
    """Removes the temporary files and folders in `folder` that nobody writes to any more.

    A folder whose writer runs on this machine stays, and so does one of another machine, or of an earlier version, that
    is younger than a day. What cannot be removed stays without an error.
    """
    with suppress(OSError):
        for path in list(folder.iterdir()):
            if path.name.startswith(".") and _is_stale(path):
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)


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
    except (OSError, OverflowError):  # another user's process, or no number of a process
        return True
    return True


@cache
def _machine() -> str:
    """Eight digits for this host and process namespace: in another one, the same number is another process."""
    with suppress(OSError):
        return _digits(f"{socket.gethostname()} {os.readlink('/proc/self/ns/pid')}")
    return _digits(socket.gethostname())


def _digits(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
