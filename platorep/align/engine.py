"""The engine: reads every layer once, prepares it once for all metrics, scores all layer pairs of all model pairs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import torch

from platorep.core.results import AlignmentTable
from platorep.core.store import FeatureSet
from platorep.metrics.base import Metric
from platorep.metrics.preprocess import ClipRule


Progress = Callable[[int, int, str], object]
"""Called as progress(done, total, label) after each layer that was prepared and each part that was written."""


def align(
    x: Sequence[FeatureSet],
    y: Sequence[FeatureSet],
    metrics: Sequence[Metric],
    *,
    out_dir: Path,
    clip: ClipRule = "exact",
    quantile: float = 0.95,
    concatenation: bool = True,
    pairs: Literal["all", "distinct"] = "all",
    shard: tuple[int, int] = (0, 1),
    memory: int = 4 << 30,
    device: str | torch.device = "cpu",
    progress: Progress | None = None,
) -> AlignmentTable:
    """Scores every layer of every x model against every layer of every y model.

    Each layer is read, clamped at its model's threshold, and prepared once for all metrics; the concatenation of all
    layers of a model (index -1) takes part as one layer more. One parquet part a (x model, y model, metric) goes to
    `out_dir`, whole or not at all; a part that is there is not made again, and a model whose parts are all there is
    not read. Metrics on neighbours leave the per-sample overlaps of the best layer pair beside their part, as
    `<part>.samples.parquet`. The same inputs give the same bytes on a CPU.

    Args:
        x: features of the models on one side, of one dataset.
        y: features of the models on the other side, of the same samples in the same order.
        metrics: built by `platorep.metrics.registry.build`.
        out_dir: folder of the parts.
        clip: "exact", "approximate" or "none"; see `platorep.metrics.preprocess`.
        quantile: of |features|, over all layers of a model together.
        concatenation: whether the concatenation of all layers takes part.
        pairs: "all", or "distinct": each unordered pair of different models once (for x and y the same models).
        shard: (i, m): only the i-th of m shares of the x models' pairs; the shares' parts together are the whole's.
        memory: bytes that features and prepared layers may take together.
        device: where products are made.
        progress: called after each prepared layer and each written part.

    Returns:
        The table of all pairs of this call, in the order x model, y model, metric, x layer, y layer.

    Raises:
        DataError: two models have different samples or orders; names both, with their digests.
        FeatureError: a metric is undefined for this n, or features that cannot be scored; names model and layer.
    """
    raise NotImplementedError
