"""The null of the maximum over layers, by permutations shared across layers, models and metrics.

The score that is reported for two models is the best of all their layer pairs, so it must be compared with the best of
all layer pairs under relabelling, not with one pair's chance level. One relabelling of the samples is applied to all
layers of all models at once. Neighbour graphs and centred Gram matrices are relabelled, never recomputed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy import sparse
from scipy.stats import false_discovery_control

from platorep.core.errors import FeatureError, SpecError, unknown_name
from platorep.metrics.base import Metric
from platorep.stats.permutations import Permutations
from platorep.stats.relabel import relabel


Pair = tuple[str, str]


@dataclass(frozen=True)
class MaxNull:
    """Best score of each pair of models, with its null.

    Attributes:
        pairs: (x model, y model), P of them.
        observed: best score over the layer pairs, shape (P,) float64.
        layers: (x layer, y layer) of the best score as indices into the layers given, shape (P, 2); a tie goes to the
            lower index.
        null: best score under each relabelling, shape (P, K) float64; relabelling b is the same in every row.
        permutations: the relabellings, with their seed and strata.
    """

    pairs: tuple[Pair, ...]
    observed: np.ndarray
    layers: np.ndarray
    null: np.ndarray
    permutations: Permutations

    @property
    def p(self) -> np.ndarray:
        """One-sided p-value of each pair, (1 + #{null >= observed}) / (K + 1), shape (P,).

        Exact under exchangeability.
        """
        return _rank_p(self.observed, self.null)

    @property
    def p_family(self) -> np.ndarray:
        """p-value corrected for the whole family of pairs by single-step max-T (Westfall and Young 1993), shape (P,).

        Each pair's scores are standardised by the mean and standard deviation of its K + 1 values, the observed one
        included: that treats all relabellings alike, so the test stays exact when no pair is related. The maximum over
        pairs of each relabelling is the null. Controls the chance of even one false rejection in the matrix.
        """
        values = np.column_stack([self.observed, self.null])
        spread = values.std(axis=1, keepdims=True)
        standard = (values - values.mean(axis=1, keepdims=True)) / np.where(spread > 0, spread, 1)
        return _rank_p(standard[:, 0], np.broadcast_to(standard[:, 1:].max(axis=0), self.null.shape))

    @property
    def q(self) -> np.ndarray:
        """Adjusted p over the pairs, shape (P,), after Benjamini and Hochberg (1995).

        Rejecting all pairs with q <= a bounds the false discovery rate by a.
        """
        return false_discovery_control(self.p, method="bh")

    def frame(self) -> pd.DataFrame:
        """One row per pair: models, layers, score, mean and sd of the null maximum, p, p_family, q, and the draws."""
        return pd.DataFrame(
            {
                "x_model": [x for x, _ in self.pairs],
                "y_model": [y for _, y in self.pairs],
                "x_layer": self.layers[:, 0],
                "y_layer": self.layers[:, 1],
                "score": self.observed,
                "null_mean": self.null.mean(axis=1),
                "null_sd": self.null.std(axis=1, ddof=1) if self.null.shape[1] > 1 else np.nan,
                "p_value": self.p,
                "p_family": self.p_family,
                "q_value": self.q,
                "p_floor": self.permutations.floor,
                "permutations": self.null.shape[1],
                "seed": self.permutations.seed,
                "restricted": self.permutations.strata is not None,
            }
        )


def max_null(
    graphs: Mapping[str, torch.Tensor],
    pairs: Iterable[Pair],
    permutations: int = 1000,
    seed: int = 0,
    strata: Sequence | np.ndarray | pd.Series | None = None,
) -> MaxNull:
    """Null of the maximum of mutual_knn over all layer pairs, for all pairs of models at once.

    The score of layers a and b is sum_i |A_i ∩ B_i| / (n k). Relabelling y by an order o moves an edge (i, j) of x to
    (o[i], o[j]), so the overlaps of every layer pair are one sparse product of edge lists, and no graph is rebuilt.
    The concatenation of all layers takes part as one more layer of the tensor.

    Args:
        graphs: neighbour indices by model name, shape (layers, n, k) int32 or int64, without self; n and k are the same
            for all.
        pairs: (x model, y model); a model may appear on both sides.
        permutations: number K of relabellings; p cannot fall below 1/(K + 1), and a Bonferroni-like correction of P
            pairs needs K >= 20 P.
        seed: seed of the relabellings.
        strata: labels to permute within; see `Permutations.draw`.

    Returns:
        Observed maxima, their layers, and the null maxima.

    Raises:
        FeatureError: graphs whose shapes differ or whose indices are not those of n samples.
        UnknownNameError: a pair names a model without a graph.
        DataError: strata that leave nothing to permute.

    Cost: for two models of 33 and 24 layers at n = 1024, k = 10, about 2 ms per relabelling on 2 cores; work grows as
    n k (layers of x + layers of x times layers of y times k / n). Memory 4 n^2 bytes for each distinct set of y models
    (1.6 GB at n = 20,000). As many relabellings are processed at a time as torch has threads.
    """
    pairs = _checked_pairs(pairs, graphs)
    used = {name: _checked_graph(name, graphs[name]) for name in dict.fromkeys(name for pair in pairs for name in pair)}
    shapes = {name: graph.shape[1:] for name, graph in used.items()}
    if len(set(shapes.values())) > 1:
        raise FeatureError(f"neighbour graphs must share n and k; got {shapes}.")
    n, k = next(iter(shapes.values()))
    drawn = Permutations.draw(n, permutations, seed, strata)

    partners: dict[str, list[str]] = {}
    for x, y in pairs:
        partners.setdefault(x, []).append(y)
    lookups: dict[tuple[str, ...], sparse.csr_array] = {}
    for ys in map(tuple, partners.values()):
        if ys not in lookups:
            lookups[ys] = _edges(np.concatenate([used[y] for y in ys])).T.tocsr()
    edges = {x: _edges(used[x]) for x in partners}

    def scores(order: np.ndarray) -> dict[Pair, np.ndarray]:
        blocks = {}
        for x, ys in partners.items():
            e = edges[x]
            target, source = order.take(e.indices // n).astype(e.indices.dtype), order.take(e.indices % n)
            moved = sparse.csr_array((e.data, target * e.indices.dtype.type(n) + source, e.indptr), shape=e.shape)
            overlaps = (moved @ lookups[tuple(ys)]).toarray().astype(np.float64) / (n * k)
            ends = np.cumsum([len(used[y]) for y in ys])[:-1]
            blocks.update({(x, y): block for y, block in zip(ys, np.split(overlaps, ends, axis=1), strict=True)})
        return blocks

    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        return _collect(pairs, drawn, scores, pool.map)


def max_null_prepared(
    metric: Metric,
    layers: Mapping[str, Sequence[Any]],
    pairs: Iterable[Pair],
    permutations: int = 1000,
    seed: int = 0,
    strata: Sequence | np.ndarray | pd.Series | None = None,
) -> MaxNull:
    """Null of the maximum over all layer pairs, for any metric. The prepared layers of y are relabelled.

    With one seed, n and strata it draws the relabellings of `max_null`, so nulls of several metrics are comparable draw
    by draw.

    Args:
        metric: any metric that declares `relabels`.
        layers: `metric.prepare` of each layer, by model name; the concatenation is one more layer.
        pairs: (x model, y model).
        permutations: number K of relabellings.
        seed: seed of the relabellings.
        strata: labels to permute within; see `Permutations.draw`.

    Returns:
        Observed maxima, their layers, and the null maxima.

    Raises:
        FeatureError: layers of different n.
        UnknownNameError: a pair names a model without layers.
        DataError: strata that leave nothing to permute.

    Cost: a relabelling moves each y layer once and scores all pairs with `metric.score_all`. For `mutual_knn` use
    `max_null`.
    """
    pairs = _checked_pairs(pairs, layers)
    sizes = {
        name: {state.n for state in layers[name]} for name in dict.fromkeys(name for pair in pairs for name in pair)
    }
    if len(set().union(*sizes.values())) != 1:
        raise FeatureError(f"all layers must have one number of samples; got {sizes}.")
    drawn = Permutations.draw(next(iter(sizes.values())).pop(), permutations, seed, strata)

    def scores(order: np.ndarray) -> dict[Pair, np.ndarray]:
        blocks = {}
        for y, xs in partners.items():
            moved = relabel(layers[y], torch.from_numpy(order).long())
            blocks.update({(x, y): metric.score_all(layers[x], moved).numpy() for x in xs})
        return blocks

    partners: dict[str, list[str]] = {}
    for x, y in pairs:
        partners.setdefault(y, []).append(x)
    return _collect(pairs, drawn, scores, map)


def _collect(
    pairs: tuple[Pair, ...],
    drawn: Permutations,
    scores: Callable[[np.ndarray], dict[Pair, np.ndarray]],
    run: Callable[[Callable, Iterable], Iterable],
) -> MaxNull:
    """Observed scores and null maxima from a function of the order that returns all layer pairs' scores."""
    blocks = scores(np.arange(drawn.n, dtype=np.int32))
    layers = np.array([np.unravel_index(blocks[pair].argmax(), blocks[pair].shape) for pair in pairs])
    observed = np.array([blocks[pair].max() for pair in pairs])

    def maxima(order: np.ndarray) -> list[float]:
        blocks = scores(order)
        return [blocks[pair].max() for pair in pairs]

    return MaxNull(pairs, observed, layers, np.array(list(run(maxima, drawn.order))).T, drawn)


def _rank_p(observed: np.ndarray, null: np.ndarray) -> np.ndarray:
    return (1 + (null >= observed[:, None]).sum(axis=1)) / (null.shape[1] + 1)


def _edges(graphs: np.ndarray) -> sparse.csr_array:
    """Edge lists of L graphs as an (L, n^2) indicator, column i n + j for the edge (i, j)."""
    layers, n, k = graphs.shape
    index = np.int32 if n * n < 2**31 and graphs.size < 2**31 else np.int64
    columns = (np.arange(n)[None, :, None] * n + graphs).reshape(-1).astype(index)
    starts = np.arange(layers + 1, dtype=index) * index(n * k)
    return sparse.csr_array((np.ones(columns.size, dtype=np.float32), columns, starts), shape=(layers, n * n))


def _checked_pairs(pairs: Iterable[Pair], known: Mapping[str, object]) -> tuple[Pair, ...]:
    pairs = tuple(dict.fromkeys((x, y) for x, y in pairs))
    if not pairs:
        raise SpecError("no pairs of models to test; got an empty list.")
    for name in (name for pair in pairs for name in pair):
        if name not in known:
            raise unknown_name("model", name, known)
    return pairs


def _checked_graph(name: str, graph: torch.Tensor) -> np.ndarray:
    if graph.ndim != 3 or graph.dtype not in (torch.int32, torch.int64) or 0 in graph.shape:
        raise FeatureError(
            f"the neighbour graph of {name} must be integers of shape (layers, n, k); "
            f"got {graph.dtype} {tuple(graph.shape)}."
        )
    array = graph.cpu().numpy().astype(np.int64)
    n = array.shape[1]
    if array.min() < 0 or array.max() >= n:
        raise FeatureError(
            f"the neighbour graph of {name} has indices outside its {n} samples: {array.min()} to {array.max()}."
        )
    if (array == np.arange(n)[:, None]).any():
        raise FeatureError(f"the neighbour graph of {name} has samples that are their own neighbours; leave self out.")
    return array
