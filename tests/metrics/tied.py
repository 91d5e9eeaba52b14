"""Unrelated features with ties, of many kinds, and an order of ties written anew."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch


def one_hot(rng: np.random.Generator, n: int) -> np.ndarray:
    return np.eye(10)[rng.integers(0, 10, n)]


def counts(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.poisson(0.4, size=(n, 6)) + np.eye(6)[rng.integers(0, 6, n)]


def ratings(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.integers(1, 6, size=(n, 2)).astype(float)


def binarised(rng: np.random.Generator, n: int) -> np.ndarray:
    return np.where(rng.normal(size=(n, 5)) > 0, 1.0, -1.0)


def duplicated_rows(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.normal(size=(max(2, n // 8), 12))[rng.integers(0, max(2, n // 8), n)]


def collapsed(rng: np.random.Generator, n: int) -> np.ndarray:
    x = rng.normal(size=(n, 8))
    x[rng.permutation(n)[: n // 2]] = x[0]
    return x


def one_dimensional(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.normal(size=(n, 1)).round(1) + rng.choice([-5.0, 5.0], size=(n, 1))


def two_values(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.integers(0, 2, size=(n, 1)) * 3.0 + 1e-3


KINDS: dict[str, tuple[Callable[[np.random.Generator, int], np.ndarray], str]] = {
    "one-hot": (one_hot, "cosine"),
    "counts": (counts, "cosine"),
    "ratings": (ratings, "euclidean"),
    "ratings, cosine": (ratings, "cosine"),
    "binarised": (binarised, "cosine"),
    "duplicated rows": (duplicated_rows, "cosine"),
    "half of the rows equal": (collapsed, "euclidean"),
    "one-dimensional": (one_dimensional, "euclidean"),
    "one-dimensional, cosine": (one_dimensional, "cosine"),
    "two values": (two_values, "euclidean"),
}
"""Kind -> (features of n samples, shape (n, d), and the similarity under which they tie)."""


def pair(kind: str, seed: int, n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Two unrelated layers of one kind, float32."""
    draw, rng = KINDS[kind][0], np.random.default_rng(seed)
    x, y = (torch.from_numpy(draw(rng, n)).float() for _ in range(2))
    return x, y


def slow_priority(seed: int, n: int) -> np.ndarray:
    """The rank that the rule `random` gives neighbour j of query i, shape (n, n): SplitMix64 in unsigned integers."""

    def mixed(z: np.ndarray) -> np.ndarray:
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))

    with np.errstate(over="ignore"):
        step, index = np.uint64(0x9E3779B97F4A7C15), np.arange(n, dtype=np.uint64)
        query = mixed(index * step + np.uint64(seed % 2**64))
        return mixed(query[:, None] + (index + np.uint64(1)) * step).view(np.int64)
