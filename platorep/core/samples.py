"""The samples of a dataset: ids in order, captions and categories; what pairs features of different models."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field


def ids_digest(ids: Sequence[str]) -> str:
    """SHA-256 over the ordered sample ids, each by length and UTF-8 bytes, so that no two lists collide."""
    digest = hashlib.sha256()
    for one in ids:
        raw = one.encode()
        digest.update(f"{len(raw)}:".encode() + raw)
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Samples:
    """The ordered samples of a dataset, without the pictures: what `align` needs of a dataset.

    `captions` holds one list of captions an item, `categories` one label an item or None, `dropped` one
    {"id", "reason"} for every sample left out, `pictures` how many pictures each item has, or None where it is one.
    """

    ids: list[str]
    captions: list[list[str]]
    categories: list[str] | None = None
    dropped: list[dict[str, str]] = field(default_factory=list)
    pictures: list[int] | None = None

    @property
    def digest(self) -> str:
        """Digest of the ordered ids; features may be compared only where it is equal."""
        return ids_digest(self.ids)
