"""CKNNA: kernel alignment over the pairs of samples that are neighbours on both sides, bounded and as released."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from platorep.core.errors import FeatureError
from platorep.metrics import centred, exact, knn, moments
from platorep.metrics.base import Geometry, Invariance, NeighbourhoodMetric, NullMoments
from platorep.metrics.masked import TABLE, NeighbourValues, dense_hsic, hsic, row_blocks, sparse_hsic


_DENSE = 32  # k above n / 32: a dense product costs less than a sparse one
_WHOLE = 8  # k above n / 8: products of whole tables cost less than look-ups


@dataclass(frozen=True, kw_only=True)
class CKNNA(NeighbourhoodMetric):
    """Centred kernel alignment restricted to common neighbours, bounded.

    CKNNA = Align(K, L) / sqrt(Align(K, K) Align(L, L)), Align(K, L) = sum_ij a_ij b_ij (HKH)_ij (HLH)_ij, where a_ij =
    1 if j is among the k nearest neighbours of i on the first side, b_ij on the second; in a denominator both masks are
    the side's own. The linear kernel is centred over all samples first and masked then, so that the score is the cosine
    of two vectors. Range [-1, 1]; as k grows to n - 1 it becomes the CKA of all pairs of different samples.

    State per layer: 8 n k bytes (82 kB at n = 1,024, k = 10). Cost: n k per layer, in addition to the Gram matrix and
    neighbours; a pair costs its common neighbours (all pairs are one sparse product), or n^2 as one dense product where
    k > n / 32.

    Source: PRH (arXiv:2405.07987) Eq. 16-18 with two-sided centring. The released code masks before it centres:
    `CKNNAPRH`.

    Raises:
        SpecError: k < 1.
        FeatureError: fewer than 4 samples, k >= n, equal samples, or a kernel that vanishes at all neighbours.
    """

    name: ClassVar[str] = "cknna"
    title: ClassVar[str] = "CKNNA"

    def tied(self, state: NeighbourValues) -> float:
        return state.tied

    @property
    def bounds(self) -> tuple[float, float]:
        return (-1.0, 1.0)

    @property
    def invariances(self) -> frozenset[Invariance]:
        if self.similarity == "cosine":
            return frozenset({"orthogonal", "scaling", "sample_scaling"})
        return frozenset({"orthogonal", "scaling", "translation"})

    def check(self, n: int) -> None:
        super().check(n)
        centred.check_samples(self.name, n)

    def state_bytes(self, n: int, d: int) -> int:
        return 8 * n * self.k

    def prepare(self, layer: Geometry) -> NeighbourValues:
        self.check(layer.n)
        columns = layer.neighbours(self.k, self.ties).sort(dim=1).values
        values = _centred_products(layer, columns)
        norm = torch.linalg.vector_norm(values)
        if not norm > 0:
            raise FeatureError("the centred kernel is 0 at every neighbour: cknna is undefined. Leave this layer out.")
        values = exact.on_grid((values / norm).float())
        own = exact.squared_norm(values.flatten())
        return NeighbourValues(columns.int(), values, own=own, tied=layer.tied(self.k, self.ties))

    def score_all(self, xs: Sequence[NeighbourValues], ys: Sequence[NeighbourValues]) -> torch.Tensor:
        return sparse_products(xs, ys) / _own(xs, ys)

    def null(self, xs: Sequence[NeighbourValues], ys: Sequence[NeighbourValues]) -> NullMoments:
        """Exact null moments: Mantel's, of the two sparse matrices. The mean is not 0, because neighbours are alike."""
        x_sums, y_sums = (moments.stack_sums([_sums(s) for s in side]) for side in (xs, ys))
        mean, variance = moments.permutation_moments(x_sums, y_sums, xs[0].n)
        return NullMoments(mean / _own(xs, ys), variance.sqrt() / _own(xs, ys))


