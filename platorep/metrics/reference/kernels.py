"""Kernel metrics written as their formulas, in float64 numpy: slow, and the measure of the fast ones."""

from __future__ import annotations

import numpy as np


def rows(x: np.ndarray, similarity: str = "cosine") -> np.ndarray:
    """Features in float64, each row divided by its length under "cosine"."""
    x = np.asarray(x, dtype=np.float64)
    return x / np.linalg.norm(x, axis=1, keepdims=True) if similarity == "cosine" else x


def squared_distances(x: np.ndarray) -> np.ndarray:
    """|x_i - x_j|^2, shape (n, n), from differences."""
    return ((x[:, None, :] - x[None, :, :]) ** 2).sum(-1)


def kernel_matrix(
    x: np.ndarray, kernel: str = "linear", sigma: float | str = "median", similarity: str = "cosine"
) -> np.ndarray:
    """Inner products, or exp(-|x_i - x_j|^2 / 2 sigma^2), of the rows."""
    x = rows(x, similarity)
    if kernel == "linear":
        return x @ x.T
    squared = squared_distances(x)
    pairs = np.sort(squared[np.triu_indices(len(x), 1)])
    variance = pairs[(len(pairs) - 1) // 2] if sigma == "median" else float(sigma) ** 2
    return np.exp(-squared / (2 * variance))


def hsic_biased(k: np.ndarray, m: np.ndarray) -> float:
    """tr(K H M H) (Gretton et al. 2005, Eq. 9, without its constant factor)."""
    h = np.eye(len(k)) - 1 / len(k)
    return float(np.trace(k @ h @ m @ h))


def hsic_unbiased(k: np.ndarray, m: np.ndarray) -> float:
    """Song et al. 2012, Eq. 5."""
    n = len(k)
    k, m = k - np.diag(np.diag(k)), m - np.diag(np.diag(m))
    return float(
        ((k * m.T).sum() + k.sum() * m.sum() / ((n - 1) * (n - 2)) - 2 * (k @ m).sum() / (n - 2)) / (n * (n - 3))
    )


def cka(
    x: np.ndarray,
    y: np.ndarray,
    *,
    kernel: str = "linear",
    hsic: str = "unbiased",
    sigma: float | str = "median",
    similarity: str = "cosine",
) -> float:
    """HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)) of features (n, d_x) and (n, d_y)."""
    estimate = hsic_unbiased if hsic == "unbiased" else hsic_biased
    k, m = kernel_matrix(x, kernel, sigma, similarity), kernel_matrix(y, kernel, sigma, similarity)
    return estimate(k, m) / np.sqrt(estimate(k, k) * estimate(m, m))


def cka_finite(x: np.ndarray, y: np.ndarray, *, similarity: str = "cosine") -> float:
    """Unbiased HSIC of the linear kernels, each self-term a mean over pairs of different features a != b."""

    def own(z: np.ndarray) -> float:
        kernels = [np.outer(column, column) for column in z.T]
        pairs = [hsic_unbiased(k, m) for i, k in enumerate(kernels) for j, m in enumerate(kernels) if i != j]
        return float(np.mean(pairs))

    a, b = rows(x, similarity), rows(y, similarity)
    cross = hsic_unbiased(a @ a.T, b @ b.T) / (a.shape[1] * b.shape[1])
    return cross / np.sqrt(own(a) * own(b))


def neighbour_mask(x: np.ndarray, k: int, similarity: str = "cosine") -> np.ndarray:
    """1 where column j is among the k nearest others of row i, ties to the lower index; shape (n, n) float64."""
    closeness = -squared_distances(rows(x, similarity))
    np.fill_diagonal(closeness, -np.inf)
    mask = np.zeros_like(closeness)
    nearest = np.argsort(-closeness, axis=1, kind="stable")[:, :k]
    np.put_along_axis(mask, nearest, 1.0, axis=1)
    return mask


def cknna(x: np.ndarray, y: np.ndarray, *, k: int = 10, similarity: str = "cosine") -> float:
    """Kernels centred on both sides, then masked to common neighbours; each denominator with its own mask."""

    def align(a: np.ndarray, b: np.ndarray, mask: np.ndarray) -> float:
        return float((mask * a * b).sum())

    h = np.eye(len(x)) - 1 / len(x)
    a, b = h @ kernel_matrix(x, similarity=similarity) @ h, h @ kernel_matrix(y, similarity=similarity) @ h
    mask_a, mask_b = neighbour_mask(x, k, similarity), neighbour_mask(y, k, similarity)
    return align(a, b, mask_a * mask_b) / np.sqrt(align(a, a, mask_a) * align(b, b, mask_b))


def cknna_prh(x: np.ndarray, y: np.ndarray, *, k: int = 10, similarity: str = "cosine") -> float:
    """Kernels masked to common neighbours, then unbiased HSIC; 1e-6 in the denominator as released."""
    a, b = kernel_matrix(x, similarity=similarity), kernel_matrix(y, similarity=similarity)
    mask_a, mask_b = neighbour_mask(x, k, similarity), neighbour_mask(y, k, similarity)
    both = mask_a * mask_b
    own = hsic_unbiased(mask_a * a, mask_a * a) * hsic_unbiased(mask_b * b, mask_b * b)
    return hsic_unbiased(both * a, both * b) / (np.sqrt(own) + 1e-6)
