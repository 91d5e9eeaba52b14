"""Several captions or pictures per item: pooled into one vector, or multiplied into items of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch

from platorep.core.errors import SpecError
from platorep.core.features import ArrayFeatures, Features
from platorep.metrics.base import Geometry
from platorep.results.studies import StudyTable
from platorep.stats import items
from platorep.stats.saturation import LEAST_COUNTS, saturation
from platorep.studies.layers import Inputs, Layer, bounded, columns_of, common_shares


VIEWS = {"language": "captions", "vision": "pictures"}
"""Modality of a variant: what there are several of."""

POOLED, MULTIPLIED = "pooled", "multiplied"
SCORE, RISE, FALL = "mutual k-NN", "rise from one to all", "fall from one to all"
LIMIT, AMPLITUDE, EXPONENT, EXPLAINED = "limit S", "amplitude C", "exponent α", "R² of the law"

Curves = dict[str, np.ndarray]
"""Reading: score of every item at every number of views, shape (n, counts)."""


class _Views(NamedTuple):
    """What there are several of, the side of the pairs that it is on, and the rows of every item, shape (n, views)."""

    name: str
    side: str
    rows: np.ndarray

    @property
    def other(self) -> str:
        return "y" if self.side == "x" else "x"


def several(
    inputs: Inputs,
    *,
    k: int = 10,
    counts: Sequence[int] | None = None,
    progress: Callable[[int, int, str], object] | None = None,
) -> StudyTable:
    """Mutual k-NN against the number of captions (or pictures) per item, in both readings of "several".

    Pooled: the features of n captions of an item are averaged, and there are as many items as before. Multiplied: every
    caption is an item of its own with a copy of the picture, and neighbours are searched among the n times as many
    items, without the other captions of its own picture. Copies of one picture are equally near, and a caption's
    neighbours meet them in the mean over their orders. Both readings are the same with one caption.

    Captions are taken in turns: of m captions, the n that follow the first, the second, and so on, so that each counts
    as often at every n. Layers are those that the protocol chose for the first caption. Intervals are over items in the
    same gallery. The null is the mean over relabelled items, k / (n - 1) pooled and divided by the number of captions
    multiplied. The law S - C n^(-alpha) is fitted to the pooled scores (`stats.saturation`).

    Args:
        inputs: with variants whose items have several rows (`caption=all` or `picture=all`, `combine=multiply_items`).
        k: number of neighbours.
        counts: numbers of captions per item; None for all from 1.
        progress: called after each pair of models.

    Returns:
        One row per pair, reading and number of captions, followed by the law and the rise; then the same of the mean
        over pairs.

    Raises:
        SpecError: no variant has several rows per item, or `counts` does not begin with 1 or exceeds the least number.
    """
    variants = {name: _views(inputs, name, models) for name, models in inputs.variants.items()}
    with_views = {name: views for name, views in variants.items() if views is not None}
    if not with_views:
        raise SpecError(
            "the experiment needs items with several captions or pictures: a variant in recipe.variants with reading: "
            "{caption: all, combine: multiply_items}, or picture: all, on a dataset that has them."
        )
    rows: list[dict[str, Any]] = []
    graphs = inputs.layers(lambda geometry: geometry.neighbours(k).cpu().numpy())
    for name, views in with_views.items():
        steps = _steps(counts, views.rows.shape[1])
        searched = {
            model: _searched(inputs, features, views.rows, steps, k)
            for model, features in inputs.variants[name].items()
        }
        whole: list[Curves] = []
        for number, (_, pair) in enumerate(inputs.pairs.iterrows(), 1):
            own, other = ((pair[f"{side}_model"], pair[f"{side}_layer"]) for side in (views.side, views.other))
            if own[0] in searched:
                curves = _curves(searched[own[0]], own, graphs[other], steps, k)
                whole.append(curves)
                rows += [columns_of(pair) | row for row in _rows(views.name, steps, curves, k, inputs.seed)]
            if progress is not None:
                progress(number, len(inputs.pairs), f"{views.name}: {pair.x_model} × {pair.y_model}")
        mean = {reading: np.mean([curves[reading] for curves in whole], axis=0) for reading in (POOLED, MULTIPLIED)}
        note = {"note": f"mean over {len(whole)} pairs of models, k = {k}"}
        rows += [row | note for row in _rows(views.name, steps, mean, k, inputs.seed)]
    return StudyTable.of_rows(rows, study="several", **inputs.common())


def _views(inputs: Inputs, name: str, models: Mapping[str, Features]) -> _Views | None:
    """The views of every item, as many as the item with the fewest has; None where each item has one row."""
    owners = np.asarray(inputs.rows.get(name, ()), dtype=np.int64)
    modality = next((model.spec.model.modality for model in models.values()), "")
    if len(owners) <= inputs.n or modality not in VIEWS:
        return None
    per_item = np.bincount(owners, minlength=inputs.n)
    order = np.argsort(owners, kind="stable")
    starts = np.cumsum(per_item) - per_item
    rows = order[starts[:, None] + np.arange(per_item.min())]
    return _Views(VIEWS[modality], "x" if modality == "language" else "y", rows) if per_item.min() > 1 else None


def _steps(counts: Sequence[int] | None, most: int) -> list[int]:
    steps = list(range(1, most + 1)) if counts is None else sorted(counts)
    if not steps or steps[0] != 1 or steps[-1] > most or len(steps) < 2:
        raise SpecError(
            f"recipe.study.counts is {steps}; expected two or more numbers from 1 to {most}, beginning with 1: the "
            f"item with the fewest captions or pictures has {most}."
        )
    return steps


def _searched(
    inputs: Inputs, features: Features, rows: np.ndarray, steps: Sequence[int], k: int
) -> dict[tuple[str, int, int], dict[Layer, np.ndarray]]:
    """Neighbours of the chosen layers by reading, number of views and first view.

    Pooled: shape (n, k), items. Multiplied: shape (n, views, k), items of the k nearest views of other items.
    """
    tensors = [features.load(layer) for layer in range(len(features.layers))]
    most = rows.shape[1]
    graphs = {}
    for count in steps:
        for first in range(most if count < most else 1):
            places = torch.from_numpy(rows[:, (first + np.arange(count)) % most])
            pooled = _in_memory(features, [tensor[places].mean(dim=1) for tensor in tensors])
            spread = _in_memory(features, [tensor[places.flatten()] for tensor in tensors])
            graphs[POOLED, count, first] = inputs.layers(
                lambda geometry: geometry.neighbours(k).cpu().numpy(), [pooled]
            )
            graphs[MULTIPLIED, count, first] = inputs.layers(partial(_owners, count=count, k=k), [spread])
    return graphs


def _in_memory(features: Features, tensors: Sequence[torch.Tensor]) -> ArrayFeatures:
    names = [layer.name for layer in features.layers]
    return ArrayFeatures(features.name, tensors, features.dataset, features.spec.model.modality, names)


def _owners(geometry: Geometry, *, count: int, k: int) -> np.ndarray:
    """The items of the k nearest rows of other items, shape (n, count, k); an item's rows stand together."""
    near = geometry.neighbours(k + count - 1).cpu().numpy() // count
    own = np.arange(len(near))[:, None] // count
    kept = np.argsort(near == own, axis=1, kind="stable")[:, :k]  # others first, in their order
    return np.take_along_axis(near, kept, axis=1).reshape(-1, count, k)


