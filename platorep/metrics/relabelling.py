"""A relabelling of samples, as prepared layers need it: rows, neighbours and pairs moved, nothing computed again."""

from __future__ import annotations

import torch


class Relabelling:
    """Sample order[i] takes the place of sample i.

    What prepared layers need of it is worked out once a device, and used for all of them.

    Args:
        order: a permutation of the n samples, shape (n,) int64.
    """

    def __init__(self, order: torch.Tensor) -> None:
        self.order = order
        self._kept: dict[tuple[str, torch.device], torch.Tensor] = {}

    def rows(self, values: torch.Tensor) -> torch.Tensor:
        """Rows in their new places."""
        return values[self._order(values.device)]

    def names(self, indices: torch.Tensor) -> torch.Tensor:
        """The new names of samples, such as neighbours; of -1, -1."""
        kept = ("names", indices.device)
        if kept not in self._kept:
            self._kept[kept] = torch.cat([self._order(indices.device).argsort(), indices.new_full((1,), -1).long()])
        return self._kept[kept][indices.long()].to(indices.dtype)

    def pairs(self, upper: torch.Tensor) -> torch.Tensor:
        """Entries above the diagonal of a symmetric matrix, row by row, shape (n (n - 1) / 2,), in their new places."""
        kept = ("pairs", upper.device)
        if kept not in self._kept:
            self._kept[kept] = _upper_order(self._order(upper.device))
        return upper.index_select(0, self._kept[kept])

    def _order(self, device: torch.device) -> torch.Tensor:
        kept = ("order", device)
        if kept not in self._kept:
            self._kept[kept] = self.order.to(device)
        return self._kept[kept]


def _upper_order(order: torch.Tensor) -> torch.Tensor:
    """Positions, in the same vector, of the entries above a symmetric matrix's diagonal after relabelling; int32."""
    n = len(order)
    index = order.int()
    first, second = index[:, None], index[None, :]
    low, high = torch.minimum(first, second), torch.maximum(first, second)
    position = low * (2 * n - low - 1) // 2 + high - low - 1
    return position[torch.ones(n, n, dtype=torch.bool, device=order.device).triu_(1)]
