"""Prepares external text (file names, ids, captions, library messages) for terminals, logs and files."""

from __future__ import annotations

import datetime
import re
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np

from platorep.core.errors import DataError


_HIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, line separators, marks of writing direction, and halves of surrogate pairs."""

_ADDRESS = re.compile(r" ?<[^<>]* at 0x[0-9a-fA-F]+>")


def visible(text: str) -> str:
    r"""The text on one line, with control characters and broken Unicode written as backslash escapes.

    Terminals interpret such characters, and UTF-8 cannot encode some of them. All other text is returned unchanged.

    Example:
        >>> visible("a\x1b[2Jb")
        'a\\x1b[2Jb'
    """
    return _HIDDEN.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)


def is_unicode(text: str) -> bool:
    """Whether the text can be written as UTF-8. Half an emoji cannot, nor can a file name that is not UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def cause(error: BaseException, limit: int = 120) -> str:
    """The first line of an error without memory addresses, so that it is the same on every run and machine."""
    lines = str(error).strip().splitlines()
    return visible(_ADDRESS.sub("", lines[0])[:limit].strip()) if lines else ""


def cell_text(value: Any, what: str) -> str | None:
    """Converts a table cell to the text of an id or category; None if the cell is missing or blank.

    Text is kept, bytes are decoded as UTF-8, and whole numbers of any type are written without a decimal point: 1, 1.0
    and "1" are the same id in all files.

    Args:
        value: the value of the cell, as returned by the reader of the file.
        what: its name in errors: "id", "category".

    Raises:
        DataError: a list, a mapping or another object; text or bytes that are not valid Unicode or have a zero byte; a
            floating-point number too large for every whole number to have its own.
    """
    if isinstance(value, bytes):
        try:
            value = value.decode()
        except UnicodeDecodeError as error:
            raise DataError(f"{what} {value!r:.60} is not UTF-8") from error
    if value is None or (isinstance(value, (Real, Decimal)) and value != value):
        return None
    if isinstance(value, str):
        if not is_unicode(value) or "\0" in value:
            raise DataError(f"{what} {value!r:.60} is not valid Unicode, or has a zero byte")
        return str(value) if value.strip() else None
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        if abs(value) > 2 ** (np.finfo(type(value)).nmant + 1):
            raise DataError(f"{what} {value} is a floating-point number that has lost digits; write it as text")
        return str(int(value))
    if isinstance(value, (Real, bool, np.bool_, Decimal, datetime.date, np.datetime64)):
        return str(value)
    raise DataError(f"{what} is {value!r:.60} ({type(value).__name__}); expected text or a number")
