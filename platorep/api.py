"""Scores of features in memory: NumPy arrays or torch tensors in, scores out. No files, no configuration."""

from __future__ import annotations

import itertools
import operator
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from platorep.align.arrays import Array, Arrays
from platorep.align.engine import align
from platorep.align.layers import check_same_samples
from platorep.align.remarks import left_out, remarks
from platorep.align.significance import Null
from platorep.align.significance import significance as choose_and_test
from platorep.core.clamp import Clamp, ClipRule
from platorep.core.errors import DataError, FeatureError, SpecError
from platorep.core.features import ArrayFeatures
from platorep.core.resources import Resources
from platorep.core.rounding import LOSS, rounding_words
from platorep.metrics.base import Metric
from platorep.metrics.registry import build, parse
from platorep.results.outputs import Outputs
from platorep.results.tables import AlignmentTable, SelectionTable


def load(root: Path | str = "outputs") -> Outputs:
    """The results of the command line under a root folder: `.runs`, `.scores(...)`, `.features(...)`, `.samples()`.

    Raises:
        StoreError: there is no such folder.
    """
    return Outputs(root)


def score(
    x: Array,
    y: Array,
    metric: str | Metric = "mutual_knn",
    *,
    clip: ClipRule = "none",
    quantile: float = 0.95,
    **params: Any,
) -> float:
    """How alike two representations of the same samples are: larger is more alike.

    The values are scored as they are. The command line clamps each model's features at the .95 quantile of their size
    first, as the paper does (`protocol.clip=exact`): `clip="exact"` does so here. It is no default of this function,
    because it changes the features that it is given: a few large values are cut, of which a scale or an outlier may be
    what is asked about.

    Args:
        x: features, shape (n, d_x), any real dtype; row i is sample i. Scored in float32.
        y: features of the same samples in the same order, shape (n, d_y).
        metric: a name or an id such as "cka(hsic=biased)"; `platorep ls metrics` lists them.
        clip: rule of the clamp at a quantile of |features|, on each side: "none", "exact" or "approximate".
        quantile: quantile of |features| at which they are clamped, in (0, 1).
        params: parameters of the metric, such as k=10.

    Returns:
        The score, in the metric's bounds. What it means against chance: `compare` gives null moments beside it.

    Raises:
        UnknownNameError: no such metric or parameter, with the nearest names.
        SpecError: the metric, a parameter, the quantile or the device is invalid, or parameters are given twice.
        DataError: different numbers of samples.
        FeatureError: the metric is undefined for these features: n too small, all samples alike, too few columns,
            values that are not finite or too large for float32, a zero row under cosine; or arrays that hold no real
            numbers or none at hand (boolean, masked, sparse, quantised, meta).

    Warns:
        UserWarning: rounding to float32 takes more than a thousandth of the features' spread; or the last neighbour of
            1 % of the samples or more is exactly as near as the next, so that which of them counts is arbitrary.

    Example:
        >>> import numpy as np
        >>> x = np.random.default_rng(0).normal(size=(100, 16))
        >>> score(x, x[:, ::-1], k=5)  # an orthogonal map moves no neighbour
        1.0
    """
    frame, _ = _scores([x], [y], _metric(metric, params), Clamp(clip, quantile), Resources())
    if missing := left_out(frame):
        raise FeatureError(f"{missing[0].model}: {missing[0].reason}")
    return float(frame.score.iloc[0])


def score_layers(
    xs: Sequence[Array],
    ys: Sequence[Array],
    metric: str | Metric = "mutual_knn",
    *,
    clip: ClipRule = "none",
    quantile: float = 0.95,
    device: str = "cpu",
    **params: Any,
) -> np.ndarray:
    """Scores of all pairs of layers of two models; each layer is prepared once. Widths may differ from layer to layer.

    Args:
        xs: layers of one model, shape (n, d_layer) each.
        ys: layers of the other, for the same samples.
        metric: metric, its name or its id, as in `score`.
        clip: clamping rule, as in `score`; with a clamp, one threshold over all layers of a model.
        quantile: quantile of |features| at which they are clamped, in (0, 1).
        device: torch device on which inner products are computed.
        params: parameters of the metric, such as k=10.

    Returns:
        Shape (len(xs), len(ys)), float64; NaN where the metric is undefined for a layer, which a warning names.
    """
    frame, shape = _scores(xs, ys, _metric(metric, params), Clamp(clip, quantile), Resources(device=str(device)))
    return frame.score.to_numpy().reshape(shape)


def compare(
    models: Mapping[str, Array | Sequence[Array]],
    metrics: str | Metric | Sequence[str | Metric] = "mutual_knn",
    *,
    clip: ClipRule = "none",
    quantile: float = 0.95,
    concatenation: bool = True,
    device: str = "cpu",
) -> AlignmentTable:
    """Scores of all layers of every pair of different models, as one tidy table with null moments of each layer pair.

    The best of many layer pairs lies above the chance level of one: `significance` has the null of that choice.

    Args:
        models: name -> one array (n, d), or a list of layers; all for the same samples in the same order.
        metrics: one or several names, ids or metrics.
        clip: clamping rule, as in `score`; with a clamp, one threshold over all layers of a model.
        quantile: quantile of |features| at which they are clamped, in (0, 1).
        concatenation: whether the concatenation of all layers of a model takes part, as layer -1.
        device: torch device on which inner products are computed.

    Returns:
        `table.frame` has a row per layer pair; `table.best()` the best of each pair of models, `table.matrix()` the
        models' matrix. Layers for which a metric is undefined have no score and say why; a warning names them.
    """
    clamp, resources, pairs = Clamp(clip, quantile), Resources(device=str(device)), _pairs(models)
    table = align(pairs, _metrics(metrics), out_dir=None, clamp=clamp, concatenation=concatenation, resources=resources)
    _warn(remarks(table.frame), stacklevel=3)
    return table


