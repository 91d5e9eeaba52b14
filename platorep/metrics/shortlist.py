"""Exact neighbours at the speed of low precision: a shortlist, its order in float64, and a proof for each query.

Products of rows rounded to TF32 or bfloat16, summed in float32, give a shortlist of candidates. Their closeness is
computed again in float64; under cosine it is rounded to float32, in which ties are ties. A query is proven if its
neighbours are in the shortlist, however full precision rounds. The others are searched again in full precision. The
result is that of `platorep.metrics.knn.nearest`, but for the order of samples whose closeness differs by less than the
rounding of float32: it depends on the order of summation, and so on the device, in full precision as well.

The bound. Let x', y' be the rounded rows and p the sum of d products in float32. Then

    |<x, y> - p| <= |<x - x', y'>| + |<x, y - y'>| + |<x', y'> - p|
                 <= |x - x'| |y'| + |x| |y - y'| + gamma(d, 2^-23) |x'| |y'|,

by Cauchy-Schwarz and by the error of a sum of d products, gamma(d, u) = d u / (1 - d u) (Higham, Accuracy and Stability
of Numerical Algorithms, 2002, section 3.1). Rounding to the nearest gives |x - x'| <= 2^-8 |x| for bfloat16 and
2^-11 |x| for TF32. These lengths are measured, because they are mostly half of that. The unit 2^-23 is twice that of
float32: it allows for tensor cores, which cut off what they add instead of rounding it (Fasi et al., Numerical behavior
of NVIDIA tensor cores, 2021). A float32 product itself is within gamma(d, 2^-24) |x| |y| of <x, y>.

A query is proven if, with these bounds, its k-th candidate exceeds all rows outside the shortlist, which are at most
the last candidate in low precision. Ties that reach beyond the shortlist are never proven; those within it follow the
rule for ties. The order is certain if each of the first k candidates also exceeds all later ones but equal rows: then
every float32 product, on whatever device, gives these neighbours in this order.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, NamedTuple

import torch

from platorep.metrics import ties
from platorep.metrics.knn import DENSE, TILES, Similarity, check_k
from platorep.metrics.knn import nearest as full_nearest
from platorep.metrics.running import Running
from platorep.metrics.ties import Nearest, Priority


log = logging.getLogger(__name__)

Precision = Literal["tf32", "bfloat16"]
"""Of the rows of the products that give the shortlist: 10 or 7 bits after the leading one."""

CANDIDATES = 64, 4
"""Length of the shortlist of a query: at least the first, and the second times k."""

_EXTRA = 16  # roundings beside those of the sum: scaling, squared lengths, subtraction, the bound itself, float64
_SMALLEST = 2.0**-126  # what is smaller may be flushed to 0, entry by entry
_LARGEST = 2.0**120  # closeness above it may overflow in float32
_CELLS = 1 << 24  # entries of gathered rows processed together


class Search(NamedTuple):
    """Neighbours by shortlist, with what became of the proofs."""

    nearest: Nearest
    outside: torch.Tensor
    """Whether a row outside the shortlist may be a neighbour: searched again in full precision, shape (n,) bool."""
    order: torch.Tensor
    """Whether the rounding of float32 may change which candidates are neighbours, or their order, shape (n,) bool."""

    @property
    def redone(self) -> float:
        """Share of queries without a proof, which were searched again in full precision, in [0, 1]."""
        return self.outside.double().mean().item()


class Slack(NamedTuple):
    """Bounds of rounding: the error of the closeness of query i and row j is at most `a[i] * b[j] + c[j]`, float64."""

    query: torch.Tensor
    """a, shape (n,): the length of the row, twice that under euclidean."""
    low: torch.Tensor
    """b, shape (n,), of low precision and full precision together."""
    low_offset: torch.Tensor
    """c, shape (n,), of both."""
    full: torch.Tensor
    """b of full precision alone."""
    full_offset: torch.Tensor
    """c of full precision alone."""
    flushed: torch.Tensor
    """Bound of what underflow adds, for either, shape (n,); inf for queries whose closeness may overflow."""


def nearest(
    x: torch.Tensor,
    k: int,
    *,
    similarity: Similarity = "cosine",
    priority: Priority = ties.by_index,
    precision: Precision | None = None,
) -> Nearest:
    """The k nearest other rows of each row: `platorep.metrics.knn.nearest`, by a shortlist where that is faster.

    Args:
        x: shape (n, d), floating; rows of length 1 under cosine.
        k: 1 <= k < n.
        similarity: inner product of unit rows, or distance.
        priority: which of equally near rows comes first.
        precision: of the shortlist; None: TF32 on a GPU with tensor cores for it and with more than `DENSE` rows, else
            full precision without a shortlist.

    Returns:
        Indices of shape (n, k), nearest first, with their closeness.
    """
    check_k(k, len(x))
    precision = precision or automatic(x)
    if precision is None or not _shortens(x, k):
        return full_nearest(x, k, similarity=similarity, priority=priority)
    shortlisted = search(x, k, precision, similarity=similarity, priority=priority)
    log.debug(
        "Neighbours by %s: %.2g of %d queries searched again in full precision; rounding may change the order of %.2g.",
        precision,
        shortlisted.redone,
        len(x),
        shortlisted.order.double().mean().item(),
    )
    return shortlisted.nearest


def automatic(x: torch.Tensor) -> Precision | None:
    """The precision with which a shortlist saves time on the device of x; None: without one, as on every CPU."""
    if x.device.type != "cuda" or torch.version.cuda is None or len(x) <= DENSE:
        return None
    return "tf32" if torch.cuda.get_device_capability(x.device) >= (8, 0) else None


def _candidates(k: int) -> int:
    return max(CANDIDATES[0], CANDIDATES[1] * k)


def _shortens(x: torch.Tensor, k: int) -> bool:
    return x.dtype == torch.float32 and _candidates(k) < len(x) - 1


def search(
    x: torch.Tensor,
    k: int,
    precision: Precision,
    *,
    similarity: Similarity = "cosine",
    priority: Priority = ties.by_index,
    side: int | None = None,
) -> Search:
    """Neighbours of float32 rows by a shortlist, and which queries were searched again; arguments as in `nearest`.

    Args:
        x: shape (n, d), float32, n - 1 above the length of the shortlist.
        k: neighbours of a row.
        precision: of the shortlist.
        similarity: cosine or euclidean.
        priority: which of equally near rows comes first.
        side: rows of a square tile; None: by device.

    Cost: n^2 d / 2 in low precision, n c d in float64 for c candidates, and in full precision n d for each query
    without a proof; where these are more than half, a whole search instead. Memory: the rounded features, and 12 c
    bytes a query.
    """
    distances, n = similarity == "euclidean", len(x)
    side = side or TILES.get(x.device.type, TILES["cpu"])[0]
    rounded = round_rows(x, precision)
    bounds = slack(x, rounded, distances=distances, side=side)
    best = _shortlist(x, rounded, _candidates(k), bounds, distances=distances, side=side)
    edge = best.values[:, -1].double()  # no row outside the shortlist has more
    if not distances:
        edge = edge + bounds.query * bounds.low.amax()
    parts = [
        _proven(x, best.indices[rows], edge[rows], rows, k, bounds, distances=distances, priority=priority)
        for rows in torch.arange(n, device=x.device).split(max(1, _CELLS // (best.indices.shape[1] * x.shape[1])))
    ]
    indices, closeness, outside, order = (torch.cat(column) for column in zip(*parts, strict=True))
    again = outside.nonzero().flatten()
    if 2 * len(again) > n:  # all rows cost half of what these do one by one
        return Search(full_nearest(x, k, similarity=similarity, priority=priority), outside, order)
    if len(again):
        full = full_nearest(x[again], k, gallery=x, own=again, similarity=similarity, priority=priority)
        indices = indices.index_copy(0, again, full.indices)
        closeness = closeness.index_copy(0, again, full.closeness.to(closeness.dtype))
    return Search(Nearest(indices, closeness), outside, order)


def round_rows(x: torch.Tensor, precision: Precision) -> torch.Tensor:
    """float32 values rounded to the nearest value of low precision, ties to even.

    TF32 stays float32 with its last 13 bits 0, so that tensor cores change nothing when they read it. bfloat16 has its
    own dtype on a GPU; on a CPU it stays float32, whose products are summed as those of a GPU are.
    """
    if precision == "bfloat16":
        low = x.to(torch.bfloat16)
        return low if x.is_cuda else low.float()
    bits = x.view(torch.int32)
    return ((bits + 0xFFF + ((bits >> 13) & 1)) & ~0x1FFF).view(torch.float32)


def gamma(terms: int, unit: float) -> float:
    """Bound of the relative error of a sum of so many products whose operations round by at most `unit`."""
    return terms * unit / (1 - terms * unit)


def slack(x: torch.Tensor, rounded: torch.Tensor, *, distances: bool, side: int) -> Slack:
    """The bounds of the module's text for the rows of x; the relative error of a query is the largest of all queries.

    Args:
        x: shape (n, d), float32.
        rounded: x in low precision.
        distances: whether closeness is 2<x, y> - |y|^2, or else <x, y>.
        side: rows whose errors are computed together.
    """
    length, low_length, error = (torch.empty(len(x), dtype=torch.float64, device=x.device) for _ in range(3))
    for start in range(0, len(x), side):
        rows = slice(start, start + side)
        exact, low = x[rows].double(), rounded[rows].double()
        length[rows], low_length[rows] = exact.norm(dim=1), low.norm(dim=1)
        error[rows] = (exact - low).norm(dim=1)
    relative = (error / length).where(length > 0, 0.0).amax()
    terms = x.shape[1] + _EXTRA
    full = gamma(terms, 2.0**-24) * length
    low = relative * low_length + error + gamma(terms, 2.0**-23) * (1 + relative) * torch.maximum(low_length, length)
    factor, offset = (2, 2 * gamma(terms, 2.0**-24) * length.square()) if distances else (1, torch.zeros_like(length))
    longest = length.amax()
    reach = factor * length * longest + (longest.square() if distances else 0)
    flushed = 4 * factor * terms * _SMALLEST * (1 + length + longest)
    flushed = torch.where(reach * (1 + relative).square() < _LARGEST, flushed, torch.inf)
    return Slack(factor * length, low + full, 2 * offset, full, offset, flushed)


def _shortlist(
    x: torch.Tensor, rounded: torch.Tensor, count: int, bounds: Slack, *, distances: bool, side: int
) -> Running:
    """The `count` nearest rows of each by low precision: of inner products, or of upper bounds of -|x - y|^2 + |x|^2.

    Lengths differ under euclidean, and with them the bounds of the rows; these are added before rows are chosen.
    """
    n = len(x)
    best = Running(torch.arange(n, device=x.device), count, x, ties.by_index)
    weight, margin = bounds.query.float(), (bounds.low * (1 + 2.0**-20)).float()
    height = (bounds.low_offset - (bounds.query / 2).square()).float() if distances else None
    for top in range(0, n, side):
        for left in range(top, n, side):
            row, column = slice(top, top + side), slice(left, left + side)
            tile = products(rounded[row], rounded[column])
            across = tile
            if height is not None:
                tile = tile.mul_(2)
                across = torch.addr(tile, margin[row], weight[column]).add_(height[row, None])
                tile = tile.addr_(weight[row], margin[column]).add_(height[column])
            if left == top:
                tile.fill_diagonal_(-torch.inf)
            best.offer(top, tile, left)
            if left != top:
                best.offer(left, across, top, of_columns=True)
    return best


def products(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """`a @ b.T` of rounded rows, summed in float32: on tensor cores on a GPU, for bfloat16 from torch 2.8 on."""
    if a.dtype == torch.bfloat16:
        return torch.mm(a, b.T, out_dtype=torch.float32)
    if not a.is_cuda:
        return a @ b.T
    with _tensor_cores():
        return a @ b.T


@contextmanager
def _tensor_cores() -> Iterator[None]:
    """Products of float32 by TF32."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def _proven(
    x: torch.Tensor,
    shortlist: torch.Tensor,
    edge: torch.Tensor,
    rows: torch.Tensor,
    k: int,
    bounds: Slack,
    *,
    distances: bool,
    priority: Priority,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """The k nearest of the shortlist, and for which queries that is not proven.

    Args:
        x: shape (n, d), float32.
        shortlist: rows that are candidates, shape (b, c).
        edge: upper bound of the closeness of all other rows, by any float32 product, shape (b,).
        rows: the queries, shape (b,).
        k: neighbours.
        bounds: of all rows.
        distances: whether closeness is 2<x, y> - |y|^2.
        priority: which of equally near rows comes first.

    Returns:
        Indices (b, k), closeness (b, k + 1), whether a row outside may be a neighbour, whether the order is uncertain.
    """
    picked = x[shortlist].double()
    value = torch.bmm(picked, x[rows].double()[:, :, None])[:, :, 0]
    if distances:
        value = 2 * value - picked.square().sum(dim=2)
    value, at = value.sort(dim=1, descending=True, stable=True)
    shortlist = shortlist.gather(1, at)
    error = bounds.query[rows, None] * bounds.full[shortlist] + bounds.full_offset[shortlist]
    error = error + bounds.flushed[rows, None]
    lower, upper = value - error, value + error
    starts = _starts_of_equal_rows(x, shortlist, lower, upper)
    place = torch.arange(shortlist.shape[1], device=x.device).expand_as(shortlist)
    last = torch.full_like(place[:, :1], place.shape[1])
    following = torch.cat([place.where(starts, place.shape[1])[:, 1:], last], dim=1)
    following = following.flip(1).cummin(dim=1).values.flip(1)  # where the next candidates that are not equal start
    later = upper.flip(1).cummax(dim=1).values.flip(1)  # the most that this candidate and all later ones can be
    later = torch.cat([later, later.new_full((len(later), 1), -torch.inf)], dim=1).gather(1, following)
    order = ~(lower > later)[:, :k].all(dim=1)  # so that NaN is no proof
    outside = ~(lower[:, k - 1] > edge + 2 * bounds.flushed[rows])
    value = value.gather(1, place.where(starts, 0).cummax(dim=1).values)  # equal rows are equally near
    if not distances:  # distances are refined in float64 in full precision as well
        value = value.to(x.dtype)
    tied = (value[:, 1:] == value[:, :-1]).any(dim=1).nonzero().flatten()
    if len(tied):
        value[tied], shortlist[tied] = ties.sort(value[tied], shortlist[tied], rows[tied], priority)
    return shortlist[:, :k], value[:, : k + 1], outside, order


def _starts_of_equal_rows(
    x: torch.Tensor, shortlist: torch.Tensor, lower: torch.Tensor, upper: torch.Tensor
) -> torch.Tensor:
    """Which candidates have another row than the one before them, (b, c) bool; only where the bounds overlap."""
    starts = torch.ones_like(shortlist, dtype=torch.bool)
    query, place = (~(lower[:, :-1] > upper[:, 1:])).nonzero(as_tuple=True)
    for some, at in zip(query.split(1 << 14), place.split(1 << 14), strict=True):
        before, after = shortlist[some, at], shortlist[some, at + 1]
        starts[some, at + 1] = (x[before] != x[after]).any(dim=1)
    return starts