@dataclass(frozen=True, kw_only=True)
class CKNNAPRH(NeighbourhoodMetric):
    """CKNNA as the PRH's released code computes it: use it to reproduce the paper's figures, not for measurements.

    Score = s(K, L) / (sqrt(s(K, K) s(L, L)) + 1e-6), s(K, L) = unbiased HSIC of (M * K, M * L), where M is 1 at the
    pairs that are neighbours on both sides (a side's own neighbours in a denominator). The raw kernel is masked first
    and centred after, with zeros where the mask is 0: so the score has no bound (it passes 1 for k above about n / 2),
    no chance level of 0, and for k above n / 10 it ranks models differently from the formula in the paper. M is not
    symmetric, and neither is the score, slightly.

    State per layer: 9 n k bytes. Cost: n k operations per pair, and a table of n^2 values per layer of the first side;
    where k > n / 8 (up to 4,096 samples), three products of n^2 operations per pair and up to 0.9 GB of tables.

    Source: PRH's released code, `cknna` with its default unbiased estimator; Song et al. 2012 Eq. 5.

    Raises:
        SpecError: k < 2.
        FeatureError: fewer than 4 samples, k >= n, or a layer whose masked HSIC with itself is not positive.
    """

    name: ClassVar[str] = "cknna_prh"
    title: ClassVar[str] = "CKNNA as released"
    symmetric: ClassVar[bool] = False
    least_k: ClassVar[int] = 2

    def tied(self, state: NeighbourValues) -> float:
        return state.tied

    @property
    def bounds(self) -> tuple[float, float]:
        return (-torch.inf, torch.inf)

    @property
    def invariances(self) -> frozenset[Invariance]:
        if self.similarity == "cosine":
            return frozenset({"orthogonal", "scaling", "sample_scaling"})
        return frozenset({"orthogonal"})  # 1e-6 in the denominator is not scaled with the features

    def check(self, n: int) -> None:
        super().check(n)
        centred.check_samples(self.name, n)
        if self.k > n / 10:
            warnings.warn(
                f"cknna_prh with k = {self.k} of {n} samples: above k = n / 10 the released formula is unbounded and "
                "ranks models otherwise than CKNNA. Use cknna, which is bounded, unless you reproduce the paper's "
                "figures.",
                stacklevel=2,
            )

    def state_bytes(self, n: int, d: int) -> int:
        return 9 * n * self.k

    def prepare(self, layer: Geometry) -> NeighbourValues:
        self.check(layer.n)
        layer.require_features(self.name)  # the raw kernel is not determined by distances
        n = layer.n
        columns = layer.neighbours(self.k, self.ties).sort(dim=1).values
        layer.require_variation()
        values = _raw_products(layer).gather(1, columns)
        mutual = _mutual(columns)
        v = values.double()
        into = torch.zeros(n, dtype=torch.float64, device=v.device).index_add_(0, columns.view(-1), v.view(-1))
        own = hsic(n, (v.square() * mutual).sum(), v.sum(), v.sum(), into.dot(v.sum(1))).item()
        if not own > 0:
            raise FeatureError(
                f"the masked kernel's unbiased HSIC with itself is {own:.3g}, so that cknna_prh, which divides by its "
                "root, is undefined. Use cknna, or a larger k."
            )
        return NeighbourValues(columns.int(), values, mutual, own, layer.tied(self.k, self.ties))

    def score_all(self, xs: Sequence[NeighbourValues], ys: Sequence[NeighbourValues]) -> torch.Tensor:
        n = centred.same_n(xs, ys)
        whole = self.k * _WHOLE > n and n**2 <= TABLE
        return (dense_hsic(xs, ys) if whole else sparse_hsic(xs, ys)) / (_own(xs, ys) + 1e-6)


def _raw_products(layer: Geometry) -> torch.Tensor:
    """Inner products of the (normalised) features as they are, shape (n, n) float32."""
    if layer.similarity == "cosine":
        return layer.gram
    return knn.inner_products(layer.x) * 4.0**layer.exponent


def _centred_products(layer: Geometry, columns: torch.Tensor) -> torch.Tensor:
    """Entries of HKH at each row's columns, shape (n, k) float64; without the (n, n) matrix where n is large."""
    if layer.n <= centred.GRAM_ROWS:
        gram = centred.inner_products(layer)
        rows = gram.mean(1, dtype=torch.float64)
        return gram.gather(1, columns) - rows[:, None] - rows[columns] + rows.mean()
    z = layer.centred_rows()
    blocks = zip(z.split(256), columns.split(256), strict=True)
    return torch.cat([torch.einsum("nd,nkd->nk", rows, z[at]) for rows, at in blocks]).double()


