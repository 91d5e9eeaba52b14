"""Exact nearest neighbours."""

from __future__ import annotations

import torch


def top_k(closeness: torch.Tensor, k: int) -> torch.Tensor:
    """Indices of the k largest entries of each row, the diagonal left out, ties to the lower index.

    Args:
        closeness: shape (n, n); larger is nearer. Not modified.
        k: 1 <= k < n.

    Returns:
        Shape (n, k) int64, nearest first.
    """
    masked = closeness.clone().fill_diagonal_(-torch.inf)
    return masked.sort(dim=1, descending=True, stable=True).indices[:, :k]
