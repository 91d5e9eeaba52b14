"""A stub of the faiss module: an index that searches exactly, but skips one row in `hidden`."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np


class Faiss(SimpleNamespace):
    """`hidden` 0 hides nothing; `threads` is what was asked for last."""

    def __init__(self) -> None:
        super().__init__(hidden=0, threads=7, IndexHNSWFlat=lambda width, links: Index(self, width))

    def omp_get_max_threads(self) -> int:
        return self.threads

    def omp_set_num_threads(self, threads: int) -> None:
        self.threads = threads


class Index:
    def __init__(self, faiss: Faiss, width: int) -> None:
        self.faiss, self.hnsw, self.points = faiss, SimpleNamespace(), np.empty((0, width))

    def add(self, points: np.ndarray) -> None:
        assert self.faiss.threads == 1  # several threads would not build the same graph twice
        self.points = np.concatenate([self.points, points])

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        distance = ((queries[:, None] - self.points) ** 2).sum(-1)
        if self.faiss.hidden:
            distance[:, :: self.faiss.hidden] = np.inf
        order = distance.argsort(axis=1, kind="stable")
        order[np.isinf(np.take_along_axis(distance, order, axis=1))] = -1
        return distance, order[:, :k]
