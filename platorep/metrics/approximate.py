"""Approximate nearest neighbours through FAISS: for galleries in which an exact search takes too long.

FAISS is an extra, `pip install "platorep[faiss]"`, and imported only here. What was searched so says so in its results,
with the share of the true neighbours that it found.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType

import numpy as np
import torch

from platorep.core.errors import FeatureError, SpecError


LINKS, BUILD, SEARCH = 32, 100, 256
"""Links a sample in the HNSW graph; candidates looked at when one is added; candidates of a search, at least."""

INDEX = f"HNSW{LINKS}"
"""FAISS's name of the index."""

METHOD = f"faiss {INDEX} (approximate)"
"""What results say of a search."""

PARAMETERS = f"{METHOD}, {BUILD}, {SEARCH}"
"""All that its neighbours depend on."""


def load_faiss() -> ModuleType:
    """The faiss module.

    Raises:
        SpecError: it is not installed.
    """
    try:
        return import_module("faiss")
    except ImportError as error:
        raise SpecError(
            f'an approximate search needs FAISS, which is not installed ({error}): pip install "platorep[faiss]". '
            "Or search exactly: gallery.search=exact."
        ) from error


def growing_neighbours(
    queries: torch.Tensor, ks: Sequence[int], sizes: Sequence[int], *, gallery: torch.Tensor, own: torch.Tensor
) -> list[torch.Tensor]:
    """About the k nearest rows of each query in growing galleries: `knn.growing_neighbours`, not exact, on the CPU.

    One HNSW graph grows with the gallery and is searched at each size, by Euclidean distance, which orders unit rows as
    their cosine does. It is built by one thread, as several would not build the same one twice; the same inputs give
    the same neighbours.

    Args:
        queries: shape (m, d), float32; rows of length 1 under cosine.
        ks: neighbours a query for each size.
        sizes: gallery rows, increasing; each gallery holds the one before it.
        gallery: shape (n, d).
        own: which gallery row each query is, shape (m,): that row is no neighbour.

    Returns:
        One tensor of shape (m, ks[s]) a size, int64 on the CPU, nearest first.

    Raises:
        SpecError: FAISS is not installed.
        FeatureError: the graph did not lead to k neighbours of a query.

    Cost: building about n log n products with `BUILD` candidates each; memory the gallery once more, and 300 bytes a
    row.
    """
    faiss = load_faiss()
    rows, points = (x.cpu().contiguous().numpy() for x in (queries, gallery))
    mine = own.cpu().numpy()[:, None]
    index = faiss.IndexHNSWFlat(points.shape[1], LINKS)
    index.hnsw.efConstruction = BUILD
    found = []
    for k, (start, stop) in zip(ks, itertools.pairwise([0, *sizes]), strict=True):
        with _one_thread(faiss):
            index.add(points[start:stop])
        index.hnsw.efSearch = max(SEARCH, 2 * (k + 1))
        nearest = index.search(rows, k + 1)[1]  # one more than wanted: the query itself is among them, or should be
        keep = nearest != mine
        keep[:, -1] &= ~keep.all(axis=1)
        nearest = nearest[keep].reshape(len(rows), k)
        if (nearest < 0).any():
            raise FeatureError(
                f"{METHOD} did not find k = {k} neighbours of every query among {stop} samples. Use fewer, or search "
                "exactly: gallery.search=exact."
            )
        found.append(torch.from_numpy(nearest.astype(np.int64)))
    return found


@contextmanager
def _one_thread(faiss: ModuleType) -> Iterator[None]:
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
