"""Coarse or fine: do two models share a query's neighbours, or only the category of its neighbours?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from platorep.core.errors import SpecError
from platorep.metrics.base import Geometry
from platorep.results.studies import StudyTable
from platorep.stats import items
from platorep.stats.categories import PARTS, category_shares, neighbour_parts, relabelled_items
from platorep.stats.draws import against
from platorep.stats.permutations import Permutations
from platorep.studies.layers import Inputs, columns_of, geometry_of_rows


QUANTITIES = (*PARTS, "x in category", "y in category", "both sides in category")

GALLERY, PER_CLASS = "samples in the gallery", "samples a category"
"""Settings: a gallery drawn at random, or with the same number of samples of every category."""


@dataclass(frozen=True)
class _Gallery:
    """Some samples, in the order in which they are searched; the first are the queries."""

    setting: str
    position: int
    places: np.ndarray
    queries: int
    orders: np.ndarray  # relabellings of the gallery's samples within their category


@dataclass
class _Sum:
    """Values of all queries of one setting and position, and the draws of their null, over several galleries."""

    values: list[np.ndarray] = field(default_factory=list)
    places: list[np.ndarray] = field(default_factory=list)
    draws: list[np.ndarray] = field(default_factory=list)


def coarse(
    inputs: Inputs,
    *,
    sizes: Sequence[int] = (88, 175, 350, 700),
    per_class: Sequence[int] = (2, 4, 8),
    k: int = 1,
    draws: int = 5,
    permutations: int = 99,
    progress: Callable[[int, int, str], object] | None = None,
) -> StudyTable:
    """Splits the nearest neighbours of fixed queries by item and category, in growing galleries.

    There are two sweeps. In the first, galleries of `sizes` samples are drawn at random, each within the next, and the
    queries are the smallest gallery. In the second, galleries hold m samples of every category that has enough for the
    largest m, and the queries are the gallery with the smallest m. Every sweep is drawn `draws` times. The parts are
    those of `stats.categories.neighbour_parts`. The null of the share of common items relabels y's samples within their
    category: agreement by category alone.

    Args:
        inputs: inputs with categories.
        sizes: sizes of the random galleries; those above the size of the dataset are left out.
        per_class: increasing numbers of samples per category.
        k: number of neighbours of a query.
        draws: number of draws of each sweep.
        permutations: number of relabellings within categories.
        progress: called after each pair of models.

    Returns:
        One row per pair, setting, position and quantity, followed by the same for all pairs together. Intervals are
        over items, for other queries in the same galleries.

    Raises:
        DataError: the dataset has no categories.
        SpecError: no gallery can be drawn.
    """
    codes = pd.factorize(np.asarray(inputs.labels))[0]
    galleries = list(_galleries(codes, sizes, per_class, draws, permutations, inputs.seed))
    if not galleries:
        raise SpecError(
            f"recipe.study: none of the galleries of {list(sizes)} samples or {list(per_class)} samples a category can "
            f"be drawn from {inputs.n} samples whose categories have {max(Counter(codes.tolist()).values())} at most."
        )
    graphs = inputs.layers(lambda geometry: _graphs(geometry, galleries, k))
    rows: list[dict[str, Any]] = []
    total: dict[tuple[str, int], _Sum] = {}
    for number, (_, pair) in enumerate(inputs.pairs.iterrows()):
        x, y = (graphs[pair[f"{side}_model"], pair[f"{side}_layer"]] for side in "xy")
        sums = _sums(x, y, galleries, codes)
        rows += [columns_of(pair) | row for row in _rows(sums)]
        for key, part in sums.items():
            whole = total.setdefault(key, _Sum([0 * v for v in part.values], part.places, [0 * d for d in part.draws]))
            whole.values = [a + b / len(inputs.pairs) for a, b in zip(whole.values, part.values, strict=True)]
            whole.draws = [a + b / len(inputs.pairs) for a, b in zip(whole.draws, part.draws, strict=True)]
        if progress is not None:
            progress(number + 1, len(inputs.pairs), f"{pair.x_model} × {pair.y_model}")
    rows += [row | {"note": f"mean over {inputs.of_pairs()}, k = {k}"} for row in _rows(total)]
    return StudyTable.of_rows(rows, study="coarse", **inputs.common())


def _galleries(
    codes: np.ndarray, sizes: Sequence[int], per_class: Sequence[int], draws: int, permutations: int, seed: int
) -> Iterator[_Gallery]:
    rng = np.random.default_rng(seed)
    sizes = sorted(size for size in sizes if size <= len(codes))
    counts = np.bincount(codes)
    steps = sorted(m for m in per_class if m <= counts.max())
    large = np.flatnonzero(counts >= (steps[-1] if steps else 0))
    for _ in range(draws):
        order = rng.permutation(len(codes))
        plans = [(GALLERY, size, order[:size], sizes[0]) for size in sizes]
        if len(steps) and len(large) > 1:
            ranks = pd.Series(codes[order]).groupby(codes[order]).cumcount().to_numpy()
            inside = np.isin(codes[order], large)
            nested = order[np.lexsort((np.arange(len(order)), ranks))]
            nested = nested[inside[np.lexsort((np.arange(len(order)), ranks))]]
            plans += [(PER_CLASS, m, nested[: m * len(large)], steps[0] * len(large)) for m in steps]
        for setting, position, places, queries in plans:
            labels = codes[places]
            drawn = Permutations.draw(len(places), permutations, int(rng.integers(2**31)), labels)
            yield _Gallery(setting, position, places, queries, drawn.order)


def _graphs(geometry: Geometry, galleries: Sequence[_Gallery], k: int) -> list[np.ndarray]:
    return [geometry_of_rows(geometry, gallery.places).neighbours(k).cpu().numpy() for gallery in galleries]


def _sums(
    x: Sequence[np.ndarray], y: Sequence[np.ndarray], galleries: Sequence[_Gallery], codes: np.ndarray
) -> dict[tuple[str, int], _Sum]:
    sums: dict[tuple[str, int], _Sum] = {}
    for a, b, gallery in zip(x, y, galleries, strict=True):
        queries, labels = np.arange(gallery.queries), codes[gallery.places]
        sides = (a[queries], b[queries], labels[queries], labels)
        part = sums.setdefault((gallery.setting, gallery.position), _Sum())
        part.values.append(np.column_stack([neighbour_parts(*sides), category_shares(*sides)]))
        part.places.append(gallery.places[queries])
        part.draws.append(relabelled_items(a, b, queries, gallery.orders))
    return sums


def _rows(sums: dict[tuple[str, int], _Sum]) -> Iterator[dict[str, Any]]:
    for (setting, position), part in sums.items():
        values = np.concatenate(part.values)
        by_item = pd.DataFrame(values).groupby(np.concatenate(part.places)).mean().to_numpy()
        drawn = np.mean(part.draws, axis=0)
        for number, quantity in enumerate(QUANTITIES):
            value, bounds = float(values[:, number].mean()), items.mean(by_item[:, number])
            row = {"setting": setting, "position": position, "quantity": quantity, "value": value}
            # as wide as over items, which are drawn more than once, around the mean over all draws
            row |= {"low": max(0.0, value - bounds.score + bounds.low), "high": value - bounds.score + bounds.high}
            row |= {"items": len(by_item)}
            yield row | (against(value, drawn)._asdict() if quantity == PARTS[0] else {})
