"""Centred similarity matrices: split once a layer, multiplied for all pairs of layers at once.

A symmetric matrix K over n samples, centred on both sides (HKH, H = I - 11'/n), is the sum of three matrices that stay
orthogonal to one another, and apart, however either side's samples are relabelled:

    HKH = trace / (n - 1) H  +  D(d)  +  U,

where d is the diagonal of HKH less its mean, D(d) the matrix with zero row sums that this diagonal forces
(|D|^2 = n / (n - 2) |d|^2), and U has a zero diagonal and zero row sums: it is the U-centred matrix of Szekely and
Rizzo (2013), the one that unbiased HSIC is made of. So one state serves the biased and the unbiased estimator:

    biased HSIC  ~ <HKH, HLH> = tK tL / (n - 1) + n / (n - 2) d_K . d_L + <U_K, U_L>
    unbiased HSIC = <U_K, U_L> / (n (n - 3))

The three parts are irreducible under relabelling and have 1, n - 1 and n (n - 3) / 2 dimensions. By Schur's
orthogonality, under a uniformly random relabelling of one side the first product is constant, the other two have mean 0
and variance |a|^2 |b|^2 / dimensions, and they are uncorrelated: these are the exact null moments used here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any, Literal

import torch

from platorep.core.errors import FeatureError, NoVariationError, SpecError
from platorep.metrics import exact, knn
from platorep.metrics.base import Prepared
from platorep.metrics.exact import on_grid, squared_norm
from platorep.metrics.geometry import CONSTANT, Geometry
from platorep.metrics.matrix_geometry import MatrixGeometry
from platorep.metrics.relabelling import Relabelling


Hsic = Literal["unbiased", "biased"]
"""Which estimator of a centred product: "unbiased" leaves out the diagonal (chance level 0), "biased" keeps it."""

GRAM_ROWS = 8192
"""Above this many samples a linear kernel is kept as features: its half matrix would exceed 134 MB per layer."""

_SIDE = 512  # rows of a tile of a matrix that is made from features
_SHARED = 16  # layers with which a layer's tiles are multiplied, by guess
_ANISOTROPIC = 1e-2  # variance below this part of the power: centre before multiplying, or float32 loses the variation


@dataclass(frozen=True, eq=False)
class Centred:
    """One layer's centred matrix, scaled to |HKH| = 1 and split in its three parts.

    Exactly one of `upper` and `features` is set.

    Attributes:
        n: number of samples.
        trace: trace of HKH.
        diagonal: d on the grid of `metrics.exact`, shape (n,) float64.
        pair_norm: |U|, over all n^2 entries.
        norm: |HKH| as the stored parts have it: 1 up to their rounding.
        upper: U above the diagonal, row by row, scaled to norm 1 and on the grid, shape (n (n - 1) / 2,) float32.
        length: norm of `upper` after rounding.
        features: centred features Z with HKH = Z Z', shape (n, d) float32.
    """

    n: int
    trace: float
    diagonal: torch.Tensor
    pair_norm: float
    norm: float = 1.0
    upper: torch.Tensor | None = None
    length: float = 1.0
    features: torch.Tensor | None = None

    @cached_property
    def skewness(self) -> float:
        """tr(U^3) / |U|^3: large where few dimensions carry the samples.

        Relabelled at random, <U_x, U_y> is close to a sum over eigenvalues lambda_i mu_j (z_ij^2 - 1) with independent
        standard normal z_ij, whose skewness is sqrt(8) times the product of the two layers' figures. Of features the
        diagonal is left in, which changes it by O(1/n).

        Cost: one product of n x n matrices, or of d x d for features.
        """
        if self.upper is None:
            features = held(self.features)
            gram = (features.T @ features).double()
            return ((gram @ gram * gram).sum() / torch.linalg.matrix_norm(gram) ** 3).item()
        u = torch.zeros(self.n * self.n, device=self.upper.device)
        u[upper_positions(self.n, u.device)] = self.upper
        u = u.view(self.n, self.n)
        u = u + u.T
        return ((u @ u).mul_(u).sum(dtype=torch.float64) / torch.linalg.vector_norm(u, dtype=torch.float64) ** 3).item()

    def __post_init__(self) -> None:
        # A mean pair entry at rounding's height, against the mean diagonal: every two samples are equally alike.
        if not self.pair_norm / self.n > CONSTANT * self.trace / self.n:
            raise NoVariationError(
                "the similarity of every two samples is the same after centring (samples all equal, or all equally far "
                "apart): there is no structure to compare. Leave this layer out."
            )

    def relabelled(self, order: Relabelling) -> Centred:
        """The same of the relabelled samples."""
        if self.upper is None:
            return replace(self, diagonal=order.rows(self.diagonal), features=order.rows(held(self.features)))
        return replace(self, diagonal=order.rows(self.diagonal), upper=order.pairs(self.upper))


def check_hsic(what: str, hsic: str) -> None:
    """Refuses an unknown estimator with SpecError."""
    if hsic not in ("unbiased", "biased"):
        raise SpecError(f"{what} is {hsic!r}; expected 'unbiased' or 'biased'.")


def check_samples(name: str, n: int) -> None:
    """Refuses n < 4, below which U-centring leaves nothing, with FeatureError."""
    if n < 4:
        raise FeatureError(f"{name} needs at least 4 samples; got {n}.")


def centre(matrix: torch.Tensor) -> Centred:
    """Splits a symmetric matrix whose centred trace is positive, shape (n, n) float32, n >= 4.

    Cost: three passes over the matrix and half a matrix of memory.

    Raises:
        FeatureError: nothing is left after centring.
    """
    n = len(matrix)
    raw_diagonal = matrix.diagonal().double()
    rows = matrix.sum(1, dtype=torch.float64)
    total = rows.sum()
    diagonal = raw_diagonal - 2 * rows / n + total / n**2
    trace = diagonal.sum()
    off = rows - raw_diagonal
    shift = (off / (n - 2) - off.sum() / (2 * (n - 1) * (n - 2))).float()
    u = matrix.sub(shift[:, None]).sub_(shift[None, :]).view(-1).index_select(0, upper_positions(n, matrix.device))
    diagonal = diagonal - trace / n
    pair_norm = 2**0.5 * torch.linalg.vector_norm(u, dtype=torch.float64)
    norm = _norm(n, trace, diagonal, pair_norm)
    if not norm > 0:
        norm = torch.ones_like(norm)  # all zero: refused below
    upper = on_grid(u.mul_((2**0.5 / pair_norm).float())) if pair_norm > 0 else u
    length = squared_norm(upper) ** 0.5
    return _state(n, trace / norm, diagonal / norm, pair_norm / norm, upper=upper, length=length)


def centre_features(z: torch.Tensor) -> Centred:
    """The same for the linear kernel of centred rows `z`, shape (n, d) float32, n >= 4, without a matrix of n x n.

    Cost: n d memory, at most 2 n d^2 operations.

    Raises:
        FeatureError: nothing is left after centring.
    """
    n = len(z)
    z = z / torch.linalg.vector_norm(z)  # 1 is the trace: no overflow in squares of squares
    diagonal = z.double().square().sum(1)
    trace = diagonal.sum()
    diagonal = diagonal - trace / n
    whole = _feature_products([z], [z])[0, 0]
    pair_norm = (
        (whole - trace**2 / (n - 1) - n / (n - 2) * diagonal.dot(diagonal)).clamp_min(0).sqrt()
    )  # 0 is refused below
    norm = _norm(n, trace, diagonal, pair_norm)
    features = z / norm.sqrt().float()
    return _state(n, trace / norm, diagonal / norm, pair_norm / norm, features=features)


def _state(n: int, trace: torch.Tensor, diagonal: torch.Tensor, pair_norm: torch.Tensor, **values: Any) -> Centred:
    """The parts of a matrix of norm 1, rounded to the grid, with the norms that they have then."""
    state = Centred(n, trace.item(), on_grid(diagonal), pair_norm.item(), **values)
    if state.features is not None:  # as `products` has it, so that a layer agrees with itself in full
        state = replace(state, pair_norm=products([state], [state], pairs_only=True).clamp_min(0).sqrt().item())
    squared = state.trace**2 / (n - 1) + n / (n - 2) * squared_norm(state.diagonal) + state.pair_norm**2
    return replace(state, norm=squared**0.5)


def state_bytes(n: int, d: int, *, linear: bool) -> int:
    """Memory of a `Centred` layer: half a matrix, or the features of a linear kernel of many samples."""
    return 4 * n * d if linear and n > GRAM_ROWS else 2 * n * n


def inner_products(layer: Geometry) -> torch.Tensor:
    """Inner products of the layer's rows up to what centring removes, shape (n, n) float32.

    This is the layer's Gram matrix. If one common direction dominates, so that float32 keeps few digits of the rest,
    the rows are centred first, at the cost of a second product. Under euclidean in units of 4^exponent.

    Raises:
        NoVariationError: all rows are equal up to rounding.
    """
    gram = layer.gram
    layer.require_variation()
    power = gram.diagonal().mean(dtype=torch.float64)
    if isinstance(layer, MatrixGeometry) or power - gram.mean(dtype=torch.float64) > _ANISOTROPIC * power:
        return gram
    return knn.inner_products(layer.centred_rows())


def squared_distances(layer: Geometry) -> torch.Tensor:
    """Squared Euclidean distances of the layer's (normalised) rows, shape (n, n) float32, zero diagonal.

    Under euclidean in units of 4^exponent. Of a matrix of dissimilarities, these themselves.

    Raises:
        NoVariationError: all rows are equal up to rounding.
    """
    gram = inner_products(layer)
    squared = gram.diagonal()
    distances = (squared[:, None] + squared[None, :]).sub_(gram, alpha=2)
    return distances if isinstance(layer, MatrixGeometry) else distances.clamp_min_(0).fill_diagonal_(0)  # rounding


def held(part: torch.Tensor | None) -> torch.Tensor:
    """The form in which a layer was centred: layers that are compared are all held in one."""
    if part is None:
        raise TypeError("a layer held as features was compared with one held as a matrix")
    return part


def products(xs: Sequence[Centred], ys: Sequence[Centred], *, pairs_only: bool) -> torch.Tensor:
    """<HKH, HLH> of all pairs, or with `pairs_only` <U_K, U_L>; shape (len(xs), len(ys)) float64 on the CPU.

    The same in any company: see `metrics.exact`. Cost: n^2 operations per pair from half matrices. From features the
    cheaper of |X'Y|^2 (2 n d_x d_y per pair) and of matrices made tile by tile (n^2 d per layer, then n^2 per pair).
    """
    n = same_n(xs, ys)
    if xs[0].upper is not None:
        u = exact.products([held(x.upper) for x in xs], [held(y.upper) for y in ys])
        u *= torch.outer(*(_column([s.pair_norm / (s.length or 1) for s in side]) for side in (xs, ys)))
        return u if pairs_only else u + _diagonal_products(xs, ys, n)
    whole = _feature_products([held(x.features) for x in xs], [held(y.features) for y in ys])
    return whole - _diagonal_products(xs, ys, n) if pairs_only else whole


def scores(xs: Sequence[Centred], ys: Sequence[Centred], hsic: Hsic) -> torch.Tensor:
    """HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)) of all pairs, shape (len(xs), len(ys)) float64 on the CPU."""
    if hsic == "biased":
        return products(xs, ys, pairs_only=False) / torch.outer(*(_column([s.norm for s in side]) for side in (xs, ys)))
    return products(xs, ys, pairs_only=True) / torch.outer(*_pair_norms(xs, ys))


def null_moments(xs: Sequence[Centred], ys: Sequence[Centred], hsic: Hsic) -> tuple[torch.Tensor, torch.Tensor]:
    """Exact mean and standard deviation of `scores` under relabelling, each (len(xs), len(ys)) float64."""
    n = same_n(xs, ys)
    mean = torch.zeros(len(xs), len(ys), dtype=torch.float64)
    if hsic == "unbiased":
        return mean, torch.full_like(mean, pair_variance(n) ** 0.5)
    trace, diagonal, pairs = (
        [_column([part(s) for s in side]) for side in (xs, ys)] for part in (_trace, _diagonal, _pairs)
    )
    pair_x, pair_y = pairs
    variance = torch.outer(*diagonal) / (n - 1) + torch.outer(pair_x**2, pair_y**2) * pair_variance(n)
    return torch.outer(*trace) / (n - 1), variance.sqrt()


def pair_variance(n: int) -> float:
    """Variance under relabelling of <U_K, U_L> for |U_K| = |U_L| = 1: one over the dimension n (n - 3) / 2."""
    return 2 / (n * (n - 3))


def same_n(xs: Sequence[Prepared], ys: Sequence[Prepared]) -> int:
    """The number of samples that all states share.

    Raises:
        FeatureError: they differ.
    """
    sizes = {s.n for s in (*xs, *ys)}
    if len(sizes) != 1:
        numbers = f"different numbers of samples cannot be compared: {sorted(sizes)}"
        raise FeatureError(f"layers of {numbers}. Keep the samples that all have.")
    return sizes.pop()


def null_skewness(xs: Sequence[Centred], ys: Sequence[Centred]) -> torch.Tensor:
    """Skewness of the scores of all pairs under random relabelling, to first order; see `Centred.skewness`."""
    x, y = (torch.tensor([layer.skewness for layer in side], dtype=torch.float64) for side in (xs, ys))
    return 8**0.5 * torch.outer(x, y)


@lru_cache(maxsize=2)
def upper_positions(n: int, device: torch.device) -> torch.Tensor:
    """Where the entries above the diagonal lie in a flattened (n, n) matrix, row by row, int64."""
    row, column = torch.triu_indices(n, n, 1, device=device)
    return row * n + column


def _norm(n: int, trace: torch.Tensor, diagonal: torch.Tensor, pair_norm: torch.Tensor) -> torch.Tensor:
    return (trace**2 / (n - 1) + n / (n - 2) * diagonal.dot(diagonal) + pair_norm**2).sqrt()


def _trace(s: Centred) -> float:
    return s.trace / s.norm


def _diagonal(s: Centred) -> float:
    return s.n / (s.n - 2) * squared_norm(s.diagonal) / s.norm**2


def _pairs(s: Centred) -> float:
    return s.pair_norm / s.norm


def _pair_norms(xs: Sequence[Centred], ys: Sequence[Centred]) -> list[torch.Tensor]:
    return [_column([s.pair_norm for s in side]) for side in (xs, ys)]


def _column(values: Sequence[float]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def _diagonal_products(xs: Sequence[Centred], ys: Sequence[Centred], n: int) -> torch.Tensor:
    d = exact.products([x.diagonal for x in xs], [y.diagonal for y in ys])
    return n / (n - 2) * d + torch.outer(_column([x.trace for x in xs]), _column([y.trace for y in ys])) / (n - 1)


def _feature_products(xs: Sequence[torch.Tensor], ys: Sequence[torch.Tensor]) -> torch.Tensor:
    """|X'Y|^2 = <XX', YY'> of all pairs, each by whichever order of products costs less, float64 on the CPU.

    Which one that is must not depend on the other pairs: a layer's tiles are taken to serve `_SHARED` others.
    """
    n = len(xs[0])
    narrow = [[2 * x.shape[1] * y.shape[1] <= n * (x.shape[1] + y.shape[1]) / _SHARED for y in ys] for x in xs]
    out = torch.full((len(xs), len(ys)), torch.nan, dtype=torch.float64)
    for i, x in enumerate(xs):
        for j, y in enumerate(ys):
            if narrow[i][j]:
                out[i, j] = torch.linalg.vector_norm(x.T @ y, dtype=torch.float64).square()
    rows = [i for i in range(len(xs)) if not all(narrow[i])]
    columns = [j for j in range(len(ys)) if not all(row[j] for row in narrow)]
    if rows:
        wide = _tiled_products([xs[i] for i in rows], [ys[j] for j in columns])
        for a, i in enumerate(rows):
            for b, j in enumerate(columns):
                if not narrow[i][j]:
                    out[i, j] = wide[a, b]
    return out


def _tiled_products(xs: Sequence[torch.Tensor], ys: Sequence[torch.Tensor]) -> torch.Tensor:
    """<XX', YY'> of all pairs, for matrices XX' of norm 1 at most, tile by tile."""
    n, out = len(xs[0]), torch.zeros(len(xs), len(ys), dtype=torch.float64)
    for top in range(0, n, _SIDE):
        for left in range(top, n, _SIDE):
            a, b = slice(top, top + _SIDE), slice(left, left + _SIDE)
            tile = exact.products(*([on_grid((z[a] @ z[b].T).flatten()) for z in side] for side in (xs, ys)))
            out += tile if top == left else 2 * tile
    return out
