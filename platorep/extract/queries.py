"""Features of a text or picture outside the dataset, computed in the same way as those of the samples."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import Any

import torch

from platorep.core.errors import SpecError
from platorep.core.resources import Resources, pick_device
from platorep.core.samples import Samples
from platorep.core.specs import ExtractSpec
from platorep.extract.batches import Budget, free_memory
from platorep.extract.encoding import file_shards, fitted, text_shards
from platorep.extract.items import items_of
from platorep.models.sources import load


@dataclass(frozen=True)
class Query:
    """A text or a picture. It implements the part of a dataset that extraction uses, with one sample.

    Args:
        text: the text, or the name of the picture.
        image: 8-bit RGB.
    """

    text: str
    image: Any = None

    @property
    def modality(self) -> str:
        """Modality of the models that can read the query: language or vision."""
        return "language" if self.image is None else "vision"

    @property
    def samples(self) -> Samples:
        """The query as the only sample."""
        return Samples(["query"], [[self.text]])

    def picture(self, index: int, number: int = 0) -> Any:
        """The picture."""
        return self.image

    def sound(self, index: int, number: int = 0) -> Any:
        """Raises, because models of sounds have no queries."""
        raise SpecError("a query is a text or a picture; sounds are not searched for.")


def query_features(spec: ExtractSpec, samples: Samples, query: Query, resources: Resources) -> list[torch.Tensor]:
    """Features of a query in every layer of an extraction, shape (d_layer,) float32 each, rounded as stored ones are.

    Prompt, pooled tokens, length limit, pooling and dtype are those of the extraction. Word counts are fitted on the
    captions of the samples, as in the extraction, and not on the query.

    Args:
        spec: spec of the stored features, with resolved model and dataset.
        samples: samples of the dataset.
        query: a query of the model's modality.
        resources: device and token budget.

    Raises:
        DataError: the query cannot be used.
        SpecError, AssetError: the model cannot be loaded.
        FeatureError: the query does not fit into memory.

    Cost: loading the model, and one forward pass.
    """
    device = pick_device(resources.device)
    budget = Budget.find(resources.tokens, device)
    alone = items_of(spec.replace(caption="first", picture="first"), query.samples)
    encoder: Any = load(spec.model, device)
    try:
        encoder.select(spec.layers)
        if query.modality == "language":
            reader = fitted(encoder, items_of(spec, samples))
            layers, _, _ = next(text_shards(reader, spec, alone, [(0, 1)], budget, bits=False))
        else:
            with closing(file_shards(encoder, query, alone, [(0, 1)], budget, 0, device)) as shards:
                layers, _, _ = next(shards)
    finally:
        del encoder
        free_memory()
    return [layer[0].to(getattr(torch, spec.storage_dtype)).float() for layer in layers]
