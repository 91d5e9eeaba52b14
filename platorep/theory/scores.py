"""Agreement of learned representations, scored by the engine for real models, with intervals over seeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.stats import t as student

from platorep.align import align
from platorep.core.clamp import NONE
from platorep.core.features import ArrayFeatures
from platorep.metrics.registry import build


METRICS: dict[str, dict[str, Any]] = {"mutual_knn": {}, "cka": {}, "cknna": {}, "rsa": {}}
"""Metrics of the experiments, with the defaults of the registry: k = 10, unbiased HSIC, cosine."""


def layered(name: str, features: np.ndarray) -> ArrayFeatures:
    """Representations of shape (seeds, n, d) in the form that the engine takes: one layer per seed."""
    tensors = [torch.tensor(layer, dtype=torch.float32) for layer in features]
    names = [f"seed {i}" for i in range(len(tensors))]
    return ArrayFeatures(name, tensors, dataset="theory", modality=name, layer_names=names)


def agreement(x: np.ndarray, y: np.ndarray, metrics: Mapping[str, Mapping[str, Any]] = METRICS) -> pd.DataFrame:
    """Scores x against y seed by seed, unclamped.

    Args:
        x: representations of n events, shape (seeds, n, d_x), with the events in the same order as in y.
        y: shape (seeds, n, d_y).
        metrics: registry name -> parameters.

    Returns:
        metric, seed, score, and null_mean, null_sd and p_value from the exact moments under uniform relabelling where
        known.
    """
    built = {name: build(name, **params) for name, params in metrics.items()}
    pairs = [(layered("x", x), layered("y", y))]
    table = align(pairs, list(built.values()), out_dir=None, clamp=NONE, concatenation=False)
    frame = table.frame[table.frame.x_layer == table.frame.y_layer]
    names = {metric.id: name for name, metric in built.items()}
    columns = ["metric", "seed", "score", "null_mean", "null_sd", "p_value"]
    return frame.assign(metric=frame.metric.map(names), seed=frame.x_layer)[columns].reset_index(drop=True)


def present(embeddings: np.ndarray, symbols: np.ndarray, seed: int) -> np.ndarray:
    """Representations of events: the embeddings of their symbols, with a jitter for events that share a symbol.

    Ties between neighbours go to the lower index on both sides, which would make two blind modalities agree. Therefore,
    events that share a symbol are separated by noise of 1/1000 of the embeddings' scale, drawn independently on each
    side.

    Args:
        embeddings: shape (symbols, d).
        symbols: the symbol of each event, shape (n,).
        seed: seed of the jitter.
    """
    shown = embeddings[symbols]
    if len(np.unique(symbols)) == len(symbols):
        return shown
    return shown + 1e-3 * np.sqrt((shown**2).mean()) * np.random.default_rng(seed).normal(size=shown.shape)


def factor(gram: np.ndarray) -> np.ndarray:
    """Features whose inner products are the nearest positive semidefinite matrix to `gram`, shape (n, n)."""
    values, vectors = np.linalg.eigh(gram)
    return vectors * np.sqrt(np.maximum(values, 0))


def interval(values: Iterable[float], level: float = 0.95) -> tuple[float, float, float]:
    """Mean over seeds and its t interval: (mean, low, high)."""
    v = np.asarray(list(values), dtype=float)
    half = student.ppf((1 + level) / 2, len(v) - 1) * v.std(ddof=1) / np.sqrt(len(v)) if len(v) > 1 else np.nan
    return float(v.mean()), float(v.mean() - half), float(v.mean() + half)


def summarise(scores: pd.DataFrame, by: Sequence[str], values: Sequence[str] = ("score",)) -> pd.DataFrame:
    """Mean over seeds with its 95 % t interval for each value column: columns value, value_low, value_high, seeds."""
    rows = []
    for key, group in scores.groupby(list(by), sort=False, dropna=False):
        row = dict(zip(by, key, strict=True)) | {"seeds": len(group)}
        for value in values:
            row[value], row[f"{value}_low"], row[f"{value}_high"] = interval(group[value])
        rows.append(row)
    return pd.DataFrame(rows)
