"""The null of the maximum over layers, by permutations shared across layers, models and metrics.

The score that is reported for two models is the best of all their layer pairs, so it must be compared with the best of
all layer pairs under relabelling, not with one pair's chance level. One relabelling of the samples is applied to all
layers of all models at once. Neighbour graphs and centred Gram matrices are relabelled, never recomputed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from scipy import sparse
from scipy.stats import false_discovery_control

from platorep.core.errors import FeatureError, SpecError, unknown_name
from platorep.stats.permutations import Permutations


Pair = tuple[str, str]


@dataclass(frozen=True)
class MaxNull:
    """Best score of each pair of models beside its null.

    Attributes:
        pairs: (x model, y model), P of them.
        observed: best score over the layer pairs, shape (P,) float64.
        layers: (x layer, y layer) of the best score as indices into the layers given, shape (P, 2); a tie goes to the lower index.
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
        """One-sided p-value of each pair, (1 + #{null >= observed}) / (K + 1), shape (P,); exact under exchangeability."""
        return _rank_p(self.observed, self.null)

    @property
    def p_family(self) -> np.ndarray:
        """p-value corrected for the whole family of pairs by single-step max-T (Westfall and Young 1993), shape (P,).

        Each pair's scores are standardised by the mean and standard deviation of its K + 1 values, the observed one included:
        that treats all relabellings alike, so the test stays exact when no pair is related. The maximum over pairs of each
        relabelling is the null. Controls the chance of even one false rejection in the matrix.
        """
        values = np.column_stack([self.observed, self.null])
        spread = values.std(axis=1, keepdims=True)
        standard = (values - values.mean(axis=1, keepdims=True)) / np.where(spread > 0, spread, 1)
        return _rank_p(standard[:, 0], np.broadcast_to(standard[:, 1:].max(axis=0), self.null.shape))

    @property
    def q(self) -> np.ndarray:
        """Benjamini and Hochberg's (1995) adjusted p over the pairs, shape (P,): rejecting q <= a bounds the false discovery rate by a."""
        return false_discovery_control(self.p, method="bh")

    def frame(self) -> pd.DataFrame:
        """One row a pair: models, layers, score, null mean and sd of the maximum, p, p_family, q, and how they were drawn."""
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
        graphs: neighbour indices by model name, shape (layers, n, k) int64 without self; n and k are the same for all.
        pairs: (x model, y model); a model may appear on both sides.
        permutations: number K of relabellings; p cannot fall below 1/(K + 1), and a Bonferroni-like correction of P pairs needs K >= 20 P.
        seed: of the relabellings.
        strata: labels to permute within; see `Permutations.draw`.

    Returns:
        Observed maxima, their layers, and the null maxima.

    Raises:
        FeatureError: graphs whose shapes differ or whose indices are not those of n samples.
        UnknownNameError: a pair names a model without a graph.
        DataError: strata that leave nothing to permute.

    Cost: for two models of 33 and 24 layers at n = 1024, k = 10, about 4 ms a relabelling on 2 cores; work grows as
    n k (layers of x + layers of x times layers of y times k / n). Memory 4 n^2 bytes for each distinct set of y models, so n <= 20,000 or so.
    Torch's number of threads is the number of relabellings worked on at a time.
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
        found = {}
        for x, ys in partners.items():
            e = edges[x]
            target, source = order.take(e.indices // n).astype(e.indices.dtype), order.take(e.indices % n)
            moved = sparse.csr_array((e.data, target * e.indices.dtype.type(n) + source, e.indptr), shape=e.shape)
            overlaps = (moved @ lookups[tuple(ys)]).toarray().astype(np.float64) / (n * k)
            ends = np.cumsum([len(used[y]) for y in ys])[:-1]
            found.update({(x, y): block for y, block in zip(ys, np.split(overlaps, ends, axis=1), strict=True)})
        return found

    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        return _collect(pairs, drawn, scores, pool.map)


def max_null_kernels(
    kernels: Mapping[str, Sequence[torch.Tensor] | torch.Tensor],
    pairs: Iterable[Pair],
    permutations: int = 1000,
    seed: int = 0,
    strata: Sequence | np.ndarray | pd.Series | None = None,
) -> MaxNull:
    """Null of the maximum over layer pairs of the cosine of two centred kernels: CKA and its kin.

    score(K, L) = <K, L> / (|K| |L|) with the Frobenius inner product. With doubly centred Gram matrices H K H this is biased CKA,
    with U-centred ones (Székely and Rizzo 2014) unbiased CKA, with dissimilarities centred to mean zero off the diagonal Pearson RSA,
    with doubly centred distances the squared distance correlation. Relabelling commutes with all of these centrings.

    Args:
        kernels: by model name, one symmetric (n, n) matrix a layer, already centred, floating, all on one device.
        pairs: (x model, y model).
        permutations: number K of relabellings.
        seed: of the relabellings; the same as for `max_null` gives the same relabellings.
        strata: labels to permute within; see `Permutations.draw`.

    Returns:
        Observed maxima, their layers, and the null maxima.

    Raises:
        FeatureError: kernels whose shapes differ, or a kernel that is all zero, for which the score is undefined.
        UnknownNameError: a pair names a model without kernels.
        DataError: strata that leave nothing to permute.

    Cost: a relabelling copies the y model's kernels once, n^2 each, and multiplies 2 n^2 a layer pair.
    """
    pairs = _checked_pairs(pairs, kernels)
    flat = {name: _unit_rows(name, torch.stack([*kernels[name]])) for name in dict.fromkeys(name for pair in pairs for name in pair)}
    sizes = {name: k.shape[1:] for name, k in flat.items()}
    if len(set(sizes.values())) > 1 or any(len(s) != 2 or s[0] != s[1] for s in sizes.values()):
        raise FeatureError(f"kernels must be square and of one size; got { ({name: tuple(s) for name, s in sizes.items()}) }.")
    n = next(iter(sizes.values()))[0]
    drawn = Permutations.draw(n, permutations, seed, strata)

    def scores(order: np.ndarray) -> dict[Pair, np.ndarray]:
        found = {}
        for y, xs in _by_second(pairs):
            o = torch.from_numpy(order).long().to(flat[y].device)
            moved = flat[y][:, o][:, :, o].flatten(1)
            found.update({(x, y): (flat[x].flatten(1) @ moved.T).double().cpu().numpy() for x in xs})
        return found

    return _collect(pairs, drawn, scores, map)


def max_null_features(
    features: Mapping[str, Sequence[torch.Tensor]],
    pairs: Iterable[Pair],
    permutations: int = 1000,
    seed: int = 0,
    strata: Sequence | np.ndarray | pd.Series | None = None,
) -> MaxNull:
    """Null of the maximum of biased linear CKA over layer pairs, in feature space: for n large beside the widths.

    score(X, Y) = |X^T Y|^2 / (|X^T X| |Y^T Y|) with column-centred features; equals `max_null_kernels` with H X X^T H.

    Args:
        features: by model name, one (n, d_layer) floating matrix a layer, on one device; columns are centred here.
        pairs: (x model, y model).
        permutations: number K of relabellings.
        seed: of the relabellings.
        strata: labels to permute within; see `Permutations.draw`.

    Returns:
        Observed maxima, their layers, and the null maxima.

    Raises:
        FeatureError: features whose numbers of rows differ, or constant features.
        UnknownNameError: a pair names a model without features.
        DataError: strata that leave nothing to permute.

    Cost: 2 n d_x d_y a layer pair and relabelling; less than in kernel space where d_x d_y < n^2.
    """
    pairs = _checked_pairs(pairs, features)
    centred: dict[str, list[torch.Tensor]] = {}
    for name in dict.fromkeys(name for pair in pairs for name in pair):
        centred[name] = []
        for layer, x in enumerate(features[name]):
            x = x - x.mean(dim=0)
            size = torch.linalg.matrix_norm(x.T @ x)
            if size == 0:
                raise FeatureError(f"layer {layer} of {name} is constant over the samples: CKA is undefined. Leave the layer out.")
            centred[name].append(x / size.sqrt())
    rows = {len(x) for layers in centred.values() for x in layers}
    if len(rows) > 1:
        raise FeatureError(f"features must have one number of rows; got {sorted(rows)}.")
    drawn = Permutations.draw(rows.pop(), permutations, seed, strata)

    def scores(order: np.ndarray) -> dict[Pair, np.ndarray]:
        found = {}
        for y, xs in _by_second(pairs):
            o = torch.from_numpy(order).long().to(centred[y][0].device)
            moved = [b[o] for b in centred[y]]
            found.update({(x, y): np.array([[(a.T @ b).square().sum().item() for b in moved] for a in centred[x]]) for x in xs})
        return found

    return _collect(pairs, drawn, scores, map)


def _collect(
    pairs: tuple[Pair, ...],
    drawn: Permutations,
    scores: Callable[[np.ndarray], dict[Pair, np.ndarray]],
    run: Callable[[Callable, Iterable], Iterable],
) -> MaxNull:
    """Observed scores and null maxima from a function of the order that returns all layer pairs' scores."""
    found = scores(np.arange(drawn.n, dtype=np.int32))
    layers = np.array([np.unravel_index(found[pair].argmax(), found[pair].shape) for pair in pairs])
    observed = np.array([found[pair].max() for pair in pairs])

    def maxima(order: np.ndarray) -> list[float]:
        found = scores(order)
        return [found[pair].max() for pair in pairs]

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


def _by_second(pairs: tuple[Pair, ...]) -> Iterator[tuple[str, list[str]]]:
    for y in dict.fromkeys(y for _, y in pairs):
        yield y, [a for a, b in pairs if b == y]


def _checked_pairs(pairs: Iterable[Pair], known: Mapping[str, object]) -> tuple[Pair, ...]:
    pairs = tuple(dict.fromkeys((x, y) for x, y in pairs))
    if not pairs:
        raise SpecError("no pairs of models to test; got an empty list.")
    for name in (name for pair in pairs for name in pair):
        if name not in known:
            raise unknown_name("model", name, known)
    return pairs


def _checked_graph(name: str, graph: torch.Tensor) -> np.ndarray:
    if graph.ndim != 3 or graph.dtype != torch.int64 or 0 in graph.shape:
        raise FeatureError(f"the neighbour graph of {name} must be int64 of shape (layers, n, k); got {graph.dtype} {tuple(graph.shape)}.")
    array = graph.cpu().numpy()
    n = array.shape[1]
    if array.min() < 0 or array.max() >= n:
        raise FeatureError(f"the neighbour graph of {name} has indices outside its {n} samples: {array.min()} to {array.max()}.")
    if (array == np.arange(n)[None, :, None]).any():
        raise FeatureError(f"the neighbour graph of {name} has samples that are their own neighbours; leave self out.")
    return array


def _unit_rows(name: str, kernels: torch.Tensor) -> torch.Tensor:
    size = torch.linalg.matrix_norm(kernels)
    if not (size > 0).all():
        raise FeatureError(
            f"kernel {(~(size > 0)).nonzero()[0, 0].item()} of {name} is zero or not finite: its score is undefined. Leave the layer out."
        )
    return kernels / size[:, None, None]