def _own(xs: Sequence[NeighbourValues], ys: Sequence[NeighbourValues]) -> torch.Tensor:
    """Root of the product of the sides' alignments with themselves, of all pairs."""
    return torch.outer(*(torch.tensor([s.own for s in side], dtype=torch.float64) for side in (xs, ys))).sqrt()


def sparse_products(xs: Sequence[NeighbourValues], ys: Sequence[NeighbourValues]) -> torch.Tensor:
    """Sum over common entries of the product of the values, of all pairs; shape (len(xs), len(ys)) float64 on the CPU.

    Exact for values on the grid of `metrics.exact`, and so the same in any company.
    """
    n, k = centred.same_n(xs, ys), xs[0].columns.shape[1]
    out = torch.zeros(len(xs), len(ys), dtype=torch.float64, device=xs[0].values.device)
    dense = k * _DENSE > n
    for rows in row_blocks(n, step=TABLE // (max(len(xs), len(ys)) * n) if dense else TABLE // n):
        if dense:
            out += _dense_rows(xs, rows, n) @ _dense_rows(ys, rows, n).T
        else:
            turned = _csr(ys, rows, n).to_sparse_csc()
            right = _quiet_csr(
                turned.ccol_indices(), turned.row_indices(), turned.values(), (turned.shape[1], turned.shape[0])
            )
            out += (_csr(xs, rows, n) @ right).to_dense()
    return out.cpu()


def _mutual(columns: torch.Tensor) -> torch.Tensor:
    """Whether the neighbour has the row among its own; columns ascending in each row, shape (n, k)."""
    n, k = columns.shape
    if k * _DENSE > n:
        table = torch.zeros(n, n, dtype=torch.bool, device=columns.device).scatter_(1, columns.long(), True)
        return table.T.gather(1, columns.long())
    row = torch.arange(n, device=columns.device)[:, None]
    forth, back = (row * n + columns).view(-1), (columns.long() * n + row).view(-1)  # forth ascends
    places = torch.searchsorted(forth, back).clamp_max(n * k - 1)
    return (forth[places] == back).view(n, k)


def _sums(s: NeighbourValues) -> moments.PairSums:
    v = s.values.double()
    rows, columns = (
        v.sum(1),
        torch.zeros(s.n, dtype=torch.float64, device=v.device).index_add_(0, s.columns.view(-1), v.view(-1)),
    )
    squares = v.square()
    parts = (
        v.sum(),
        squares.sum(),
        (squares * _mutual(s.columns)).sum(),
        rows.dot(rows),
        columns.dot(columns),
        rows.dot(columns),
    )
    return moments.PairSums(*(part.cpu() for part in parts))


def _positions(layers: Sequence[NeighbourValues], rows: slice, n: int) -> torch.Tensor:
    columns = torch.stack([s.columns[rows] for s in layers])
    offsets = torch.arange(columns.shape[1], dtype=torch.int32, device=columns.device) * n
    return columns.add_(offsets[:, None]).view(len(layers), -1)


def _csr(layers: Sequence[NeighbourValues], rows: slice, n: int) -> torch.Tensor:
    positions = _positions(layers, rows, n)
    values = torch.stack([s.values[rows] for s in layers]).double()
    count = positions.shape[1]
    starts = torch.arange(0, len(layers) * count + 1, count, dtype=torch.int32, device=positions.device)
    return _quiet_csr(starts, positions.view(-1), values.view(-1), (len(layers), (rows.stop - rows.start) * n))


def _quiet_csr(
    starts: torch.Tensor, columns: torch.Tensor, values: torch.Tensor, size: tuple[int, int]
) -> torch.Tensor:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
        return torch.sparse_csr_tensor(starts, columns, values, size=size, check_invariants=False)


def _dense_rows(layers: Sequence[NeighbourValues], rows: slice, n: int) -> torch.Tensor:
    values = torch.stack([s.values[rows].flatten() for s in layers]).double()
    table = values.new_zeros(len(layers), (rows.stop - rows.start) * n)
    return table.scatter_(1, _positions(layers, rows, n).long(), values)
