"""Short hashes that serve as keys."""

from __future__ import annotations

import hashlib
import json
from typing import Any


DIGITS = 12
"""Hex digits of a key (48 bits): among a million keys, two collide with a probability of one in five hundred."""


def digest(value: Any) -> str:
    """The first 12 hex digits of the SHA-256 of a JSON value with sorted keys."""
    return text_digest(json.dumps(value, sort_keys=True))


def text_digest(text: str) -> str:
    """The first 12 hex digits of the SHA-256 of a text in UTF-8."""
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]
