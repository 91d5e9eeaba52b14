"""One score for each pair of models, with the null that knows how its layers were chosen, and an interval.

`align` keeps every layer pair with the null of a fixed pair. Here layers are chosen (the maximum of the PRH, a held-out
choice, the last layer), and the null repeats the choice: every relabelling of the samples is shared by all layers,
models and metrics, so that the whole matrix of models can be corrected at once.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from platorep.align import heldout
from platorep.align.layers import ModelLayers, check_same_samples, full_precision
from platorep.align.prepared import Prepared, prepare
from platorep.core.clamp import EXACT, Clamp
from platorep.core.errors import FeatureError, SpecError
from platorep.core.features import Features
from platorep.core.ranges import check_range, check_seed
from platorep.core.resources import DEFAULT, Resources, pick_device
from platorep.core.version import __version__
from platorep.metrics.base import Metric
from platorep.results.tables import SELECTION_COLUMNS, SelectionTable
from platorep.stats import calibration, intervals
from platorep.stats.nulls import MaxNull, max_null, max_null_prepared
from platorep.stats.selection import nearest_layer, relative_depths


log = logging.getLogger(__name__)

Progress = Callable[[int, int, str], object]

BLOCKS = 64
"""Blocks of the jackknife of metrics that are no neighbour metrics."""

ENOUGH = 19
"""Fewest permutations for which a level of 5 % can be reached, and so a calibrated score exists."""


@dataclass(frozen=True, kw_only=True)
class Null:
    """How the null of a choice of layers is drawn: by relabelling the samples.

    Args:
        permutations: relabellings; 0 leaves nulls and p out. A held-out choice needs none: see `heldout`.
        seed: of relabellings, and of the halvings of a held-out choice.
        strata: one label a sample: relabel only within, and so test what goes beyond the label.
        strata_name: what the labels are, for the table.
    """

    permutations: int = 200
    seed: int = 0
    strata: Sequence[Any] | None = None
    strata_name: str = ""

    def __post_init__(self) -> None:
        check_range("statistics.permutations", self.permutations, 0)
        check_seed("statistics.seed", self.seed)


RELABELLED = Null()
"""200 relabellings of all samples."""


@full_precision()
def significance(
    pairs: Sequence[tuple[Features, Features]],
    metrics: Sequence[Metric],
    *,
    select: str = "max",
    null: Null = RELABELLED,
    clamp: Clamp = EXACT,
    resources: Resources = DEFAULT,
    progress: Progress | None = None,
) -> SelectionTable:
    """Chooses layers for every pair of models and tests and brackets the score that they get.

    Args:
        pairs: pairs of models over the same samples.
        metrics: built by `platorep.metrics.registry.build`.
        select: "max" over all layer pairs and the concatenations, as the paper; "heldout": chosen on one half of the
            samples and scored on the other, over 10 halvings; "last"; "depth:0.5", the layer nearest to that depth. Of
            the layers that take part: those for which a metric is undefined are never chosen.
        null: relabellings of the samples.
        clamp: how features are clamped, as in `align`.
        resources: the device, and the memory that the prepared layers of all models may take.
        progress: called after each model that was prepared and each metric that was tested.

    Returns:
        One row for each pair of models and metric; none where no layer of a model takes part.

    Raises:
        SpecError: an unknown choice, or prepared layers that do not fit into the memory.
        DataError: models of different samples, or strata within which nothing can be exchanged.
        FeatureError: a metric is undefined for this n.

    Cost: for mutual_knn about 2 ms per relabelling and pair of 33 and 24 layers; other metrics one `score_all` a
    relabelling.
    """
    _check_select(select)
    models = {model.key: model for pair in pairs for model in pair}
    check_same_samples(list(models.values()))
    n = next(iter(models.values())).n
    memory, device = resources.memory, pick_device(resources.device)
    _check_metrics(metrics, models, n, memory, select)
    total, done = len(models) + len(metrics), 0
    prepared: dict[str, dict[str, Prepared]] = {}
    for key, model in models.items():
        layers = ModelLayers(model, clamp=clamp, memory=memory, device=device)
        prepared[key] = _layers(layers, metrics, select, null.seed)
        done += 1
        if progress is not None:
            progress(done, total, model.name)
    rows: list[dict[str, Any]] = []
    for metric in metrics:
        of = {key: states[metric.id] for key, states in prepared.items()}
        common = {"n": n, "metric": metric.id, "clip": clamp.id, "select": select, "seed": null.seed}
        common |= {"strata": null.strata_name, "interval": "", "note": ""}
        there = [(a, b) for a, b in pairs if of[a.key].states and of[b.key].states]
        for a, b in pairs:
            if (a, b) not in there:
                log.warning("%s and %s: no layers left to choose from by %s.", a.name, b.name, metric.id)
        keys = [(a.key, b.key) for a, b in there]
        if select == "heldout":
            tested = heldout.rows(metric, keys, of, n)
        else:
            tested = _chosen(metric, keys, of, n, null) if keys else []
        rows += [common | _names(a, b) | row for (a, b), row in zip(there, tested, strict=True)]
        done += 1
        if progress is not None:
            progress(done, total, metric.name)
    frame = pd.DataFrame(rows, columns=list(SELECTION_COLUMNS)).assign(version=__version__)
    return SelectionTable.from_frame(frame)


def _check_metrics(metrics: Sequence[Metric], models: dict[str, Features], n: int, memory: int, select: str) -> None:
    """Refuses a number of samples for which a metric is undefined, and prepared layers that do not fit."""
    for metric in metrics:
        metric.check(n)
        if select == "heldout":
            metric.on_fold(n, n // 2).check(n // 2)
    needed = sum(
        metric.state_bytes(n, layer.dim) for metric in metrics for model in models.values() for layer in model.layers
    )
    if needed > memory:
        raise SpecError(
            f"the prepared layers of {len(models)} models take {needed / 1e9:.1f} GB, compute.memory allows "
            f"{memory / 1e9:.1f} GB. Raise it, take fewer models or metrics, or set statistics.permutations=0."
        )


def _check_select(select: str) -> None:
    if select not in ("max", "heldout") and _depth(select) is None:
        raise SpecError(
            f"protocol.select is {select!r}; expected max, heldout, last, or depth:FRACTION with a fraction in [0, 1]."
        )


def _depth(select: str) -> float | None:
    """The relative depth of a choice that looks at no score."""
    if select == "last":
        return 1.0
    match = re.fullmatch(r"depth:(\d*\.?\d+|\d+\.)", select)
    return float(match[1]) if match and float(match[1]) <= 1 else None


def _layers(layers: ModelLayers, metrics: Sequence[Metric], select: str, seed: int) -> dict[str, Prepared]:
    """Prepared layers of one model by metric id: those that the choice may fall on."""
    if select == "heldout":
        return heldout.prepare(layers, metrics, seed)
    depth = _depth(select)
    if depth is None:
        return prepare(layers, metrics)
    depths = relative_depths(len(layers.features.layers))
    rest, prepared = list(range(len(depths))), {metric.id: Prepared() for metric in metrics}
    while rest and (pending := [metric for metric in metrics if not prepared[metric.id].states]):
        index = rest.pop(nearest_layer(depths[rest], depth))
        for key, layers_of_metric in prepare(layers, pending, concatenation=False, only={index}).items():
            layers_of_metric.left_out = prepared[key].left_out | layers_of_metric.left_out
            prepared[key] = layers_of_metric
    return prepared


def _names(a: Features, b: Features) -> dict[str, Any]:
    return {
        "dataset": a.dataset,
        "x_model": a.name,
        "x_key": a.key,
        "x_family": a.spec.model.family,
        "y_model": b.name,
        "y_key": b.key,
        "y_family": b.spec.model.family,
    }


def _chosen(
    metric: Metric, keys: list[tuple[str, str]], of: dict[str, Prepared], n: int, null: Null
) -> list[dict[str, Any]]:
    """Rows of all pairs under one metric: the best of the layers that may be chosen, its interval and its null."""
    maxima = _maxima(metric, keys, of, null)
    best, rows = metric.bounds[1], []
    for number, (x, y) in enumerate(keys):
        scores = metric.score_all(of[x].states, of[y].states)
        i, j = (int(v) for v in np.unravel_index(int(scores.argmax()), scores.shape))
        score, a, b = scores[i, j].item(), of[x].states[i], of[y].states[j]
        row: dict[str, Any] = {
            "x_layer": of[x].indices[i],
            "y_layer": of[y].indices[j],
            "score": score,
            "permutations": null.permutations,
        }
        row |= {"scored_n": n, "scored_k": metric.neighbourhood, "x_tied": metric.tied(a), "y_tied": metric.tied(b)}
        row |= _interval(metric, score, a, b, n)
        if maxima is not None:
            draws = maxima.null[number]
            low, high = np.quantile(draws, [0.025, 0.975])
            row |= {"null_mean": draws.mean(), "null_sd": draws.std(ddof=1) if len(draws) > 1 else np.nan}
            row |= {"null_low": low, "null_high": high, "p_floor": maxima.permutations.floor}
            if math.isfinite(best):
                row["corrected"] = calibration.chance_corrected(score, draws.mean(), best)
        elif null.permutations:
            row |= {"permutations": 0, "note": "no null: layers prepared for this metric cannot be relabelled"}
        rows.append(row)
    if maxima is not None:
        columns = {"p_value": maxima.p, "p_family": maxima.p_family, "q_value": maxima.q}
        if math.isfinite(best) and null.permutations >= ENOUGH:
            columns["calibrated"] = calibration.calibrated(maxima.observed, maxima.null, best=best).score
        rows = [row | {name: values[i] for name, values in columns.items()} for i, row in enumerate(rows)]
    return rows


def _maxima(metric: Metric, keys: list[tuple[str, str]], of: dict[str, Prepared], null: Null) -> MaxNull | None:
    """The null of the maximum of every pair; None without relabellings, or for a metric that cannot be relabelled."""
    if not null.permutations or not metric.relabels:
        return None
    used = {key: of[key] for key in dict.fromkeys(key for pair in keys for key in pair)}
    if metric.counts_overlap:
        graphs = {
            key: torch.stack([state.indices.cpu() for state in prepared.states]) for key, prepared in used.items()
        }
        return max_null(graphs, keys, null.permutations, null.seed, null.strata)
    states = {key: prepared.states for key, prepared in used.items()}
    return max_null_prepared(metric, states, keys, null.permutations, null.seed, null.strata)


def _interval(metric: Metric, score: float, x: Any, y: Any, n: int) -> dict[str, Any]:
    """95 % interval of the chosen pair for another draw of all samples: linearised, or by a block jackknife."""
    if metric.counts_overlap and metric.neighbourhood and metric.neighbourhood < n - 1:
        k = metric.neighbourhood
        a, b = (torch.cat([side.indices, side.next[:, None]], dim=1).long() for side in (x, y))
        try:
            interval = intervals.linearised(intervals.overlap_terms(a, b, k))
        except FeatureError:  # too few samples for its variance: the conservative one instead, named in the table
            interval = intervals.jackknife(score, intervals.mutual_knn_leave_out(a, b, k))
        return {"low": interval.low, "high": interval.high, "interval": interval.method}
    parts = intervals.blocks(n, min(BLOCKS, n // 2))
    left_out = metric.leave_block_out([x], [y], parts)
    if left_out is None:
        return {"note": "no interval is known for this metric"}
    interval = intervals.jackknife(score, left_out[:, 0, 0].numpy())
    return {"low": interval.low, "high": interval.high, "interval": interval.method}
