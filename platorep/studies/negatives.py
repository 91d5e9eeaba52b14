"""Hard negatives: is an item's own caption nearer to its picture than a caption that is wrong in one word?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch

from platorep.core.errors import SpecError
from platorep.data.captions import mismatched
from platorep.metrics.base import Geometry
from platorep.results.studies import StudyTable
from platorep.stats import items
from platorep.stats.draws import against
from platorep.stats.negatives import nearer, relabelled_nearer
from platorep.stats.permutations import Permutations
from platorep.studies.layers import Inputs, Layer, bounded, columns_of


NEARER = "own caption nearer"
EASY = "caption of another item"

FITTED = ("tfidf",)
"""Sources that are fitted to the captions, so that features of other captions are in another space."""


def negatives(
    inputs: Inputs,
    *,
    k: int = 10,
    permutations: int = 199,
    progress: Callable[[int, int, str], object] | None = None,
) -> StudyTable:
    """Share of items whose own caption has more neighbours in common with their picture than a wrong caption.

    Wrong captions are those of every variant of the dataset, and as an easy control those of another item. A wrong
    caption is searched among the true captions of all other items. The null assigns the pictures to other items; its
    mean is 1/2. Intervals are over items.

    Args:
        inputs: inputs with variants whose captions are wrong.
        k: number of neighbours.
        permutations: number of permutations of the pictures.
        progress: called after each pair of models.

    Returns:
        One row per pair and kind of wrong caption, followed by their means over all pairs. Models that are fitted to
        the captions (TF-IDF) are left out.

    Raises:
        SpecError: there is no variant, or no model is left.
    """
    if not inputs.variants:
        raise SpecError("the experiment needs wrong captions: a variant of the dataset in recipe.variants.")
    fitted = {model.name for model in inputs.models if model.spec.model.source in FITTED}
    pairs = inputs.pairs[~inputs.pairs.x_model.isin(fitted)]
    if pairs.empty:
        raise SpecError(f"no language model is left without {', '.join(sorted(fitted))}.")
    partner = mismatched(inputs.n, 1.0, inputs.seed)
    graphs = inputs.layers(lambda geometry: geometry.neighbours(k).cpu().numpy())
    wrong = _wrong(inputs, partner, k)
    orders = Permutations.draw(inputs.n, permutations, inputs.seed).order
    rows: list[dict[str, Any]] = []
    totals: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    for number, (_, pair) in enumerate(pairs.iterrows()):
        x, y = (pair.x_model, pair.x_layer), (pair.y_model, pair.y_layer)
        for kind, sides in wrong.items():
            if x not in sides:
                continue
            hits = nearer(graphs[x], sides[x], graphs[y])
            null = relabelled_nearer(graphs[x], sides[x], graphs[y], orders)
            rows.append(columns_of(pair) | _row(kind, hits, null))
            totals.setdefault(kind, []).append((hits, null))
        if progress is not None:
            progress(number + 1, len(pairs), f"{pair.x_model} × {pair.y_model}")
    rows += list(_totals(totals, k))
    return StudyTable.of_rows(rows, study="negatives", **inputs.common())


def _wrong(inputs: Inputs, partner: np.ndarray, k: int) -> dict[str, dict[Layer, np.ndarray]]:
    """Neighbours of wrong captions among the true ones of other items, by kind and layer."""
    rows = inputs.layers(_rows)
    kinds = {EASY: {layer: _search(x[partner], x, k, partner) for layer, x in rows.items()}}
    for name, models in inputs.variants.items():
        others = inputs.layers(_rows, list(models.values()))
        kinds[name] = {
            layer: _search(other, rows[layer], k) for layer, other in others.items() if other.shape == rows[layer].shape
        }
    return kinds


def _rows(geometry: Geometry) -> torch.Tensor:
    return geometry.x.cpu()


def _search(queries: torch.Tensor, gallery: torch.Tensor, k: int, source: np.ndarray | None = None) -> np.ndarray:
    """The k nearest gallery rows of each query, without the query's own item and without the item it was taken from."""
    closeness = queries @ gallery.T
    closeness.fill_diagonal_(-torch.inf)
    if source is not None:
        closeness[torch.arange(len(queries)), torch.from_numpy(source)] = -torch.inf
    return closeness.topk(k, dim=1).indices.numpy()


def _row(kind: str, hits: np.ndarray, null: np.ndarray) -> dict[str, Any]:
    bounds = items.mean(hits)
    return {"setting": kind} | bounded(NEARER, bounds) | {"items": len(hits)} | against(bounds.score, null)._asdict()


def _totals(totals: Mapping[str, list[tuple[np.ndarray, np.ndarray]]], k: int) -> Iterator[dict[str, Any]]:
    for kind, found in totals.items():
        hits, null = (np.mean([each[side] for each in found], axis=0) for side in (0, 1))
        yield _row(kind, hits, null) | {"note": f"mean over {len(found)} pairs of models, k = {k}"}
