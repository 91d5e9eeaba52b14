"""Choice of the layer pair that represents two models.

The maximum over layer pairs favours models with more layers and lies above every fixed pair's expectation. Choosing on
one half of the samples and scoring on the other does not; nor do rules that never look at the scores. Layers are
indices into the axes of the score matrices given; leave out the concatenation if it must not be chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from platorep.core.errors import FeatureError, SpecError
from platorep.metrics.base import Geometry, Metric
from platorep.metrics.knn import DENSE
from platorep.metrics.matrix_geometry import MatrixGeometry


def relative_depths(layers: int) -> np.ndarray:
    """Depth of each layer, layer / (layers - 1), in [0, 1], float64; a single layer is the last and has depth 1."""
    return np.arange(layers) / (layers - 1) if layers > 1 else np.ones(layers)


def nearest_layer(depths: np.ndarray | Sequence[float], depth: float) -> int:
    """Index of the depth nearest to the given one; of two equally near, the shallower.

    Args:
        depths: depths of the layers to choose from, increasing.
        depth: relative depth in [0, 1].

    Raises:
        SpecError: depth outside [0, 1].
    """
    if not 0 <= depth <= 1:
        raise SpecError(f"relative depth is between 0 (first layer) and 1 (last); got {depth}.")
    return int(np.abs(np.asarray(depths) - depth).round(9).argmin())  # rounded: equally near stays so in floating point


class HeldOut(NamedTuple):
    """Held-out layer choice of two models."""

    x_layer: int  # the pair chosen most often; a tie goes to the lower layers
    y_layer: int
    score: float  # mean over folds of the score that the other fold's choice gets
    stability: float  # share of the 2 R choices that fell on that pair
    fold_scores: np.ndarray  # (R, 2) held-out scores
    chosen: np.ndarray  # (R, 2, 2) x and y layer that were scored: the other fold's choice


def halves(n: int, splits: int = 10, seed: int = 0) -> np.ndarray:
    """Row numbers of random halves of n samples, sorted: shape (splits, 2, n // 2), int64.

    If n is odd, each split leaves out one sample.

    Raises:
        SpecError: n < 4 or splits < 1.
    """
    if n < 4 or splits < 1:
        raise SpecError(f"held-out choice needs n >= 4 samples and splits >= 1; got n = {n}, splits = {splits}.")
    rng = np.random.default_rng(seed)
    half = n // 2
    return np.sort(np.stack([rng.permutation(n)[: 2 * half].reshape(2, half) for _ in range(splits)]), axis=2)


def subset(layer: Geometry, rows: np.ndarray) -> Geometry:
    """A layer's geometry on some of its samples: neighbours are found among these alone.

    Up to `knn.DENSE` samples, the inner products are taken from those of the whole layer, which costs n_fold^2 instead
    of n_fold^2 d. Features are read only for a metric that needs them.
    """
    index = torch.from_numpy(rows)
    if isinstance(layer, MatrixGeometry):
        return layer.subset(index)
    if layer.n > DENSE:
        return Geometry(layer.x[index.to(layer.x.device)], layer.similarity, seed=layer.seed)
    at = index.to(layer.gram.device)
    return Geometry.concatenation(
        layer.gram[at][:, at],
        lambda: layer.x[at],
        layer.similarity,
        exponent=layer.exponent,
        power=layer.power,
        seed=layer.seed,
    )


def held_out(fold_scores: torch.Tensor) -> HeldOut:
    """Chooses on each half of every split, scores on the other, and averages.

    Args:
        fold_scores: all layer pairs' scores on each half, shape (R, 2, Lx, Ly).

    Raises:
        FeatureError: another shape, or scores that are not finite.
    """
    if (
        fold_scores.ndim != 4
        or fold_scores.shape[1] != 2
        or 0 in fold_scores.shape
        or not torch.isfinite(fold_scores).all()
    ):
        raise FeatureError(
            f"fold scores must be finite, of shape (splits, 2, x layers, y layers); got {tuple(fold_scores.shape)}."
        )
    flat = fold_scores.flatten(2).cpu().numpy()
    chosen = flat.argmax(axis=2)  # (R, 2), the lower index on ties
    scores = np.take_along_axis(flat, chosen[:, ::-1, None], axis=2)[:, :, 0]
    counts = np.bincount(chosen.ravel(), minlength=flat.shape[2])
    x, y = np.unravel_index(counts.argmax(), fold_scores.shape[2:])
    scored = np.stack(np.unravel_index(chosen[:, ::-1], fold_scores.shape[2:]), axis=-1)
    return HeldOut(int(x), int(y), float(scores.mean()), float(counts.max() / counts.sum()), scores, scored)


def held_out_layers(
    metric: Metric, xs: Sequence[Geometry], ys: Sequence[Geometry], *, splits: int = 10, seed: int = 0
) -> HeldOut:
    """Held-out layer choice for two models: neighbours, centring and k are those of the halves.

    Args:
        metric: any metric; its k is in proportion to the halves (`Metric.on_fold`).
        xs: the x model's layers over n samples.
        ys: the y model's layers over the same samples.
        splits: R random halvings.
        seed: seed of the halvings; the same seed gives all pairs of models the same halves.

    Raises:
        FeatureError: layers of different n, or too few samples for the metric.
        SpecError: no splits.

    Cost: per split, about half of a full scoring, without reading features. For many models prepare the folds once:
    `halves`, `subset`, `Metric.on_fold`, `held_out`.
    """
    sizes = {layer.n for layer in (*xs, *ys)}
    if len(sizes) != 1:
        raise FeatureError(f"the layers must have one number of samples; got {sorted(sizes)}.")
    n = sizes.pop()
    metric = metric.on_fold(n, n // 2)
    metric.check(n // 2)
    scores = [
        metric.score_all([metric.prepare(subset(x, rows)) for x in xs], [metric.prepare(subset(y, rows)) for y in ys])
        for rows in halves(n, splits, seed).reshape(2 * splits, -1)
    ]
    return held_out(torch.stack(scores).unflatten(0, (splits, 2)))
