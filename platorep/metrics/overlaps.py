"""How many neighbours two graphs share: for all pairs of layers in one sparse product, or sample by sample."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import scipy.sparse
import torch

from platorep.metrics.knn import DENSE


_CELLS = 1 << 24  # (sample, neighbour) cells of one sparse block: its index array stays at 64 MB whatever n is
_ONE_HOT = 1 << 28  # elements of one dense one-hot block on a GPU


def shared_neighbours(xs: Sequence[torch.Tensor], ys: Sequence[torch.Tensor]) -> torch.Tensor:
    """Number of shared neighbours, summed over samples, of all pairs of graphs.

    A graph is a 0/1 vector over (sample, neighbour) cells with n k ones; all pairs of graphs are one product of two
    matrices of such vectors, sparse on a CPU and, sample by sample, dense on a GPU. Counts are exact integers.

    Args:
        xs: Lx neighbour index tensors, shape (n, k) each.
        ys: Ly of them, for the same samples.

    Returns:
        Shape (Lx, Ly), int64 on the CPU.

    Cost: on a CPU one addition a shared neighbour, Lx Ly n k times the mean score.
    """
    n = len(xs[0])
    total = torch.zeros(len(xs), len(ys), dtype=torch.int64)
    if xs[0].device.type == "cuda":
        step = max(1, _ONE_HOT // (n * max(len(xs), len(ys))))
        for start in range(0, n, step):
            a, b = (_one_hot(side, start, min(start + step, n), n) for side in (xs, ys))
            total += torch.bmm(a, b.transpose(1, 2)).sum(dim=0, dtype=torch.float64).round().to("cpu", torch.int64)
        return total
    step = max(1, _CELLS // n)
    for start in range(0, n, step):
        a, b = (_cells(side, start, min(start + step, n), n) for side in (xs, ys))
        total += torch.from_numpy((a @ b.T.tocsr()).toarray())
    return total


def _cells(graphs: Sequence[torch.Tensor], start: int, stop: int, n: int) -> scipy.sparse.csr_array:
    """One row a graph, one column a cell of the samples [start, stop)."""
    base = (torch.arange(stop - start, dtype=torch.int32) * n)[:, None]
    columns = np.concatenate([(graph[start:stop].to(torch.int32) + base).numpy().ravel() for graph in graphs])
    ends = np.concatenate([[0], np.cumsum([graph[start:stop].numel() for graph in graphs])])
    return scipy.sparse.csr_array(
        (np.ones(len(columns), dtype=np.int64), columns, ends), shape=(len(graphs), (stop - start) * n)
    )


def _one_hot(graphs: Sequence[torch.Tensor], start: int, stop: int, n: int) -> torch.Tensor:
    """Shape (stop - start, graphs, n), half precision: counts up to k are exact in it."""
    index = torch.stack([graph[start:stop] for graph in graphs], dim=1).to(torch.int64)
    return torch.zeros(*index.shape[:2], n, dtype=torch.float16, device=index.device).scatter_(2, index, 1)


def hits(x: torch.Tensor, ys: Sequence[torch.Tensor], *, reverse: bool = False) -> Iterator[torch.Tensor]:
    """Which neighbours of each y graph are also neighbours in the x graph, a boolean (n, k) for each y.

    Args:
        x: neighbour indices of one layer, shape (n, k).
        ys: neighbour indices of others, shape (n, k') each.
        reverse: asks instead whether sample i is a neighbour of its y-neighbour in x.
    """
    n = len(x)
    index = torch.arange(n, device=x.device)[:, None]
    if n > DENSE:  # an n x n table would not fit: look along the k neighbours instead
        for y in ys:
            y = y.long()
            step = max(1, _CELLS // (x.shape[1] * y.shape[1]))
            blocks = [slice(start, start + step) for start in range(0, n, step)]
            if reverse:
                yield torch.cat([(x[y[b]] == index[b, :, None]).any(dim=2) for b in blocks])
            else:
                yield torch.cat([(y[b, :, None] == x[b, None, :]).any(dim=2) for b in blocks])
        return
    cells = torch.zeros(n, n, dtype=torch.bool, device=x.device)
    if reverse:
        cells[x.long(), index] = True
    else:
        cells[index, x.long()] = True
    flat = cells.flatten()
    for y in ys:
        yield flat[y.long() + index * n]