def significance(
    models: Mapping[str, Array | Sequence[Array]],
    metrics: str | Metric | Sequence[str | Metric] = "mutual_knn",
    *,
    select: str = "max",
    permutations: int = 200,
    seed: int = 0,
    strata: Sequence[Any] | None = None,
    clip: ClipRule = "none",
    quantile: float = 0.95,
    device: str = "cpu",
) -> SelectionTable:
    """One score of every pair of different models, with the null that knows how its layers were chosen.

    Args:
        models: mapping from name to array or list of layers, as in `compare`.
        metrics: one or several metrics, as in `compare`.
        select: "max" over all layer pairs and concatenations; "heldout", chosen on one half of the samples and scored
            on the other; "last"; "depth:0.5".
        permutations: relabellings of the samples, shared by all pairs of models and metrics; p is at least
            1 / (permutations + 1).
        seed: seed of the relabellings and of the halves.
        strata: one label for each sample: relabel within labels only, and so test what goes beyond them.
        clip: clamping rule, as in `score`.
        quantile: quantile of |features| at which they are clamped, in (0, 1).
        device: torch device on which inner products are computed.

    Returns:
        `table.frame` has a row for each pair of models and metric: layers, score, 95 % interval, mean and central 95 %
        of the null of the choice, p, p corrected for all pairs, and the share of tied samples.
    """
    clamp, resources, pairs = Clamp(clip, quantile), Resources(device=str(device)), _pairs(models)
    name = "strata" if strata is not None else ""
    null = Null(permutations=permutations, seed=seed, strata=strata, strata_name=name)
    return choose_and_test(pairs, _metrics(metrics), select=select, null=null, clamp=clamp, resources=resources)


def _pairs(models: Mapping[str, Array | Sequence[Array]]) -> list[tuple[ArrayFeatures, ArrayFeatures]]:
    """All pairs of different models of a mapping, checked; warns of lost digits on behalf of the caller's caller."""
    if not isinstance(models, Mapping):
        raise SpecError(
            f"models is a {type(models).__name__}; expected a dict from a name to an array or its layers: "
            "{'a': x, 'b': y}."
        )
    if wrong := [name for name in models if not isinstance(name, str)]:
        raise SpecError(
            f"a model is named {wrong[0]!r} ({type(wrong[0]).__name__}); expected a text. Write {str(wrong[0])!r}."
        )
    arrays = [
        Arrays(name, [layers] if isinstance(layers, (np.ndarray, torch.Tensor)) else layers)
        for name, layers in models.items()
    ]
    _warn(_rounding(arrays), stacklevel=4)
    features = [model.features for model in arrays]
    check_same_samples(features)
    pairs = list(itertools.combinations(features, 2))
    if not pairs:
        raise DataError("no two different models to compare; give at least two.")
    return pairs


def _metrics(metrics: str | Metric | Sequence[str | Metric]) -> list[Metric]:
    if isinstance(metrics, (str, Metric)) or not isinstance(metrics, Iterable):
        return [_metric(metrics, {})]
    return [_metric(metric, {}) for metric in metrics]


def _scores(
    xs: Sequence[Array], ys: Sequence[Array], metric: Metric, clamp: Clamp, resources: Resources
) -> tuple[pd.DataFrame, tuple[int, int]]:
    """The table's rows of two models, and the numbers of their layers; warns on behalf of the caller's caller."""
    x, y = Arrays("x", xs), Arrays("y", ys)
    _warn(_rounding([x, y]), stacklevel=4)
    pair = x.features, y.features
    check_same_samples(pair)
    table = align([pair], [metric], out_dir=None, clamp=clamp, concatenation=False, resources=resources)
    shape = len(x.tensors), len(y.tensors)
    if shape != (1, 1) or not left_out(table.frame):  # a single score is refused
        _warn(remarks(table.frame), stacklevel=4)
    return table.frame, shape


def _warn(sentences: Iterable[str], stacklevel: int) -> None:
    for sentence in sentences:
        warnings.warn(sentence, stacklevel=stacklevel + 1)


def _metric(metric: str | Metric, params: Mapping[str, Any]) -> Metric:
    if isinstance(metric, Metric):
        if params:
            raise FeatureError(f"{metric.id} has its parameters already; got {', '.join(params)} beside it.")
        return metric
    if not isinstance(metric, str):
        raise SpecError(
            f"metric is {metric!r}; expected a name such as 'mutual_knn', an id such as 'cka(hsic=biased)', or a "
            "Metric. `platorep ls metrics` lists the names; `compare` takes one of these, or a list of them."
        )
    if not params:
        return parse(metric)
    if "(" in metric:
        raise SpecError(
            f"parameters are given twice: in {metric!r}, and {', '.join(params)} beside it. "
            "Give all of them in one place."
        )
    return build(metric, **{name: _whole(value) for name, value in params.items()})


def _whole(value: Any) -> Any:
    """Whole numbers of other libraries, such as np.int64(5), as Python's; anything else as it is."""
    if isinstance(value, bool) or (isinstance(value, torch.Tensor) and value.dtype == torch.bool):
        return value
    try:
        return operator.index(value)
    except TypeError:
        return value


def _rounding(models: Sequence[Arrays]) -> list[str]:
    """What to say of the layer that loses most by rounding to float32, if that is too much."""
    losses = [(loss, index, model.name) for model in models for index, loss in model.losses.items()]
    loss, index, name = max(losses, default=(0.0, 0, ""))
    if loss <= LOSS:
        return []
    return [f"{name}, layer {index}: features are scored in float32, and {rounding_words(loss)}"]
