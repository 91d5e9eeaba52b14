"""The samples of a dataset: ids in order, captions and categories. They pair the features of different models."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from platorep.core.errors import StoreError
from platorep.core.files import damaged, read_record, write_record
from platorep.core.specs import DatasetSpec
from platorep.core.temporary import remove_temporary


SAMPLES = "samples.json"

SCHEMA = 2
"""Version of the file of samples. Version 1 had no checksum."""


def ids_digest(ids: Sequence[str]) -> str:
    """SHA-256 over the ordered sample ids; each contributes its length and UTF-8 bytes, so different lists differ."""
    digest = hashlib.sha256()
    for sample in ids:
        raw = sample.encode()
        digest.update(f"{len(raw)}:".encode() + raw)
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Samples:
    """The ordered samples of a dataset without pictures and sounds, as needed by `align`.

    `captions` holds one list of captions per sample, which is empty in a dataset without captions, `categories` one
    label per sample or None, and `dropped` one {"id", "reason"} for every omitted sample. `pictures` holds the numbers
    of pictures, or None if all are one; `sounds` the numbers of sounds, or None if there are none.
    """

    ids: list[str]
    captions: list[list[str]]
    categories: list[str] | None = None
    dropped: list[dict[str, str]] = field(default_factory=list)
    pictures: list[int] | None = None
    sounds: list[int] | None = None

    @property
    def digest(self) -> str:
        """Digest of the ordered ids; only features with equal digests can be compared."""
        return ids_digest(self.ids)


def write_samples(folder: Path, dataset: DatasetSpec, samples: Samples) -> Path:
    """Writes the samples of a dataset if they are not stored yet.

    Raises:
        StoreError: the folder holds other samples, or a damaged file.
    """
    path = folder / SAMPLES
    if path.is_file():
        known = read_samples(folder)
        if known.digest != samples.digest:
            raise StoreError(
                f"{path} holds {len(known.ids)} samples with digest {known.digest[:12]}, but the dataset now gives "
                f"{len(samples.ids)} with digest {samples.digest[:12]}: the source changed under the same revision. "
                "Pin its revision, or remove that folder to start again."
            )
        remove_temporary(folder)  # of a process that was killed once this file was whole
        return path
    write_record(path, {"schema": SCHEMA, "digest": samples.digest, "spec": dataset.to_dict(), **asdict(samples)})
    return path


def read_samples(folder: Path) -> Samples:
    """Reads the samples in a dataset's folder.

    Raises:
        StoreError: the file is missing, not JSON or changed, or its ids do not match the stated digest.
    """
    path = folder / SAMPLES
    values = read_record(path, checked_since=SCHEMA)
    fields: dict[str, Any] = {field.name: values.get(field.name) for field in dataclasses.fields(Samples)}
    samples = Samples(**fields)  # values of a wrong type are found next
    if (fault := _fault(samples)) is not None:
        raise damaged(path, fault)
    if samples.digest != values.get("digest"):
        raise StoreError(
            f"{path}: the ids do not have the digest that the file states; it was edited. "
            "`platorep store repair` removes it; it is then created again."
        )
    return samples


def read_dataset(folder: Path) -> DatasetSpec:
    """Reads the spec in a dataset's folder.

    Raises:
        StoreError: its file of samples is missing or damaged.
    """
    path = folder / SAMPLES
    try:
        spec: Any = read_record(path, checked_since=SCHEMA).get("spec")
        return DatasetSpec.from_dict(spec)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise damaged(path, f"its spec cannot be read: {error}") from None


def _fault(samples: Samples) -> str | None:
    """Describes a value of the wrong type in a file that may have been edited; None if there is none."""

    def is_list(value: Any, kind: type, length: int | None = None) -> bool:
        return (
            isinstance(value, list)
            and all(isinstance(part, kind) for part in value)
            and (length is None or len(value) == length)
        )

    ids, n = samples.ids, len(samples.ids) if isinstance(samples.ids, list) else 0
    if not is_list(ids, str) or not ids:
        return "ids is not a list of texts"
    if not is_list(samples.captions, list, n) or not all(is_list(texts, str) for texts in samples.captions):
        return f"captions is not a list of {n} lists of texts"
    if samples.categories is not None and not is_list(samples.categories, str, n):
        return f"categories is not a list of {n} texts"
    if not is_list(samples.dropped, dict):
        return "dropped is not a list of samples with their reasons"
    if samples.pictures is not None and not is_list(samples.pictures, int, n):
        return f"pictures is not a list of {n} numbers"
    if samples.sounds is not None and not is_list(samples.sounds, int, n):
        return f"sounds is not a list of {n} numbers"
    return None
