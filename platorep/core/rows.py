"""The rows of an extraction: the sample, captions and pictures that belong to each."""

from __future__ import annotations

from typing import NamedTuple

from platorep.core.errors import DataError, SpecError
from platorep.core.samples import Samples
from platorep.core.specs import ExtractSpec


class Row(NamedTuple):
    """One row of an extraction.

    Attributes:
        sample: index of its sample.
        captions: indices of the sample's captions that belong to it.
        pictures: indices of the sample's pictures that belong to it.
    """

    sample: int
    captions: list[int]
    pictures: list[int]


def rows_of(spec: ExtractSpec, samples: Samples) -> list[Row]:
    """The rows of a spec for the samples of a dataset, in order. Language and vision have the same rows.

    With `caption="all"` or `picture="all"` and `combine="multiply_items"` there is one row for each caption, picture,
    or pair of both; otherwise one row for each sample.

    Raises:
        SpecError: `caption` or `picture` is neither "first" nor "all" nor an index.
        DataError: a sample has no caption or no picture with that index.
    """
    pictures = samples.pictures or [1] * len(samples.ids)
    return [
        Row(i, captions, views)
        for i, sample in enumerate(samples.ids)
        for captions in _groups(spec, "caption", len(samples.captions[i]), sample)
        for views in _groups(spec, "picture", pictures[i], sample)
    ]


def row_samples(spec: ExtractSpec, samples: Samples) -> Samples:
    """Ids and captions of the rows. Without multiplied items, these are the samples of the dataset.

    Multiplied captions get the ids "ID#0", "ID#1", …, multiplied pictures "ID#.0", "ID#.1", …, and pairs of both
    "ID#caption.picture".
    """
    captions, pictures = (spec.combine == "multiply_items" and which == "all" for which in (spec.caption, spec.picture))
    if not (captions or pictures):
        return samples
    rows = rows_of(spec, samples)
    return Samples(
        ids=[
            f"{samples.ids[row.sample]}#"
            + (str(row.captions[0]) if captions else "")
            + (f".{row.pictures[0]}" if pictures else "")
            for row in rows
        ],
        captions=[
            [samples.captions[row.sample][j] for j in row.captions] if captions else samples.captions[row.sample]
            for row in rows
        ],
        categories=None if samples.categories is None else [samples.categories[row.sample] for row in rows],
        dropped=samples.dropped,
    )


def _groups(spec: ExtractSpec, field: str, count: int, sample: str) -> list[list[int]]:
    """Groups the `count` captions or pictures of a sample into rows; returns one list of indices per row."""
    which = getattr(spec, field)
    if which == "all":
        return [[j] for j in range(count)] if spec.combine == "multiply_items" else [list(range(count))]
    index = 0 if which == "first" else int(which) if which.isdecimal() else -1
    if index < 0:
        raise SpecError(f"{field} is {which!r}; expected first, all or an index from 0.")
    if index >= count:
        raise DataError(
            f"sample {sample!r} has {count} {field}s; {field}={which} does not exist. Use {field}=first or all."
        )
    return [[index]]
