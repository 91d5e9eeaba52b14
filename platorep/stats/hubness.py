"""Hubs of neighbour graphs, which determine the spread of the null."""

from __future__ import annotations

import pandas as pd
import torch

from platorep.core.errors import FeatureError


def hubness(graphs: torch.Tensor) -> pd.DataFrame:
    """In-degree statistics of each layer's neighbour graph.

    The in-degree of a sample is how many others count it among their k nearest; its mean is k. Hubs widen the null of
    mutual_knn and can align two models by what makes a sample central (a short caption, a flat picture) alone.

    Args:
        graphs: neighbour indices, shape (layers, n, k) int64, without self.

    Returns:
        One row per layer: `in_degree_skewness` (third standardised moment; about 1/sqrt(k) without hubs, NaN where all
        are equal), `max_in_degree`, `never_neighbours` (share of samples with in-degree 0).

    Raises:
        FeatureError: not a three-dimensional tensor of indices.

    Cost: layers n k.
    """
    if graphs.ndim != 3 or graphs.dtype != torch.int64:
        raise FeatureError(
            f"neighbour graphs must be int64 of shape (layers, n, k); got {graphs.dtype} {tuple(graphs.shape)}."
        )
    layers, n, _ = graphs.shape
    shifted = graphs.cpu().flatten(1) + n * torch.arange(layers)[:, None]
    degree = torch.bincount(shifted.flatten(), minlength=layers * n).view(layers, n).double()
    off = degree - degree.mean(dim=1, keepdim=True)
    skewness = off.pow(3).mean(dim=1) / off.square().mean(dim=1).pow(1.5)
    return pd.DataFrame(
        {
            "layer": range(layers),
            "in_degree_skewness": skewness.numpy(),
            "max_in_degree": degree.amax(dim=1).long().numpy(),
            "never_neighbours": (degree == 0).double().mean(dim=1).numpy(),
        }
    )
