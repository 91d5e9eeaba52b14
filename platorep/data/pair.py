"""One pair of a source, before it is checked, and what sources share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from platorep.core.errors import DataError, SpecError, unknown_name
from platorep.core.specs import DatasetSpec
from platorep.core.text import cell_text


Report = Callable[[int, int | None, str], None]
"""`report(done, total, what)`: told of progress."""

WORDS = ("image", "text", "category", "id")
"""Our words for a dataset's columns: the keys that `DatasetSpec.columns` may have."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Pictures of one thing and its captions as the source has them, not checked yet.

    Each of `pictures` decodes one, can be sent to another process, and raises DataError with the reason when it cannot.
    `fault` says what makes the sample bad whatever its pictures and captions; its id is then a name for messages only.
    """

    id: str
    captions: list[Any]
    category: str | None
    pictures: Sequence[Callable[[], Image.Image]]
    fault: str | None = None


def labelled(
    row: str, name: Any, category: Any, captions: list[Any], pictures: Sequence[Callable[[], Image.Image]], needed: bool
) -> Pair:
    """The pair of a row, its id and category as text; faulty without an id, or without a category that is needed.

    Args:
        row: what the row is called where it has no id, such as "row 3".
        name: the cell of its id.
        category: the cell of its category, None where there is none.
        captions: of the pair.
        pictures: of the pair.
        needed: whether a row without a category is faulty.
    """
    try:
        text = cell_text(name, "id")
        label = cell_text(category, "category")
    except DataError as error:
        return Pair(row, captions, None, pictures, str(error))
    if text is None:
        return Pair(row, captions, label, pictures, "id is missing")
    fault = "category is missing" if needed and label is None else None
    return Pair(text, captions, label, pictures, fault)


def several(value: Any) -> list[Any]:
    """The captions, or the names of pictures, in a cell: a text is one, a list is several, nothing is none."""
    if value is None or (isinstance(value, float) and value != value):
        return []
    if isinstance(value, str):
        return [value]
    if isinstance(value, Iterable) and not isinstance(value, (dict, bytes)):
        return list(value)
    return [value]


def column_of(spec: DatasetSpec, word: str, columns: Iterable[str], default: str) -> str:
    """The dataset's column for one of our words.

    Raises:
        UnknownNameError: the dataset has no such column; the message gives the nearest.
    """
    name = spec.columns.get(word, default)
    columns = list(columns)
    if name not in columns:
        raise unknown_name(f"{word} column of dataset {spec.name!r}, set by columns.{word},", name, columns)
    return name


def check_switches(spec: DatasetSpec, *, options: Iterable[str] = (), columns: Iterable[str] = ()) -> None:
    """Refuses options and columns that the source does not know.

    Raises:
        UnknownNameError: there is one.
    """
    for kind, got, known in (("option", spec.options, options), ("column word", spec.columns, columns)):
        for name in got:
            if name not in (known := list(known)):
                raise unknown_name(f"{kind} of dataset source {spec.source!r}", name, known)


def pin(spec: DatasetSpec, revision: str, help_text: str) -> DatasetSpec:
    """The spec with its revision settled; one that was pinned already must be the same.

    Raises:
        DataError: the content is not the pinned one.
    """
    if spec.revision is not None and spec.revision != revision:
        raise DataError(
            f"dataset {spec.name!r} is pinned to revision {spec.revision}, but {spec.id or spec.source} now has "
            f"{revision}. {help_text}"
        )
    return spec.replace(revision=revision)


def only_assets(spec: DatasetSpec, count: int, what: str) -> None:
    """Refuses a spec with another number of assets than the source reads."""
    if len(spec.assets) != count:
        raise SpecError(
            f"dataset source {spec.source!r} reads {count} asset(s) ({what}); got {len(spec.assets)}. "
            f"See configs/dataset/{spec.source}.yaml."
        )
