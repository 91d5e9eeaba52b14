"""The rows of an extraction: the sample, captions, pictures and sounds that belong to each."""

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
        sounds: indices of the sample's sounds that belong to it.
    """

    sample: int
    captions: list[int]
    pictures: list[int]
    sounds: list[int]


def rows_of(spec: ExtractSpec, samples: Samples) -> list[Row]:
    """The rows of a spec for the samples of a dataset, in order. All modalities have the same rows.

    With `caption="all"`, `picture="all"` or `sound="all"` and `combine="multiply_items"` there is one row for each
    caption, picture, sound, or combination of them; otherwise one row for each sample. What a dataset has none of
    multiplies nothing.

    Raises:
        SpecError: `caption`, `picture` or `sound` is neither "first" nor "all" nor an index.
        DataError: a sample has no caption, picture or sound with that index.
    """
    counts = _counts(samples)
    return [
        Row(i, captions, views, clips)
        for i, sample in enumerate(samples.ids)
        for captions in _groups(spec, "caption", counts["caption"], i, sample)
        for views in _groups(spec, "picture", counts["picture"], i, sample)
        for clips in _groups(spec, "sound", counts["sound"], i, sample)
    ]


def _counts(samples: Samples) -> dict[str, list[int]]:
    """How many captions, pictures and sounds every sample has; an empty list if the dataset has none."""
    n = len(samples.ids)
    counts = {
        "caption": [len(captions) for captions in samples.captions],
        "picture": [1] * n if samples.pictures is None else samples.pictures,
        "sound": samples.sounds or [],
    }
    return {name: values if any(values) else [] for name, values in counts.items()}


def row_samples(spec: ExtractSpec, samples: Samples) -> Samples:
    """Ids and captions of the rows. Without multiplied items, these are the samples of the dataset.

    Multiplied captions get the ids "ID#0", "ID#1", …, multiplied pictures "ID#.0", "ID#.1", …, pairs of both
    "ID#caption.picture", and multiplied sounds have ":0", ":1", … at the end.
    """
    counts = _counts(samples)
    multiplied = spec.combine == "multiply_items"
    captions, pictures = (multiplied and getattr(spec, which) == "all" for which in ("caption", "picture"))
    sounds = multiplied and spec.sound == "all" and bool(counts["sound"])
    if not (captions or pictures or sounds):
        return samples
    rows = rows_of(spec, samples)
    return Samples(
        ids=[
            f"{samples.ids[row.sample]}#"
            + (str(row.captions[0]) if captions and row.captions else "")
            + (f".{row.pictures[0]}" if pictures and row.pictures else "")
            + (f":{row.sounds[0]}" if sounds else "")
            for row in rows
        ],
        captions=[
            [samples.captions[row.sample][j] for j in row.captions] if captions else samples.captions[row.sample]
            for row in rows
        ],
        categories=None if samples.categories is None else [samples.categories[row.sample] for row in rows],
        dropped=samples.dropped,
    )


def _groups(spec: ExtractSpec, field: str, counts: list[int], place: int, sample: str) -> list[list[int]]:
    """Groups the captions, pictures or sounds of a sample into rows; returns one list of indices per row."""
    which = getattr(spec, field)
    index = 0 if which in ("first", "all") else int(which) if which.isdecimal() else -1
    if index < 0:
        raise SpecError(f"{field} is {which!r}; expected first, all or an index from 0.")
    if not counts:
        return [[]]
    if which == "all":
        every = list(range(counts[place]))
        return [[j] for j in every] if spec.combine == "multiply_items" else [every]
    if index >= counts[place]:
        raise DataError(
            f"sample {sample!r} has {counts[place]} {field}s; {field}={which} does not exist. Use {field}=first or all."
        )
    return [[index]]
