"""One unchecked pair of a source, and functions shared by sources."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from platorep.core.errors import DataError, SpecError, unknown_name
from platorep.core.sounds import Sound
from platorep.core.specs import DatasetSpec
from platorep.core.text import cell_text, visible


Report = Callable[[int, int | None, str], None]
"""`report(done, total, what)`: reports progress."""

WORDS = ("image", "text", "sound", "category", "id")
"""Roles of columns: the keys that `DatasetSpec.columns` may have."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Captions, pictures and sounds of one object, unchecked.

    None for one of the three says that the dataset has none of its kind; an empty list, that this sample lacks them,
    which makes it bad. Each element of `pictures` and `sounds` is a picklable function that decodes a picture or a
    sound, or raises DataError with the reason. If `fault` is set, the sample is bad whatever it holds, and the id is
    only a name for messages.
    """

    id: str
    captions: list[Any] | None
    category: str | None
    pictures: Sequence[Callable[[], Image.Image]] | None
    fault: str | None = None
    sounds: Sequence[Callable[[], Sound]] | None = None


def labelled(
    row: str,
    name: Any,
    category: Any,
    captions: list[Any],
    pictures: Sequence[Callable[[], Image.Image]] | None,
    needed: bool,
    sounds: Sequence[Callable[[], Sound]] | None = None,
) -> Pair:
    """Builds the pair of a row, with id and category as text. It is faulty if the id or a needed category is missing.

    Args:
        row: name of the row if it has no id, such as "row 3".
        name: the cell of its id.
        category: the cell of its category, or None.
        captions: captions of the pair.
        pictures: pictures of the pair; None where the dataset has none.
        needed: whether a row without a category is faulty.
        sounds: sounds of the pair; None where the dataset has none.
    """
    try:
        text = cell_text(name, "id")
        label = cell_text(category, "category")
    except DataError as error:
        return Pair(row, captions, None, pictures, str(error), sounds)
    if text is None:
        return Pair(row, captions, label, pictures, "id is missing", sounds)
    fault = "category is missing" if needed and label is None else None
    return Pair(text, captions, label, pictures, fault, sounds)


def several(value: Any) -> list[Any]:
    """Converts a cell of captions or names of pictures to a list: a text is one element, None is an empty list."""
    if value is None or (isinstance(value, float) and value != value):
        return []
    if isinstance(value, str):
        return [value]
    if isinstance(value, Iterable) and not isinstance(value, (dict, bytes)):
        return list(value)
    return [value]


def column_of(spec: DatasetSpec, word: str, columns: Iterable[str], default: str) -> str:
    """The column of the dataset that has a given role.

    Raises:
        UnknownNameError: the dataset has no such column.
    """
    name = spec.columns.get(word, default)
    columns = list(columns)
    if name not in columns:
        raise unknown_name(
            f"{word} column of dataset {spec.name!r}, set by columns.{word},", name, map(visible, columns)
        )
    return name


def check_switches(spec: DatasetSpec, *, options: Iterable[str] = (), columns: Iterable[str] = ()) -> None:
    """Checks that the source supports all options and columns of the spec.

    Raises:
        UnknownNameError: an option or column is not supported.
    """
    for kind, got, known in (("option", spec.options, options), ("column word", spec.columns, columns)):
        for name in got:
            if name not in (known := list(known)):
                raise unknown_name(f"{kind} of dataset source {spec.source!r}", name, known)


def pin(spec: DatasetSpec, revision: str, help_text: str) -> DatasetSpec:
    """The spec with its resolved revision, which must equal a pinned one.

    Raises:
        DataError: the content differs from the pinned revision.
    """
    if spec.revision is not None and spec.revision != revision:
        raise DataError(
            f"dataset {spec.name!r} is pinned to revision {spec.revision}, but {spec.id or spec.source} now has "
            f"{revision}. {help_text}"
        )
    return spec.replace(revision=revision)


def only_assets(spec: DatasetSpec, count: int, what: str) -> None:
    """Checks that a spec has as many assets as the source reads."""
    if len(spec.assets) != count:
        raise SpecError(
            f"dataset source {spec.source!r} reads {count} asset(s) ({what}); got {len(spec.assets)}. "
            f"See configs/dataset/{spec.source}.yaml."
        )
