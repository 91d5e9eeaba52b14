"""Contents of the files of samples."""

from __future__ import annotations

import stat
from pathlib import Path

from platorep.core.errors import DataError


def read_regular(path: Path) -> bytes:
    """The bytes of a regular file.

    Raises:
        DataError: the file is missing or is not a regular file.
    """
    try:
        regular = stat.S_ISREG(path.stat().st_mode)  # reading a pipe would wait for a writer
        content = path.read_bytes() if regular else b""
    except OSError as error:
        raise DataError(f"file cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise DataError("file cannot be read: its name has a zero byte or is not valid Unicode") from error
    if not regular:
        raise DataError("file cannot be read: it is a folder, a pipe or a device")
    return content
