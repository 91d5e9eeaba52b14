"""What is encoded for each row of an extraction: its texts and its pictures."""

from __future__ import annotations

from dataclasses import dataclass

from platorep.core.errors import SpecError
from platorep.core.rows import row_samples, rows_of
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
    features, "concatenate_text" joins captions by a space into one text, and "multiply_items" makes one row of each
    (`core.rows`), where what repeats is computed once a shard. These move an alignment score in different directions,
    so they are part of the key.

    Raises:
        SpecError: `caption` or `picture` is neither "first" nor "all" nor an index, or pictures are to be joined as
            texts.
        DataError: a sample has no caption or no picture with that index.
    """
    if spec.picture == "all" and spec.combine == "concatenate_text" and max(samples.pictures or [1], default=1) > 1:
        raise SpecError(
            "combine=concatenate_text joins captions, but with picture=all there are several pictures an item, which "
            "cannot be joined. Use combine=mean_features or multiply_items, or one picture (picture=first or an index)."
        )
    rows = rows_of(spec, samples)
    texts = [[samples.captions[row.sample][j] for j in row.captions] for row in rows]
    if spec.caption == "all" and spec.combine == "concatenate_text":
        texts = [[" ".join(captions)] for captions in texts]
    return Items(
        row_samples(spec, samples),
        [[Text.of(caption, spec.prompt) for caption in captions] for captions in texts],
        [[(row.sample, j) for j in row.pictures] for row in rows],
    )
