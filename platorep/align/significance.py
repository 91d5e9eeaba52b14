"""One score a pair of models, with the null that knows how its layers were chosen, and an interval.

`align` keeps every layer pair with the null of a fixed pair. Here layers are chosen (the maximum of the PRH, a held-out
choice, the last layer), and the null repeats the choice: every relabelling of the samples is shared by all layers,
models and metrics, so that the whole matrix of models can be corrected at once.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from platorep.align.layers import ModelLayers, full_precision
from platorep.core.errors import FeatureError, SpecError
from platorep.core.features import Features
from platorep.core.version import __version__
from platorep.metrics.base import Geometry, Metric
from platorep.metrics.neighbours import MutualKNN
from platorep.metrics.preprocess import ClipRule, clip_id
from platorep.results.tables import SELECTION_COLUMNS, SelectionTable
from platorep.stats import calibration, intervals
from platorep.stats.nulls import MaxNull, max_null, max_null_prepared
from platorep.stats.selection import HeldOut, halves, held_out, on_fold, subset


Progress = Callable[[int, int, str], object]

SPLITS = 10
"""Random halvings of the samples for the held-out choice of layers."""

BLOCKS = 64
"""Blocks of the jackknife of metrics that are no neighbour metrics."""

ENOUGH = 19
"""Fewest permutations for which a level of 5 % can be reached, and so a calibrated score exists."""


@dataclass(frozen=True)
class _Prepared:
    """What one model's layers are to one metric, the layers that may be chosen in the order of `indices`."""

    indices: list[int]
    states: list[Any]
    graphs: torch.Tensor | None  # (layers, n, k + 1) for mutual_knn: one neighbour more than the score needs


@full_precision()
def significance(
    pairs: Sequence[tuple[Features, Features]],
    metrics: Sequence[Metric],
    *,
    select: str = "max",
    permutations: int = 200,
    seed: int = 0,
    strata: Sequence[Any] | None = None,
    strata_name: str = "",
    clip: ClipRule = "exact",
    quantile: float = 0.95,
    memory: int = 4 << 30,
    device: str | torch.device = "cpu",
    progress: Progress | None = None,
) -> SelectionTable:
    """Chooses layers for every pair of models and tests and brackets the score that they get.

    Args:
        pairs: pairs of models over the same samples.
        metrics: built by `platorep.metrics.registry.build`.
        select: "max" over all layer pairs and the concatenations, as the paper; "heldout": chosen on one half of the
            samples and scored on the other, over 10 halvings; "last"; "depth:0.5", the layer nearest to that depth.
        permutations: relabellings of the null; 0 leaves nulls and p out. A held-out choice has none.
        seed: of relabellings and halvings.
        strata: one label a sample: relabel only within, and so test what goes beyond the label.
        strata_name: what the labels are, for the table.
        clip: rule of the clamp; see `align`.
        quantile: of the clamp.
        memory: bytes that the prepared layers of all models may take.
        device: where layers are prepared.
        progress: called after each model that was prepared and each metric that was tested.

    Raises:
        SpecError: an unknown choice, or prepared layers that do not fit into `memory`.
        DataError: strata within which nothing can be exchanged.
        FeatureError: as `align`.

    Cost: for mutual_knn about 2 ms a relabelling and pair of 33 and 24 layers; other metrics one `score_all` a relabelling.
    """
    _check_select(select)
    models = {one.key: one for pair in pairs for one in pair}
    n = next(iter(models.values())).n
    needed = sum(
        metric.state_bytes(n, layer.dim) for metric in metrics for one in models.values() for layer in one.layers
    )
    if needed > memory:
        raise SpecError(
            f"the prepared layers of {len(models)} models take {needed / 1e9:.1f} GB, compute.memory allows {memory / 1e9:.1f} GB. "
            "Raise it, take fewer models or metrics, or set statistics.permutations=0."
        )
    total, done = len(models) + len(metrics), 0
    prepared: dict[str, dict[str, Any]] = {}
    for key, one in models.items():
        layers = ModelLayers(one, clip=clip, quantile=quantile, memory=memory, device=str(device))
        prepared[key] = _folds(layers, metrics, seed) if select == "heldout" else _layers(layers, metrics, select)
        done += 1
        if progress is not None:
            progress(done, total, one.name)
    rows: list[dict[str, Any]] = []
    for metric in metrics:
        of = {key: states[metric.id] for key, states in prepared.items()}
        common = {
            "n": n,
            "metric": metric.id,
            "clip": clip_id(clip, quantile),
            "select": select,
            "seed": seed,
            "strata": strata_name,
        }
        keys = [(a.key, b.key) for a, b in pairs]
        found = (
            _held_out(metric, keys, of)
            if select == "heldout"
            else _chosen(metric, keys, of, n, permutations, seed, strata)
        )
        rows += [common | _names(a, b) | row for (a, b), row in zip(pairs, found, strict=True)]
        done += 1
        if progress is not None:
            progress(done, total, metric.name)
    frame = pd.DataFrame(rows).assign(version=__version__)
    return SelectionTable.from_frame(frame.reindex(columns=list(SELECTION_COLUMNS)))


