"""Approximate nearest neighbours through FAISS: for galleries in which an exact search takes too long.

FAISS is an extra, `pip install "platorep[faiss]"`, and imported only here. Results of an approximate search say so, and
give the share of the true neighbours that it found.
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
"""Links per sample in the HNSW graph; candidates when a sample is added; minimum of candidates in a search."""

INDEX = f"HNSW{LINKS}"
"""Name of the index in FAISS."""

METHOD = f"faiss {INDEX} (approximate)"
"""The method as written in results."""

PARAMETERS = f"{METHOD}, {BUILD}, {SEARCH}"
"""Everything that the neighbours depend on."""


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
    """Approximate neighbours in growing galleries: `knn.growing_neighbours` by an inexact search on the CPU.

    One HNSW graph grows with the gallery and is searched at each size, by Euclidean distance, which orders unit rows as
    their cosine does. One thread builds it, because several threads would build a different graph each
    time; the same inputs give the same neighbours.

    Args:
        queries: shape (m, d), float32; rows of length 1 under cosine.
        ks: neighbours per query for each size.
        sizes: gallery rows, increasing; each gallery holds the one before it.
        gallery: shape (n, d).
        own: which gallery row each query is, shape (m,): that row is no neighbour.

    Returns:
        One tensor of shape (m, ks[s]) a size, int64 on the CPU, nearest first.

    Raises:
        SpecError: FAISS is not installed.
        FeatureError: the graph did not lead to k neighbours of a query.

    Cost: building about n log n products with `BUILD` candidates each; memory for a copy of the gallery and 300
    bytes per row.
    """
    faiss = load_faiss()
    rows, points = (x.cpu().contiguous().numpy() for x in (queries, gallery))
    mine = own.cpu().numpy()[:, None]
    index = faiss.IndexHNSWFlat(points.shape[1], LINKS)
    index.hnsw.efConstruction = BUILD
    graphs = []
    for k, (start, stop) in zip(ks, itertools.pairwise([0, *sizes]), strict=True):
        with _one_thread(faiss):
            index.add(points[start:stop])
        index.hnsw.efSearch = max(SEARCH, 2 * (k + 1))
        nearest = index.search(rows, k + 1)[1]  # one more than k, because the query itself should be among them
        keep = nearest != mine
        keep[:, -1] &= ~keep.all(axis=1)
        nearest = nearest[keep].reshape(len(rows), k)
        if (nearest < 0).any():
            raise FeatureError(
                f"{METHOD} did not find k = {k} neighbours of every query among {stop} samples. Use fewer, or search "
                "exactly: gallery.search=exact."
            )
        graphs.append(torch.from_numpy(nearest.astype(np.int64)))
    return graphs


@contextmanager
def _one_thread(faiss: ModuleType) -> Iterator[None]:
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
