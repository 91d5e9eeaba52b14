"""Neighbour metrics written as their formulas, in float64 numpy: slow, and the measure of the fast ones."""

from __future__ import annotations

import numpy as np

from platorep.metrics.reference.kernels import rows, squared_distances


def nearest(x: np.ndarray, k: int, similarity: str = "cosine") -> list[list[int]]:
    """Each sample's k nearest others, nearest first; of two equally near the one with the lower index."""
    x = rows(x, similarity)
    farness = -(x @ x.T) if similarity == "cosine" else squared_distances(x)
    return [sorted((j for j in range(len(x)) if j != i), key=lambda j: (farness[i, j], j))[:k] for i in range(len(x))]


def mutual_knn(x: np.ndarray, y: np.ndarray, k: int = 10, similarity: str = "cosine") -> float:
    """Mean over samples of |S_x(i) ∩ S_y(i)| / k."""
    return float(np.mean([len(set(a) & set(b)) / k for a, b in _both(x, y, k, similarity)]))


def jaccard_knn(x: np.ndarray, y: np.ndarray, k: int = 10, similarity: str = "cosine") -> float:
    """Mean over samples of |S_x(i) ∩ S_y(i)| / |S_x(i) ∪ S_y(i)|."""
    return float(np.mean([len(set(a) & set(b)) / len(set(a) | set(b)) for a, b in _both(x, y, k, similarity)]))


def cycle_knn(x: np.ndarray, y: np.ndarray, k: int = 10, similarity: str = "cosine", direction: str = "xy") -> float:
    """Share of samples i with i in S_x(j) for some j in S_y(i); sides exchanged for direction "yx"."""
    if direction == "yx":
        x, y = y, x
    back, out = nearest(x, k, similarity), nearest(y, k, similarity)
    return float(np.mean([any(i in back[j] for j in out[i]) for i in range(len(out))]))


def lcs_knn(x: np.ndarray, y: np.ndarray, k: int = 10, similarity: str = "cosine", normalised: bool = True) -> float:
    """Mean length of the longest common subsequence of the ordered neighbour lists, over k if normalised."""
    return float(np.mean([common_subsequence(a, b) for a, b in _both(x, y, k, similarity)])) / (k if normalised else 1)


def edit_distance_knn(
    x: np.ndarray, y: np.ndarray, k: int = 10, similarity: str = "cosine", normalised: bool = True
) -> float:
    """1 - mean Levenshtein distance of the ordered neighbour lists / k; minus the mean distance if not normalised."""
    mean = float(np.mean([edit_distance(a, b) for a, b in _both(x, y, k, similarity)]))
    return 1 - mean / k if normalised else -mean


def rnx_area(x: np.ndarray, y: np.ndarray, k: int = 100, similarity: str = "cosine") -> float:
    """Sum over K of R(K)/K divided by the sum of 1/K, R(K) = ((n-1) Q(K) - K) / (n-1-K), Q(K) = mutual_knn at K."""
    n = len(x)
    sizes = range(1, min(k, n - 2) + 1)
    excess = [((n - 1) * mutual_knn(x, y, size, similarity) - size) / (n - 1 - size) for size in sizes]
    return sum(r / size for r, size in zip(excess, sizes, strict=True)) / sum(1 / size for size in sizes)


def common_subsequence(a: list[int], b: list[int]) -> int:
    """Length of the longest common subsequence, by its definition over first elements."""
    if not a or not b:
        return 0
    if a[0] == b[0]:
        return 1 + common_subsequence(a[1:], b[1:])
    return max(common_subsequence(a[1:], b), common_subsequence(a, b[1:]))


def edit_distance(a: list[int], b: list[int]) -> int:
    """Levenshtein distance, by its definition over first elements."""
    if not a or not b:
        return len(a) + len(b)
    if a[0] == b[0]:
        return edit_distance(a[1:], b[1:])
    return 1 + min(edit_distance(a[1:], b), edit_distance(a, b[1:]), edit_distance(a[1:], b[1:]))


def _both(x: np.ndarray, y: np.ndarray, k: int, similarity: str) -> list[tuple[list[int], list[int]]]:
    return list(zip(nearest(x, k, similarity), nearest(y, k, similarity), strict=True))