def _check_select(select: str) -> None:
    depth = re.fullmatch(r"depth:([0-9.]+)", select)
    if select not in ("max", "heldout", "last") and not (depth and 0 <= float(depth[1]) <= 1):
        raise SpecError(
            f"protocol.select is {select!r}; expected max, heldout, last, or depth:FRACTION with a fraction in [0, 1]."
        )


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


def _may_be_chosen(index: int, layers: int, select: str) -> bool:
    if select == "max":
        return True
    depth = 1.0 if select == "last" else float(select.removeprefix("depth:"))
    # the shallower of two layers that are equally near, as in `align.select`
    return index == math.ceil(depth * (layers - 1) - 0.5)


def _layers(layers: ModelLayers, metrics: Sequence[Metric], select: str) -> dict[str, _Prepared]:
    """Prepared layers of one model by metric id: those that the choice may fall on."""
    count = len(layers.features.layers)
    made: dict[str, _Prepared] = {metric.id: _Prepared([], [], None) for metric in metrics}
    graphs: dict[str, list[torch.Tensor]] = {metric.id: [] for metric in metrics}
    for index, geometries in layers.geometries(sorted({m.similarity for m in metrics}), concatenation=select == "max"):
        if not _may_be_chosen(index, count, select):
            continue
        for metric in metrics:
            geometry: Geometry = geometries[metric.similarity]
            made[metric.id].indices.append(index)
            if isinstance(metric, MutualKNN) and metric.k + 1 < geometry.n:
                graphs[metric.id].append(geometry.neighbours(metric.k + 1).to("cpu", torch.int32))
            made[metric.id].states.append(metric.prepare(geometry))
    return {
        name: one if not graphs[name] else _Prepared(one.indices, one.states, torch.stack(graphs[name]))
        for name, one in made.items()
    }


