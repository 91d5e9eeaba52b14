"""Which of equally near samples are neighbours: a rule for ties, and the selection that follows it.

Where the k-th and the (k+1)-th sample are equally near, "the k nearest" is not defined. Taking the lower index, as a
stable sort and scikit-learn's brute-force search do, decides it the same way on both sides of a comparison, so that two
unrelated layers with ties agree far above chance: one-hot codes of unrelated labels score several times k/(n-1).

The default rule (`random`) breaks ties at random, independently for each query and layer. Given the features, the
expected overlap of two layers is then the mean over all ways to break the ties. Unrelated layers share
k/(n-1) of their neighbours on average, and the null moments of the drawn graphs hold exactly. The draw is a hash of a
seed, the query and the neighbour: the same on every machine, for every tile and share, and for every k, because the
first neighbours of a longer list are the shorter list. `first` takes the lower index, as the released code of the PRH
does where its library sorts stably; it exists to reproduce that code.

Ties are exact: two samples tie if their computed similarities are equal as floating-point numbers. Rows that are equal
are made to have equal similarities. Similarities that are equal on paper but differ in their last bit are ordered by
rounding, which depends on the values and not on the order of the samples, and so favours no agreement.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Literal, NamedTuple

import torch

from platorep.core.errors import SpecError


TieRule = Literal["random", "first"]
"""How ties are broken: at random for each query and layer, or by the lower index."""

Priority = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Function of queries and gallery rows (int64, broadcast) that returns int64: among equally near rows, lower values
come first."""

_CELLS = 1 << 22  # entries of tied rows processed together
_STEP = -7046029254386353131  # 0x9E3779B97F4A7C15 as int64: 2^64 over the golden ratio


def check_rule(rule: str) -> None:
    """Refuses an unknown rule with SpecError."""
    if rule not in ("random", "first"):
        raise SpecError(f"ties is {rule!r}; expected 'random', or 'first' for the lower index as in the released code.")


class Nearest(NamedTuple):
    """Neighbours of m queries, nearest first."""

    indices: torch.Tensor
    """Shape (m, k) int64."""

    closeness: torch.Tensor
    """Shape (m, k + 1): larger is nearer; the last column is the best of those left out, -inf where there is none."""

    def tied(self, k: int) -> torch.Tensor:
        """Whether each k-th neighbour is exactly as near as the next sample, (m,) bool; k at most as searched."""
        return (self.closeness[:, k - 1] == self.closeness[:, k]) & (self.closeness[:, k] > -torch.inf)


def seed_of(content: bytes) -> int:
    """A seed for `by_seed`, a hash of these bytes."""
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")


def by_index(queries: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """The priority of the rule `first`."""
    return torch.broadcast_tensors(rows, queries)[0]


def by_seed(seed: int) -> Priority:
    """The priority of the rule `random`: a 64-bit hash (the finaliser of SplitMix64) of seed, query and gallery row.

    Args:
        seed: any integer; layers that are compared need different ones.
    """
    start = _signed(seed)

    def priority(queries: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        return _mixed(_mixed(queries * _STEP + start) + (rows + 1) * _STEP)

    return priority


def _signed(value: int) -> int:
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value


def _mixed(z: torch.Tensor) -> torch.Tensor:
    """The finaliser of SplitMix64 (Steele, Lea and Flood 2014); int64 arithmetic wraps."""
    for shift, factor in ((30, -4658895280553007687), (27, -7723592293110705685)):
        z = (z ^ ((z >> shift) & ((1 << (64 - shift)) - 1))) * factor
    return z ^ ((z >> 31) & ((1 << 33) - 1))


def select(
    masked: torch.Tensor, k: int, priority: Priority, *, queries: torch.Tensor | None = None, first_column: int = 0
) -> Nearest:
    """The k largest entries of each row, ties by the priority.

    A partial selection finds the k + 1 largest. Only rows in which two of these are equal cost more: a hash of each
    entry of the row where the k-th and the next are equal, of the k chosen ones otherwise.

    Args:
        masked: closeness, shape (m, n); -inf where a row is not to be chosen.
        k: 1 <= k <= n.
        priority: of queries and gallery rows.
        queries: index of each row as `priority` receives it, shape (m,) int64; None: the row number.
        first_column: gallery row of the first column, added to the indices.
    """
    width = masked.shape[1]
    values, indices = masked.topk(min(k + 1, width), dim=1)
    if values.shape[1] == k:
        values = torch.cat([values, values.new_full((len(values), 1), -torch.inf)], dim=1)
    indices = indices[:, :k].add(first_column) if first_column else indices[:, :k].contiguous()
    equal = (values[:, 1:] == values[:, :-1]) & (values[:, 1:] > -torch.inf)
    if not equal.any():
        return Nearest(indices, values)
    queries = torch.arange(len(masked), device=masked.device) if queries is None else queries
    columns = torch.arange(width, device=masked.device) + first_column
    for rows in equal[:, -1].nonzero().flatten().split(max(1, _CELLS // width)):
        block, edge = masked[rows], values[rows, k - 1, None]
        rank = priority(queries[rows, None], columns)
        low, high = torch.iinfo(torch.int64).min, torch.iinfo(torch.int64).max
        rank = rank.where(block == edge, torch.where(block > edge, low, high))
        indices[rows] = rank.topk(k, dim=1, largest=False, sorted=False).indices + first_column
    rows = equal.any(dim=1).nonzero().flatten()
    chosen = indices[rows]
    nearness = masked[rows].gather(1, chosen - first_column)
    indices[rows] = sort(nearness, chosen, queries[rows], priority)[1]
    return Nearest(indices, values)


def sort(
    closeness: torch.Tensor, indices: torch.Tensor, queries: torch.Tensor, priority: Priority
) -> tuple[torch.Tensor, torch.Tensor]:
    """Each row's entries by closeness, the largest first, and ties by the priority.

    Args:
        closeness: shape (m, c).
        indices: gallery rows of the entries, shape (m, c) int64.
        queries: shape (m,) int64.
        priority: of queries and gallery rows.

    Returns:
        Both sorted.
    """
    order = priority(queries[:, None], indices).argsort(dim=1, stable=True)
    closeness, at = closeness.gather(1, order).sort(dim=1, descending=True, stable=True)
    return closeness, indices.gather(1, order).gather(1, at)