def _curves(
    searched: Mapping[tuple[str, int, int], Mapping[Layer, np.ndarray]],
    layer: Layer,
    other: np.ndarray,
    steps: Sequence[int],
    k: int,
) -> Curves:
    curves = {}
    for reading, score in ((POOLED, common_shares), (MULTIPLIED, multiplied_overlap)):
        per_count: list[list[np.ndarray]] = [[] for _ in steps]
        for (which, count, _), graphs in searched.items():
            if which == reading:
                per_count[steps.index(count)].append(score(graphs[layer], other))
        curves[reading] = np.column_stack([np.mean(scores, axis=0) for scores in per_count])
    return curves


def multiplied_overlap(owners: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Share of the k neighbours of an item's views that are among the k nearest of the copies on the other side.

    A copy of a picture is as near as its other copies. The k nearest copies are those of the first k // views pictures,
    and of the next one as many as are left, drawn at random: its share is the mean over the draws.

    Args:
        owners: items of the neighbours of every view, shape (n, views, k).
        other: neighbours of the items on the other side, nearest first, shape (n, k).

    Returns:
        Shape (n,), the mean over views.
    """
    _, views, k = owners.shape
    full, rest = divmod(k, views)
    shares = np.zeros(other.shape[1])
    shares[:full] = 1.0
    if rest:
        shares[full] = rest / views
    met = owners[:, :, :, None] == other[:, None, None, :]
    return (met * shares).sum(axis=3).mean(axis=(1, 2))


def _rows(what: str, steps: Sequence[int], curves: Curves, k: int, seed: int) -> Iterator[dict[str, Any]]:
    for reading, values in curves.items():
        where = {"setting": f"{what} {reading}", "items": len(values)}
        for place, count in enumerate(steps):
            chance = k / (len(values) - 1) / (count if reading == MULTIPLIED else 1)
            row = bounded(SCORE, items.mean(values[:, place])) | {"null_mean": chance}
            yield where | row | {"position": count}
        rise = values[:, -1] - values[:, 0]
        yield where | (bounded(RISE, items.mean(rise)) if reading == POOLED else bounded(FALL, items.mean(-rise)))
        if reading == POOLED and len(steps) >= LEAST_COUNTS:
            law = saturation(np.asarray(steps), values, seed=seed)
            for name, bounds in zip((LIMIT, AMPLITUDE, EXPONENT), law[:3], strict=True):
                yield where | bounded(name, bounds)
            yield where | {"quantity": EXPLAINED, "value": law.explained}
