"""Layers chosen on one half of the samples and scored on the other, so that the choice lifts no score.

A half has half of the samples and, in proportion, half of the neighbours: a held-out score by mutual_knn with k = 10 of
n = 1,024 is one with k = 5 of n = 512, in which a model agrees with itself by 1 and with an unrelated one by 5/511. It
is another quantity than the score of all samples and is compared with held-out scores alone.

The null needs no relabelling. The choice is made on other samples, so that under it the score of a half has the exact
null moments of the layer pair that was chosen for it. The mean of the average over halvings is the average of their
means. Its standard deviation is at most the average of theirs, which is reached if all halvings agree; so p is an upper
bound. An interval for another draw of the samples is not known: the halvings share samples, and each leaves out half of
them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from scipy import stats

from platorep.align.layers import ModelLayers
from platorep.align.prepared import Prepared, geometry_of, why
from platorep.core.errors import FeatureError
from platorep.metrics.base import Geometry, Metric
from platorep.stats import calibration
from platorep.stats.selection import HeldOut, halves, held_out, subset


SPLITS = 10
"""Random halvings of the samples."""

NULL = "null: exact mean, bound of the sd, p an upper bound; no interval, as halvings share samples"
NO_NULL = "no null is known for a half; no interval, as halvings share samples"


def prepare(layers: ModelLayers, metrics: Sequence[Metric], seed: int) -> dict[str, Prepared]:
    """The layers of one model by metric id, each state being a list: what the metric makes of each half.

    A layer for which a metric is undefined on any half is left out of that metric.
    """
    n = layers.features.n
    parts = halves(n, SPLITS, seed).reshape(2 * SPLITS, -1)
    prepared = {metric.id: Prepared() for metric in metrics}
    try:
        for index, geometries in layers.geometries(sorted({m.similarity for m in metrics}), concatenation=True):
            cut: dict[str, list[Geometry]] = {}
            for metric in metrics:
                prepared[metric.id].add(index, partial(_on_halves, metric, geometries, cut, parts))
    except FeatureError as error:  # of the threshold, before any layer
        reasons = dict.fromkeys(range(len(layers.features.layers)), why(error, layers))
        return {key: Prepared(left_out=reasons) for key in prepared}
    return prepared


def _on_halves(
    metric: Metric, geometries: dict[Any, Any], cut: dict[str, list[Geometry]], parts: np.ndarray
) -> list[Any]:
    geometry = geometry_of(geometries[metric.similarity])
    if metric.similarity not in cut:
        cut[metric.similarity] = [subset(geometry, part) for part in parts]
    fold = metric.on_fold(geometry.n, parts.shape[1])
    return [fold.prepare(half) for half in cut[metric.similarity]]


def rows(metric: Metric, keys: list[tuple[str, str]], of: dict[str, Prepared], n: int) -> list[dict[str, Any]]:
    """Rows of all pairs under one metric.

    Args:
        metric: of all samples.
        keys: of the pairs of models.
        of: what `prepare` made, by the model's key.
        n: number of samples.
    """
    half = n // 2
    fold = metric.on_fold(n, half)
    table_rows = [_row(fold, of[x], of[y], half) for x, y in keys]
    p = np.array([row.get("p_value", math.nan) for row in table_rows])
    if len(p) and np.isfinite(p).all():
        corrected = stats.false_discovery_control(p, method="bh")
        for row, q in zip(table_rows, corrected, strict=True):
            row |= {"p_family": min(1.0, row["p_value"] * len(p)), "q_value": q}
    return table_rows


def _row(fold: Metric, x: Prepared, y: Prepared, half: int) -> dict[str, Any]:
    """The held-out choice of one pair of models, by the metric of a half."""
    sides = [[[state[number] for state in side.states] for number in range(2 * SPLITS)] for side in (x, y)]
    scores = torch.stack([fold.score_all(a, b) for a, b in zip(*sides, strict=True)])
    choice = held_out(scores.unflatten(0, (SPLITS, 2)))
    row: dict[str, Any] = {
        "x_layer": x.indices[choice.x_layer],
        "y_layer": y.indices[choice.y_layer],
        "score": choice.score,
        "permutations": 0,
        "scored_n": half,
        "scored_k": fold.neighbourhood,
        "x_tied": np.mean([fold.tied(state) for state in x.states[choice.x_layer]]),
        "y_tied": np.mean([fold.tied(state) for state in y.states[choice.y_layer]]),
    }
    return row | _null(fold, sides, choice)


def _null(fold: Metric, sides: list[list[list[Any]]], choice: HeldOut) -> dict[str, Any]:
    """Null moments of the average over halvings, from those of the layer pairs that were scored."""
    moments = []
    for number, (i, j) in enumerate(choice.chosen.reshape(-1, 2)):
        null = fold.null([sides[0][number][i]], [sides[1][number][j]])
        if null is None:
            return {"note": NO_NULL}
        moments.append((null.mean.item(), null.sd.item()))
    mean, sd = np.mean(moments, axis=0)
    row: dict[str, Any] = {"null_mean": mean, "null_sd": sd, "note": NULL}
    if sd > 0:
        reach = stats.norm.ppf(0.975) * sd
        row |= {
            "p_value": stats.norm.sf((choice.score - mean) / sd),
            "null_low": mean - reach,
            "null_high": mean + reach,
        }
    if math.isfinite(top := fold.bounds[1]):
        row["corrected"] = calibration.chance_corrected(choice.score, mean, top)
    return row