def _chosen(
    metric: Metric,
    keys: list[tuple[str, str]],
    of: dict[str, _Prepared],
    n: int,
    permutations: int,
    seed: int,
    strata: Sequence[Any] | None,
) -> list[dict[str, Any]]:
    """Rows of all pairs under one metric: the best of the layers that may be chosen, its interval and its null."""
    null: MaxNull | None = None
    if permutations:
        if all(one.graphs is not None for one in of.values()):
            graphs = {key: one.graphs[:, :, : metric.k] for key, one in of.items()}  # type: ignore[index, attr-defined]
            null = max_null(graphs, keys, permutations, seed, strata)
        else:
            null = max_null_prepared(
                metric, {key: one.states for key, one in of.items()}, keys, permutations, seed, strata
            )
    best = metric.bounds[1]
    rows = []
    for number, (x, y) in enumerate(keys):
        scores = metric.score_all(of[x].states, of[y].states)
        i, j = (int(v) for v in np.unravel_index(int(scores.argmax()), scores.shape))
        score = scores[i, j].item()
        row = {"x_layer": of[x].indices[i], "y_layer": of[y].indices[j], "score": score, "permutations": permutations}
        row |= _interval(metric, score, (of[x], i), (of[y], j), n)
        if null is not None:
            draws = null.null[number]
            low, high = np.quantile(draws, [0.025, 0.975])
            row |= {"null_mean": draws.mean(), "null_sd": draws.std(ddof=1) if len(draws) > 1 else np.nan}
            row |= {"null_low": low, "null_high": high, "p_floor": null.permutations.floor}
            if math.isfinite(best):
                row["corrected"] = calibration.chance_corrected(score, draws.mean(), best)
        rows.append(row)
    if null is not None:
        columns = {"p_value": null.p, "p_family": null.p_family, "q_value": null.q}
        if math.isfinite(best) and permutations >= ENOUGH:
            columns["calibrated"] = calibration.calibrated(null.observed, null.null, best=best).score
        rows = [row | {name: values[i] for name, values in columns.items()} for i, row in enumerate(rows)]
    return rows


def _interval(
    metric: Metric, score: float, x_layer: tuple[_Prepared, int], y_layer: tuple[_Prepared, int], n: int
) -> dict[str, Any]:
    """95 % interval of the chosen pair, for another draw of all samples: by the influence of samples, or a block jackknife."""
    (x, i), (y, j) = x_layer, y_layer
    if x.graphs is not None and y.graphs is not None:
        a, b = x.graphs[i].long(), y.graphs[j].long()
        try:
            found = intervals.linearised(intervals.overlap_terms(a, b, metric.k))  # type: ignore[attr-defined]
        except FeatureError:  # too few samples for its variance: the conservative one instead, named in the table
            found = intervals.jackknife(score, intervals.mutual_knn_leave_out(a, b, metric.k))  # type: ignore[attr-defined]
    elif hasattr(metric, "leave_block_out"):
        parts = intervals.blocks(n, min(BLOCKS, n // 2))
        found = intervals.jackknife(score, metric.leave_block_out([x.states[i]], [y.states[j]], parts)[:, 0, 0].numpy())
    else:
        return {"interval": ""}
    return {"low": found.low, "high": found.high, "interval": found.method}


def _folds(layers: ModelLayers, metrics: Sequence[Metric], seed: int) -> dict[str, tuple[list[int], list[list[Any]]]]:
    """Prepared layers of one model on every half: by metric id, the layer indices and one list of states a half."""
    n = layers.features.n
    parts = halves(n, SPLITS, seed).reshape(2 * SPLITS, -1)
    indices: list[int] = []
    states: dict[str, list[list[Any]]] = {metric.id: [[] for _ in parts] for metric in metrics}
    for index, geometries in layers.geometries(sorted({m.similarity for m in metrics}), concatenation=True):
        indices.append(index)
        for similarity, geometry in geometries.items():
            for number, part in enumerate(parts):
                half = subset(geometry, part)
                for metric in metrics:
                    if metric.similarity == similarity:
                        states[metric.id][number].append(on_fold(metric, n, len(part)).prepare(half))
    return {metric.id: (indices, states[metric.id]) for metric in metrics}


def _held_out(
    metric: Metric, keys: list[tuple[str, str]], of: dict[str, tuple[list[int], list[list[Any]]]]
) -> list[dict[str, Any]]:
    """Rows of all pairs under one metric with the layers chosen on one half and scored on the other."""
    rows = []
    for x, y in keys:
        (xi, xs), (yi, ys) = of[x], of[y]
        scores = torch.stack([metric.score_all(a, b) for a, b in zip(xs, ys, strict=True)])
        found: HeldOut = held_out(scores.unflatten(0, (SPLITS, 2)))
        rows.append(
            {
                "x_layer": xi[found.x_layer],
                "y_layer": yi[found.y_layer],
                "score": found.score,
                "permutations": 0,
                "interval": "",
            }
        )
    return rows
