"""The texts, pictures and sounds that are encoded for each row of an extraction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from platorep.core.errors import DataError, SpecError
from platorep.core.rows import row_samples, rows_of
from platorep.core.samples import Samples
from platorep.core.specs import ExtractSpec
from platorep.models.base import Text


@dataclass(frozen=True, slots=True)
class Items:
    """The rows of an extraction, in order.

    Attributes:
        samples: ids and captions of the rows; those of the dataset, unless captions or pictures multiply the items.
        texts: for every row, the texts whose features are averaged; one, unless `combine="mean_features"`.
        pictures: for every row, the pictures whose features are averaged, as (sample, index of the picture).
        sounds: for every row, the sounds whose features are averaged, as (sample, index of the sound).
    """

    samples: Samples
    texts: list[list[Text]]
    pictures: list[list[tuple[int, int]]]
    sounds: list[list[tuple[int, int]]]

    def of(self, modality: str) -> list[list[Any]]:
        """What models of a modality encode, row by row.

        Raises:
            DataError: the dataset has nothing of that modality.
        """
        name = {"language": "texts", "sound": "sounds"}.get(modality, "pictures")
        encoded = getattr(self, name)
        if not all(encoded):
            raise DataError(
                f"the dataset has no {'captions' if name == 'texts' else name}, which models of modality {modality} "
                "need. Choose another dataset, or leave these models out."
            )
        return encoded


def items_of(spec: ExtractSpec, samples: Samples) -> Items:
    """The rows of a spec for the samples of a dataset, which are the same for all models of any modality.

    With "all" for `caption`, `picture` or `sound`, `combine` combines several of them: "mean_features" averages their
    features, "concatenate_text" joins captions by a space into one text, and "multiply_items" creates one row for
    each (`core.rows`), where repeated items are computed once per shard. These options change alignment scores in
    different directions, so they are part of the key.

    Raises:
        SpecError: `caption`, `picture` or `sound` is neither "first" nor "all" nor an index, or pictures are to be
            joined as texts.
        DataError: a sample has no caption, picture or sound with that index.
    """
    if spec.picture == "all" and spec.combine == "concatenate_text" and max(samples.pictures or [1], default=1) > 1:
        raise SpecError(
            "combine=concatenate_text joins captions, but with picture=all there are several pictures per item, which "
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
        [[(row.sample, j) for j in row.sounds] for row in rows],
    )
