"""For features that are already in hand: numpy arrays or torch tensors in, scores out. No files, no configuration."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from platorep.align.engine import align
from platorep.core.errors import FeatureError
from platorep.core.results import AlignmentTable
from platorep.core.samples import ids_digest
from platorep.core.specs import DatasetSpec, ExtractSpec, ModelSpec
from platorep.core.store import Layer
from platorep.metrics.base import Metric
from platorep.metrics.preprocess import ClipRule
from platorep.metrics.registry import build, parse


Array = np.ndarray | torch.Tensor


def score(
    x: Array, y: Array, metric: str | Metric = "mutual_knn", *, clip: ClipRule = "exact", quantile: float = 0.95, **params: Any
) -> float:
    """How alike two representations of the same samples are: larger is more alike.

    Args:
        x: features, shape (n, d_x), any real dtype; row i is sample i.
        y: features of the same samples in the same order, shape (n, d_y).
        metric: a name or an id such as "cka(hsic=biased)"; `platorep ls metrics` lists them.
        clip: rule of the clamp at a quantile of |features|, on each side; "none" leaves the features as they are.
        quantile: of the clamp.
        params: of the metric, such as k=10.

    Returns:
        The score, in the metric's bounds. What it means against chance: `compare` gives null moments beside it.

    Raises:
        UnknownNameError: no such metric or parameter, with the nearest names.
        DataError: different numbers of samples.
        FeatureError: n too small for the metric, values that are not finite, a zero row under cosine.

    Example:
        >>> import numpy as np
        >>> x = np.random.default_rng(0).normal(size=(100, 16))
        >>> score(x, x[:, ::-1], k=5)  # an orthogonal map moves no neighbour
        1.0
    """
    return float(score_layers([x], [y], metric, clip=clip, quantile=quantile, **params)[0, 0])


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
    x, y = _Arrays("x", xs), _Arrays("y", ys)
    table = align([x], [y], [_metric(metric, params)], out_dir=None, clip=clip, quantile=quantile, concatenation=False, device=device)
    return table.frame.score.to_numpy().reshape(len(x.layers), len(y.layers))


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
    features = [_Arrays(name, [layers] if isinstance(layers, (np.ndarray, torch.Tensor)) else layers) for name, layers in models.items()]
    chosen = [metrics] if isinstance(metrics, (str, Metric)) else list(metrics)
    return align(
        features,
        features,
        [_metric(one, {}) for one in chosen],
        out_dir=None,
        clip=clip,
        quantile=quantile,
        concatenation=concatenation,
        pairs="distinct",
        device=device,
    )


def _metric(metric: str | Metric, params: Mapping[str, Any]) -> Metric:
    if isinstance(metric, Metric):
        if params:
            raise FeatureError(f"{metric.id} has its parameters already; got {', '.join(params)} beside it.")
        return metric
    return build(metric, **params) if params else parse(metric)


class _Arrays:
    """Layers in memory with what the engine asks of stored features."""

    def __init__(self, name: str, layers: Sequence[Array]) -> None:
        self.name = name
        self.tensors = [self._tensor(layer, i) for i, layer in enumerate(layers)]
        if not self.tensors:
            raise FeatureError(f"{name} has no layers; give at least one array of shape (n, d).")
        if len(lengths := {len(tensor) for tensor in self.tensors}) > 1:
            raise FeatureError(f"the layers of {name} have different numbers of rows: {sorted(lengths)}. Row i of each must be sample i.")
        self.n = len(self.tensors[0])
        self.digest = ids_digest([str(i) for i in range(self.n)])
        self.layers = [Layer(f"layer.{i}", tensor.shape[1], "F32") for i, tensor in enumerate(self.tensors)]
        self.key = f"{name}-{self._content()}"
        dataset = DatasetSpec(name="memory", source="synthetic", n=self.n)
        self.spec = ExtractSpec(model=ModelSpec(name=name, modality="", source="imported", id=name), dataset=dataset)
        self.path = Path("memory") / name

    def load(self, layer: int, *, rows: slice | None = None, device: str = "cpu") -> torch.Tensor:
        """A copy of the rows: the engine clamps in place."""
        return self.tensors[layer][rows or slice(None)].to(device, torch.float32, copy=True)

    def _tensor(self, layer: Array, index: int) -> torch.Tensor:
        if not isinstance(layer, (np.ndarray, torch.Tensor)):
            raise FeatureError(f"{self.name}, layer {index}: got {type(layer).__name__}, expected a numpy array or a torch tensor.")
        if isinstance(layer, np.ndarray):
            if layer.dtype.kind not in "fiu":
                raise FeatureError(f"{self.name}, layer {index}: dtype {layer.dtype} holds no real numbers.")
            layer = torch.from_numpy(np.ascontiguousarray(layer))
        if layer.ndim != 2 or layer.is_complex():
            raise FeatureError(f"{self.name}, layer {index}: shape {tuple(layer.shape)}, {layer.dtype}; expected real (n, d).")
        return layer.detach()

    def _content(self) -> str:
        code = hashlib.sha256()
        for tensor in self.tensors:
            code.update(repr(tuple(tensor.shape)).encode() + tensor.to("cpu", torch.float32).contiguous().numpy().tobytes())
        return code.hexdigest()[:12]
