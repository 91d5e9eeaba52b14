"""For features that are already in hand: numpy arrays or torch tensors in, scores out. No files, no configuration."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
import torch

from platorep.align.engine import align
from platorep.core.errors import DataError, FeatureError, SpecError
from platorep.core.features import ArrayFeatures
from platorep.core.rounding import LOSS, rounding_loss, rounding_words, unusable
from platorep.metrics.base import Metric
from platorep.metrics.preprocess import ClipRule
from platorep.metrics.registry import build, parse
from platorep.results.outputs import Outputs
from platorep.results.tables import AlignmentTable


Array = np.ndarray | torch.Tensor

_WIDE = (torch.float64, torch.int32, torch.int64, torch.uint32, torch.uint64)  # dtypes with values that float32 has not


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
    clip: ClipRule = "exact",
    quantile: float = 0.95,
    **params: Any,
) -> float:
    """How alike two representations of the same samples are: larger is more alike.

    Args:
        x: features, shape (n, d_x), any real dtype; row i is sample i. Scored in float32: a warning says so where rounding
            to it takes more than a thousandth of the features' spread.
        y: features of the same samples in the same order, shape (n, d_y).
        metric: a name or an id such as "cka(hsic=biased)"; `platorep ls metrics` lists them.
        clip: rule of the clamp at a quantile of |features|, on each side; "none" leaves the features as they are.
        quantile: of the clamp.
        params: of the metric, such as k=10.

    Returns:
        The score, in the metric's bounds. What it means against chance: `compare` gives null moments beside it.

    Raises:
        UnknownNameError: no such metric or parameter, with the nearest names.
        SpecError: a metric, parameter, quantile or device that is none; parameters given twice.
        DataError: different numbers of samples.
        FeatureError: n too small for the metric, values that are not finite or too large for float32, a zero row under cosine,
            arrays that hold no real numbers or none at hand (boolean, masked, sparse, quantised, meta).

    Example:
        >>> import numpy as np
        >>> x = np.random.default_rng(0).normal(size=(100, 16))
        >>> score(x, x[:, ::-1], k=5)  # an orthogonal map moves no neighbour
        1.0
    """
    return float(_scores([x], [y], _metric(metric, params), clip, quantile, "cpu")[0, 0])


def score_layers(
    xs: Sequence[Array],
    ys: Sequence[Array],
    metric: str | Metric = "mutual_knn",
    *,
    clip: ClipRule = "exact",
    quantile: float = 0.95,
    device: str = "cpu",
    **params: Any,
) -> np.ndarray:
    """Scores of all pairs of layers of two models; each layer is prepared once. Widths may differ from layer to layer.

    Args:
        xs: layers of one model, shape (n, d_layer) each; clamped at one threshold over all of them.
        ys: layers of the other, for the same samples.
        metric: as in `score`, like the rest.
        clip: .
        quantile: .
        device: where products are made.
        params: .

    Returns:
        Shape (len(xs), len(ys)), float64.
    """
    return _scores(xs, ys, _metric(metric, params), clip, quantile, device)


def compare(
    models: Mapping[str, Array | Sequence[Array]],
    metrics: str | Metric | Sequence[str | Metric] = "mutual_knn",
    *,
    clip: ClipRule = "exact",
    quantile: float = 0.95,
    concatenation: bool = True,
    device: str = "cpu",
) -> AlignmentTable:
    """Scores of all layers of every pair of different models, as one tidy table with null moments.

    Args:
        models: name -> one array (n, d), or a list of layers; all for the same samples in the same order.
        metrics: one or several names, ids or metrics.
        clip: as in `score`, like quantile.
        quantile: .
        concatenation: whether the concatenation of all layers of a model takes part, as layer -1.
        device: where products are made.

    Returns:
        `table.frame` has a row a layer pair; `table.best()` the best of each pair of models, `table.matrix()` the models' matrix.
    """
    if not isinstance(models, Mapping):
        raise SpecError(
            f"models is a {type(models).__name__}; expected a dict from a name to an array or its layers: {{'a': x, 'b': y}}."
        )
    if wrong := [name for name in models if not isinstance(name, str)]:
        raise SpecError(
            f"a model is named {wrong[0]!r} ({type(wrong[0]).__name__}); expected a text. Write {str(wrong[0])!r}."
        )
    several = isinstance(metrics, Iterable) and not isinstance(metrics, (str, Metric))
    chosen = [_metric(one, {}) for one in (metrics if several else [metrics])]
    _check(quantile, device)
    features = [
        _Arrays(name, [layers] if isinstance(layers, (np.ndarray, torch.Tensor)) else layers)
        for name, layers in models.items()
    ]
    _check_rows(features)
    _warn_of_rounding(features)
    arrays = [model.features for model in features]
    return align(
        arrays,
        arrays,
        chosen,
        out_dir=None,
        clip=clip,
        quantile=quantile,
        concatenation=concatenation,
        pairs="distinct",
        device=device,
    )


def _scores(
    xs: Sequence[Array], ys: Sequence[Array], metric: Metric, clip: ClipRule, quantile: float, device: str
) -> np.ndarray:
    _check(quantile, device)
    x, y = _Arrays("x", xs), _Arrays("y", ys)
    _check_rows([x, y])
    _warn_of_rounding([x, y], stacklevel=4)
    table = align(
        [x.features],
        [y.features],
        [metric],
        out_dir=None,
        clip=clip,
        quantile=quantile,
        concatenation=False,
        device=device,
    )
    return table.frame.score.to_numpy().reshape(len(x.tensors), len(y.tensors))


def _metric(metric: str | Metric, params: Mapping[str, Any]) -> Metric:
    if isinstance(metric, Metric):
        if params:
            raise FeatureError(f"{metric.id} has its parameters already; got {', '.join(params)} beside it.")
        return metric
    if not isinstance(metric, str):
        raise SpecError(
            f"metric is {metric!r}; expected a word such as 'mutual_knn', an id such as 'cka(hsic=biased)', or a metric that was built. "
            "`platorep ls metrics` lists the words; `compare` takes one of these, or a list of them."
        )
    if not params:
        return parse(metric)
    if "(" in metric:
        raise SpecError(
            f"parameters are given twice: in {metric!r}, and {', '.join(params)} beside it. Give all of them in one place."
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


def _check(quantile: float, device: str) -> None:
    """Refuses a quantile that is no number, and a device that is not there."""
    if not isinstance(quantile, Real) or isinstance(quantile, bool):
        raise SpecError(f"quantile is {quantile!r}; expected a number between 0 and 1, such as 0.95.")
    try:
        torch.zeros(1, device=device).item()
    except Exception as error:  # each backend that is missing has an error of its own
        cause = str(error).partition("\n")[0][:200]
        raise SpecError(
            f"device {device!r} cannot be used: {cause} Expected 'cpu', or where there is one 'cuda' or 'cuda:1'."
        ) from error


def _check_rows(models: Sequence[_Arrays]) -> None:
    for other in models[1:]:
        if other.n != models[0].n:
            raise DataError(
                f"{models[0].name} has {models[0].n} samples (rows) and {other.name} has {other.n}; expected as many, row i being the "
                "same sample in both. Drop the rows that only one has."
            )


def _warn_of_rounding(models: Sequence[_Arrays], stacklevel: int = 3) -> None:
    losses = [(loss, index, one.name) for one in models for index, loss in one.losses.items()]
    loss, index, name = max(losses, default=(0.0, 0, ""))
    if loss > LOSS:
        warnings.warn(
            f"{name}, layer {index}: features are scored in float32, and {rounding_words(loss)}",
            stacklevel=stacklevel,
        )


class _Arrays:
    """Layers of one model, checked."""

    def __init__(self, name: str, layers: Sequence[Array]) -> None:
        self.name = name
        self.losses: dict[int, float] = {}  # of the layers whose dtype has values that float32 has not
        if not isinstance(layers, Iterable):
            raise FeatureError(
                f"{name}: got {type(layers).__name__}, expected an array of shape (n, d), or a list of such layers."
            )
        self.tensors = [self._tensor(layer, i) for i, layer in enumerate(layers)]
        if not self.tensors:
            raise FeatureError(f"{name} has no layers; give at least one array of shape (n, d).")
        if len(lengths := {len(tensor) for tensor in self.tensors}) > 1:
            raise FeatureError(
                f"the layers of {name} have different numbers of rows: {sorted(lengths)}. Row i of each must be sample i."
            )
        self.n = len(self.tensors[0])

    @property
    def features(self) -> ArrayFeatures:
        """The layers as the engine takes them."""
        return ArrayFeatures(self.name, self.tensors)

    def _tensor(self, layer: Array, index: int) -> torch.Tensor:
        where = f"{self.name}, layer {index}"
        if not isinstance(layer, (np.ndarray, torch.Tensor)):
            raise FeatureError(f"{where}: got {type(layer).__name__}, expected a numpy array or a torch tensor.")
        if why := unusable(layer):
            raise FeatureError(f"{where}: {why}")
        if layer.ndim != 2:
            raise FeatureError(f"{where}: shape {tuple(layer.shape)}, {layer.dtype}; expected real (n, d).")
        layer = layer.detach() if isinstance(layer, torch.Tensor) else layer
        if (
            layer.dtype in _WIDE
            if isinstance(layer, torch.Tensor)
            else layer.dtype.itemsize > 2 and layer.dtype != np.float32
        ):
            values = layer.cpu().numpy() if isinstance(layer, torch.Tensor) else layer
            with np.errstate(over="ignore"):
                if (np.isfinite(values) & ~np.isfinite(values.astype(np.float32))).any():
                    top = np.abs(values[np.isfinite(values)]).max()
                    raise FeatureError(
                        f"{where}: values up to {top:.2g} are too large for float32; scale the features."
                    )
                self.losses[index] = rounding_loss(values)
        if isinstance(layer, np.ndarray):
            native = (
                np.float32 if layer.dtype.kind == "f" and layer.dtype.itemsize > 8 else layer.dtype.newbyteorder("=")
            )
            layer = torch.from_numpy(np.ascontiguousarray(layer, native))
        return layer
