"""What the rows of an extraction are: which captions and which picture belong to each."""

from __future__ import annotations

from dataclasses import dataclass

from platorep.core.errors import DataError, SpecError
from platorep.core.specs import ExtractSpec
from platorep.core.store import Samples
from platorep.models.base import Text


@dataclass(frozen=True, slots=True)
class Items:
    """The rows of an extraction, in order.

    Attributes:
        samples: ids and captions of the rows; the dataset's own, unless captions multiply the items.
        texts: for every row the texts whose features are averaged; one, unless `combine="mean_features"`.
        pictures: for every row, which picture of the dataset it shows.
    """

    samples: Samples
    texts: list[list[Text]]
    pictures: list[int]


def items_of(spec: ExtractSpec, samples: Samples) -> Items:
    """The rows that a spec makes of a dataset's samples.

    With `caption="all"`, `combine` says what several captions become: "mean_features" averages their features,
    "concatenate_text" joins them by a space into one text, and "multiply_items" makes one row of each, with ids
    "ID#0", "ID#1", … and the same picture. These move an alignment score in different directions, so they are part of the key.

    Raises:
        SpecError: `caption` is neither "first" nor "all" nor an index.
        DataError: a sample has no caption with that index.
    """
    numbers = list(range(len(samples.ids)))
    if spec.caption == "all" and spec.combine == "multiply_items":
        rows = [(i, j) for i in numbers for j in range(len(samples.captions[i]))]
        categories = None if samples.categories is None else [samples.categories[i] for i, _ in rows]
        captions = [samples.captions[i][j] for i, j in rows]
        ids = [f"{samples.ids[i]}#{j}" for i, j in rows]
        expanded = Samples(ids, [[caption] for caption in captions], categories, samples.dropped)
        return Items(expanded, [[Text.of(caption, spec.prompt)] for caption in captions], [i for i, _ in rows])
    if spec.caption == "all":
        chosen = [[" ".join(own)] if spec.combine == "concatenate_text" else own for own in samples.captions]
    else:
        chosen = [[_caption(samples, i, spec.caption)] for i in numbers]
    return Items(samples, [[Text.of(caption, spec.prompt) for caption in own] for own in chosen], numbers)


def _caption(samples: Samples, row: int, which: str) -> str:
    try:
        index = 0 if which == "first" else int(which)
    except ValueError:
        raise SpecError(f"caption is {which!r}; expected first, all or an index.") from None
    own = samples.captions[row]
    if not 0 <= index < len(own):
        raise DataError(f"sample {samples.ids[row]!r} has {len(own)} captions; caption={which} does not exist. Use caption=first or all.")
    return own[index]
