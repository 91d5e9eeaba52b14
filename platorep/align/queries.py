"""The stored samples nearest to a query, in one layer of a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch

from platorep.align.layers import ModelLayers
from platorep.core.clamp import Clamp
from platorep.core.errors import FeatureError
from platorep.core.features import Features
from platorep.metrics.knn import Similarity
from platorep.results.tables import CONCATENATION


class Nearby(NamedTuple):
    """Samples by falling similarity.

    Attributes:
        rows: places of the samples, of a tie the first, at most k.
        similarities: cosine, or minus the Euclidean distance.
    """

    rows: list[int]
    similarities: list[float]


def nearest_samples(
    features: Features,
    query: Sequence[torch.Tensor],
    layer: int,
    *,
    k: int,
    similarity: Similarity = "cosine",
    clamp: Clamp,
    memory: int,
) -> Nearby:
    """The k samples nearest to a query, by float64 similarities of clamped features.

    The query is clamped at the threshold of the stored features, which does not depend on it. A sample that equals the
    query is its nearest neighbour: nothing is left out.

    Args:
        features: of one model.
        query: its features of the query, one (d_layer,) tensor per layer.
        layer: index of the layer; -1 is the concatenation of all.
        k: number of samples, at least 1.
        similarity: "cosine" or "euclidean".
        clamp: of the features.
        memory: bytes for the layers.

    Raises:
        FeatureError: a vector without direction under cosine, or values that are not finite.

    Cost: n d, and the two passes over all features of the clamp.
    """
    held = ModelLayers(features, clamp=clamp, memory=memory)
    layers = range(len(features.layers)) if layer == CONCATENATION else [layer]
    gallery = torch.cat([held.clipped(index) for index in layers], dim=1).double()
    point = torch.cat([query[index] for index in layers]).double()
    if not torch.isfinite(point).all():
        raise FeatureError("the features of the query are not finite.")
    if held.threshold is not None:
        point = point.clamp(-held.threshold, held.threshold)
    if similarity == "cosine":
        lengths, length = gallery.norm(dim=1), point.norm()
        if not length > 0 or not (lengths > 0).all():
            whose = f"sample {int((lengths == 0).nonzero()[0])}" if length > 0 else "the query"
            raise FeatureError(f"the vector of {whose} is zero, which has no direction.")
        closeness = gallery @ point / (lengths * length)
    else:
        closeness = -(gallery - point).norm(dim=1)
    order = closeness.argsort(descending=True, stable=True)[:k]
    return Nearby(order.tolist(), closeness[order].tolist())
