"""What the rows of an extraction are: which captions and which pictures belong to each."""

from __future__ import annotations

from dataclasses import dataclass

from platorep.core.errors import DataError, SpecError
from platorep.core.samples import Samples
from platorep.core.specs import ExtractSpec
from platorep.models.base import Text


@dataclass(frozen=True, slots=True)
class Items:
    """The rows of an extraction, in order.

    Attributes:
        samples: ids and captions of the rows; the dataset's own, unless captions or pictures multiply the items.
        texts: for every row the texts whose features are averaged; one, unless `combine="mean_features"`.
        pictures: for every row the pictures whose features are averaged, each as (sample, number among its pictures).
    """

    samples: Samples
    texts: list[list[Text]]
    pictures: list[list[tuple[int, int]]]


def items_of(spec: ExtractSpec, samples: Samples) -> Items:
    """The rows that a spec makes of a dataset's samples: the same rows for every model, whichever modality it reads.

    With `caption="all"` or `picture="all"`, `combine` says what becomes of several: "mean_features" averages their
    features, "concatenate_text" joins captions by a space into one text, and "multiply_items" makes one row of each. Then
    captions give ids "ID#0", "ID#1", …, pictures "ID#.0", "ID#.1", …, and both together every caption with every picture,
    "ID#caption.picture": a row's caption and picture belong together, and what repeats is computed once a shard. These
    move an alignment score in different directions, so they are part of the key.

    Raises:
        SpecError: `caption` or `picture` is neither "first" nor "all" nor an index, or pictures are to be joined as texts.
        DataError: a sample has no caption or no picture with that index.
    """
    pictures = samples.pictures or [1] * len(samples.ids)
    if spec.picture == "all" and spec.combine == "concatenate_text" and max(pictures, default=1) > 1:
        raise SpecError(
            "combine=concatenate_text joins captions, but with picture=all there are several pictures an item, which cannot be joined. "
            "Use combine=mean_features or multiply_items, or one picture (picture=first or an index)."
        )
    rows = [
        (i, captions, views)
        for i, sample in enumerate(samples.ids)
        for captions in _groups(spec, "caption", len(samples.captions[i]), sample)
        for views in _groups(spec, "picture", pictures[i], sample)
    ]
    texts = [[samples.captions[i][j] for j in captions] for i, captions, _ in rows]
    if spec.caption == "all" and spec.combine == "concatenate_text":
        texts = [[" ".join(own)] for own in texts]
    return Items(
        _multiplied(spec, samples, rows),
        [[Text.of(caption, spec.prompt) for caption in own] for own in texts],
        [[(i, j) for j in views] for i, _, views in rows],
    )


def _groups(spec: ExtractSpec, what: str, count: int, sample: str) -> list[list[int]]:
    """Which of a sample's `count` captions or pictures make a row together: one list a row."""
    which = getattr(spec, what)
    if which == "all":
        return [[j] for j in range(count)] if spec.combine == "multiply_items" else [list(range(count))]
    index = 0 if which == "first" else int(which) if which.isdecimal() else -1
    if index < 0:
        raise SpecError(f"{what} is {which!r}; expected first, all or an index from 0.")
    if index >= count:
        raise DataError(
            f"sample {sample!r} has {count} {what}s; {what}={which} does not exist. Use {what}=first or all."
        )
    return [[index]]


def _multiplied(spec: ExtractSpec, samples: Samples, rows: list[tuple[int, list[int], list[int]]]) -> Samples:
    """The samples of the rows: those of the dataset where nothing multiplies them."""
    captions, pictures = (spec.combine == "multiply_items" and which == "all" for which in (spec.caption, spec.picture))
    if not (captions or pictures):
        return samples
    return Samples(
        ids=[
            f"{samples.ids[i]}#" + (str(own[0]) if captions else "") + (f".{views[0]}" if pictures else "")
            for i, own, views in rows
        ],
        captions=[[samples.captions[i][j] for j in own] if captions else samples.captions[i] for i, own, _ in rows],
        categories=None if samples.categories is None else [samples.categories[i] for i, _, _ in rows],
        dropped=samples.dropped,
    )
