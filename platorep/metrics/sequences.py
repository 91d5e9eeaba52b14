"""How alike two ordered lists of neighbours are, for all samples and many layers at a time.

Both are the textbook dynamic programmes over prefixes, with every cell a vector over (layer, sample).
"""

from __future__ import annotations

import torch


def common_subsequence(x: torch.Tensor, ys: torch.Tensor) -> torch.Tensor:
    """Length of the longest common subsequence of the lists of each sample.

    Args:
        x: shape (n, k), one list per sample.
        ys: shape (L, n, k').

    Returns:
        Shape (L, n), int16. Cost L n k k'.
    """
    mine, others = _columns(x, ys)
    zero = torch.zeros(others[0].shape, dtype=torch.int16, device=others[0].device)
    above = [zero] * (len(others) + 1)
    for element in mine:
        row = [zero]
        for j, other in enumerate(others):
            row.append(torch.where(element == other, above[j] + 1, torch.maximum(above[j + 1], row[j])))
        above = row
    return above[-1]


def edit_distance(x: torch.Tensor, ys: torch.Tensor) -> torch.Tensor:
    """Levenshtein distance of the lists of each sample: insertions, deletions and substitutions cost 1 each.

    Args:
        x: shape (n, k), one list per sample.
        ys: shape (L, n, k').

    Returns:
        Shape (L, n), int16. Cost L n k k'.
    """
    mine, others = _columns(x, ys)
    zero = torch.zeros(others[0].shape, dtype=torch.int16, device=others[0].device)
    above = [zero + j for j in range(len(others) + 1)]
    for i, element in enumerate(mine):
        row = [zero + (i + 1)]
        for j, other in enumerate(others):
            shift = torch.minimum(above[j + 1], row[j]) + 1
            row.append(torch.minimum(above[j] + (element != other), shift))
        above = row
    return above[-1]


def _columns(x: torch.Tensor, ys: torch.Tensor) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """The lists' columns, contiguous: x's broadcast over layers."""
    return list(x.T.contiguous()), [ys[:, :, j].contiguous() for j in range(ys.shape[2])]
