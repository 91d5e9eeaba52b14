"""Information imbalance of every pair of models both ways, and the intrinsic dimension of both sides."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch

from platorep.core.errors import FeatureError
from platorep.metrics.base import Geometry
from platorep.metrics.imbalance import InformationImbalance, Ranks
from platorep.results.studies import StudyTable
from platorep.results.tables import CONCATENATION
from platorep.stats import intervals
from platorep.stats.dimension import Dimension, maximum_likelihood, two_nn
from platorep.stats.draws import against
from platorep.stats.permutations import Permutations
from platorep.stats.relabel import relabel
from platorep.studies.layers import Inputs, columns_of


TO_Y, TO_X = "information imbalance, x to y", "information imbalance, y to x"
ASYMMETRY = "asymmetry of the imbalance"
TWO_NN, LIKELIHOOD = "intrinsic dimension, TwoNN", "intrinsic dimension, maximum likelihood"
BLOCKS = 64


class _Layer(NamedTuple):
    ranks: Ranks
    dimensions: dict[str, Dimension]


def imbalance(
    inputs: Inputs,
    *,
    k: int = 1,
    neighbours: int = 10,
    permutations: int = 199,
    progress: Callable[[int, int, str], object] | None = None,
) -> StudyTable:
    """Information imbalance of the chosen layers both ways, their difference, and each side's intrinsic dimension.

    Delta(x -> y) near 0: y's order follows from x; near 1: x says nothing about y. The null relabels y's samples; p is
    for values as small as the observed one. The asymmetry, Delta(x -> y) less Delta(y -> x), is below 0 where x holds
    more of y than the reverse; its interval is that of the difference. Intervals are a jackknife of blocks of samples,
    for other samples.

    Args:
        inputs: pairs of models, x language.
        k: neighbours of the imbalance.
        neighbours: of the maximum-likelihood dimension.
        permutations: relabellings.
        progress: called after each pair.

    Returns:
        One row per pair and quantity. One row per layer and dimension, with the layer's name as `setting` and without
        models. The means over pairs.

    Cost: n^2 operations per pair, block and direction, and n k per relabelling.
    """
    metrics = {
        TO_Y: InformationImbalance(k=k, similarity=inputs.similarity),
        TO_X: InformationImbalance(k=k, direction="yx", similarity=inputs.similarity),
    }
    layers = inputs.layers(lambda geometry: _layer(geometry, metrics[TO_Y], neighbours))
    parts = intervals.blocks(inputs.n, min(BLOCKS, inputs.n // 2))
    orders = [torch.from_numpy(order) for order in Permutations.draw(inputs.n, permutations, inputs.seed).order]
    rows: list[dict[str, Any]] = []
    for number, (_, pair) in enumerate(inputs.pairs.iterrows()):
        x, y = (layers[pair[f"{side}_model"], pair[f"{side}_layer"]].ranks for side in "xy")
        rows += [columns_of(pair) | row for row in _rows(x, y, metrics, parts, orders)]
        if progress is not None:
            progress(number + 1, len(inputs.pairs), f"{pair.x_model} × {pair.y_model}")
    table = StudyTable.of_rows(rows, study="imbalance", **inputs.common())
    note = f"mean over {inputs.of_pairs()}, k = {k}"
    means = table.frame.groupby("quantity", sort=False).value.mean()
    totals = [{"quantity": q, "value": v, "items": len(inputs.pairs), "note": note} for q, v in means.items()]
    sides = [
        {"setting": _layer_name(model, index), "quantity": quantity, "items": inputs.n}
        | {"value": value.value, "low": value.low, "high": value.high, "note": model}
        for (model, index), layer in layers.items()
        for quantity, value in layer.dimensions.items()
    ]
    beside = StudyTable.of_rows([*sides, *totals], study="imbalance", **inputs.common())
    return StudyTable.concatenate([table, beside])


def _layer_name(model: str, index: int) -> str:
    return f"{model}, all layers" if index == CONCATENATION else f"{model}, layer {index}"


def _layer(geometry: Geometry, metric: InformationImbalance, neighbours: int) -> _Layer:
    return _Layer(metric.prepare(geometry), dimensions(geometry, neighbours))


def dimensions(geometry: Geometry, neighbours: int) -> dict[str, Dimension]:
    """Both estimates of a layer's intrinsic dimension; those that are not defined are left out.

    Under cosine distances are those of rows of length 1.
    """
    near = geometry.neighbours(min(neighbours, geometry.n - 1)).cpu()
    x = (geometry.x if geometry.similarity == "cosine" else geometry.moved).cpu()
    apart = torch.stack([(x - x[column]).double().norm(dim=1) for column in near.T], dim=1)
    apart = apart.where(apart > 1e-6 * float(x.norm(dim=1).mean()), 0.0)  # equal rows, up to rounding
    graph, distances = near.numpy(), np.sort(apart.numpy(), axis=1)
    found = {}
    for name, estimate in ((TWO_NN, two_nn), (LIKELIHOOD, maximum_likelihood)):
        try:
            found[name] = estimate(graph, distances)
        except FeatureError:
            continue
    return found


def _rows(
    x: Ranks,
    y: Ranks,
    metrics: dict[str, InformationImbalance],
    parts: list[torch.Tensor],
    orders: list[torch.Tensor],
) -> Iterator[dict[str, Any]]:
    n, values, left_out = x.n, {}, {}
    sizes = torch.tensor([n - len(part) for part in parts])
    moved = relabel_all(y, orders)
    for quantity, metric in metrics.items():
        values[quantity] = float(metric.imbalance(metric.score(x, y), n))
        scores = metric.leave_block_out([x], [y], parts)[:, 0, 0]
        left_out[quantity] = 1 - scores * (1 - (metric.k + 1) / sizes)
        interval = intervals.jackknife(values[quantity], left_out[quantity].numpy())
        row: dict[str, Any] = {"quantity": quantity, "value": values[quantity], "items": n}
        row |= {"low": interval.low, "high": interval.high}
        if moved:
            draws = metric.imbalance(metric.score_all([x], moved)[0], n)
            null = against(-row["value"], -torch.as_tensor(draws).numpy())
            row |= {"null_mean": -null.null_mean, "null_low": -null.null_high, "null_high": -null.null_low}
            row |= {"p_value": null.p_value, "permutations": null.permutations}
        yield row
    difference = values[TO_Y] - values[TO_X]
    interval = intervals.jackknife(difference, (left_out[TO_Y] - left_out[TO_X]).numpy())
    yield {"quantity": ASYMMETRY, "value": difference, "low": interval.low, "high": interval.high, "items": n}


def relabel_all(state: Ranks, orders: list[torch.Tensor]) -> list[Ranks]:
    """The layer with its samples relabelled in each order."""
    return [relabel([state], order)[0] for order in orders]
