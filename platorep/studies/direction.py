"""Direction: cycle k-NN both ways, their difference, and the hubs and densities that may explain it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.stats import spearmanr

from platorep.metrics.base import Geometry
from platorep.results.studies import StudyTable
from platorep.stats import items
from platorep.stats.direction import cycles, flipped_means, relabelled_cycles
from platorep.stats.draws import against
from platorep.stats.hubness import hubness
from platorep.stats.permutations import Permutations
from platorep.studies.layers import Inputs, bounded, columns_of


BACK_X, BACK_Y = "cycle k-NN, back through x", "cycle k-NN, back through y"
ASYMMETRY, UNRELATED = "asymmetry", "asymmetry of unrelated graphs"
HUBS, DENSITY = "in-degree skewness, x less y", "spread of density, x less y"


class _Graph(NamedTuple):
    neighbours: np.ndarray
    skewness: float
    spread: float


def direction(
    inputs: Inputs,
    *,
    k: int = 10,
    permutations: int = 199,
    progress: Callable[[int, int, str], object] | None = None,
) -> StudyTable:
    """Cycle k-NN of every pair of models both ways, and the asymmetry: back through x minus back through y.

    Numbers and their nulls: either way, with y's samples relabelled; the asymmetry, with the signs of the samples'
    differences drawn at random (sides that are exchangeable), two-sided; the asymmetry of unrelated graphs, the mean
    over relabellings with their central 95 %. Intervals are over samples, for the same gallery. Beside them, x
    less y: the skewness of the in-degrees, and the standard deviation of the logarithm of the distance to the k-th
    neighbour. The totals have the means over all pairs, with intervals over samples for these models, and the rank
    correlations of the asymmetry with both.

    Args:
        inputs: pairs of models, x language.
        k: number of neighbours.
        permutations: number of relabellings, and of draws of signs.
        progress: called after each pair.

    Cost: pairs times permutations times n k.
    """
    graphs = inputs.layers(lambda geometry: _graph(geometry, k))
    orders = Permutations.draw(inputs.n, permutations, inputs.seed).order
    rows: list[dict[str, Any]] = []
    whole = np.zeros((inputs.n, 2))
    for number, (_, pair) in enumerate(inputs.pairs.iterrows()):
        x, y = (graphs[pair[f"{side}_model"], pair[f"{side}_layer"]] for side in "xy")
        whole += np.column_stack(cycles(x.neighbours, y.neighbours)) / len(inputs.pairs)
        rows += [columns_of(pair) | row for row in _rows(x, y, orders, inputs.seed)]
        if progress is not None:
            progress(number + 1, len(inputs.pairs), f"{pair.x_model} × {pair.y_model}")
    table = StudyTable.of_rows(rows, study="direction", **inputs.common())
    totals = [row | {"note": f"over {inputs.of_pairs()}, k = {k}"} for row in _totals(table, whole, inputs)]
    return StudyTable.concatenate([table, StudyTable.of_rows(totals, study="direction", **inputs.common())])


def _graph(geometry: Geometry, k: int) -> _Graph:
    neighbours = geometry.neighbours(k).cpu()
    x = geometry.x if geometry.similarity == "cosine" else geometry.moved
    far = (x - x[neighbours[:, -1].to(x.device)]).double().norm(dim=1).cpu().numpy()
    spread = float(np.log(np.maximum(far, 1e-12)).std())
    skewness = float(hubness(neighbours[None].to(torch.int64)).in_degree_skewness.iloc[0])
    return _Graph(neighbours.numpy(), skewness, spread)


def _rows(x: _Graph, y: _Graph, orders: np.ndarray, seed: int) -> Iterator[dict[str, Any]]:
    ways = cycles(x.neighbours, y.neighbours)
    unrelated = relabelled_cycles(x.neighbours, y.neighbours, orders)
    for quantity, way, null in zip((BACK_X, BACK_Y), ways, unrelated.T, strict=True):
        bounds = items.share(way)
        yield bounded(quantity, bounds) | {"items": len(way)} | against(bounds.score, null)._asdict()
    differences = ways.back_through_x.astype(float) - ways.back_through_y
    bounds, null = items.mean(differences), flipped_means(differences, len(orders), seed)
    yield (
        bounded(ASYMMETRY, bounds) | {"items": len(differences)} | against(bounds.score, null, two_sided=True)._asdict()
    )
    apart = unrelated[:, 0] - unrelated[:, 1]
    low, high = np.quantile(apart, [0.025, 0.975])
    yield {"quantity": UNRELATED, "value": apart.mean(), "low": low, "high": high, "permutations": len(orders)}
    yield {"quantity": HUBS, "value": x.skewness - y.skewness}
    yield {"quantity": DENSITY, "value": x.spread - y.spread}


def _totals(table: StudyTable, whole: np.ndarray, inputs: Inputs) -> Iterator[dict[str, Any]]:
    """Means over pairs, and rank correlations of the asymmetry, with x models exchanged for the null.

    Args:
        table: rows of all pairs.
        whole: share of the pairs in which each sample comes back through x and through y, shape (n, 2).
        inputs: of the experiment.
    """
    wide = table.frame.pivot_table(index=["x_model", "y_model"], columns="quantity", values="value", sort=False)
    p = table.frame[table.frame.quantity == ASYMMETRY].p_value
    differences = whole[:, 0] - whole[:, 1]
    for quantity, values in zip((BACK_X, BACK_Y, ASYMMETRY), (*whole.T, differences), strict=True):
        yield bounded(f"mean {quantity}", items.mean(values)) | {"items": len(wide)}
    yield {"quantity": f"mean {UNRELATED}", "value": wide[UNRELATED].mean(), "items": len(wide)}
    yield {"quantity": "share of pairs with an asymmetry (p < .05)", "value": float((p < 0.05).mean()), "items": len(p)}
    rng = np.random.default_rng(inputs.seed)
    grid = wide[ASYMMETRY].unstack()
    for quantity in (HUBS, DENSITY):
        other = wide[quantity].unstack().reindex(index=grid.index, columns=grid.columns)
        if min(grid.shape) < 2 or grid.size < 6:
            continue
        value = _rank(grid.to_numpy(), other.to_numpy())
        draws = np.array(
            [
                _rank(grid.to_numpy()[rng.permutation(len(grid))][:, rng.permutation(grid.shape[1])], other.to_numpy())
                for _ in range(999)
            ]
        )
        yield {"quantity": f"rank correlation of asymmetry and {quantity}", "value": value, "items": grid.size} | (
            against(value, draws, two_sided=True)._asdict()
        )


def _rank(a: np.ndarray, b: np.ndarray) -> float:
    known = np.isfinite(a) & np.isfinite(b)
    if np.ptp(a[known]) == 0 or np.ptp(b[known]) == 0:
        return 0.0
    return float(spearmanr(a[known], b[known]).statistic)
