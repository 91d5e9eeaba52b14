"""Negative controls with a dose: what scores do as pairs are broken, from features that are already stored.

Shuffling pairs moves the rows of one side; nothing is extracted or prepared again (`platorep.stats.relabel`). The other
controls are models or settings: random-init twins (weights=random), the lexical baselines (tfidf, pixels), and relabelling
within a category (statistics.strata=category).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch

import platorep
from platorep.align.layers import Features, ModelLayers, check_same_samples, full_precision
from platorep.align.prepared import Prepared, prepare
from platorep.core.errors import DataError, FeatureError
from platorep.core.results import ALIGNMENT_COLUMNS, CONCATENATION, AlignmentTable
from platorep.data.captions import mismatched
from platorep.metrics.base import Metric
from platorep.metrics.preprocess import ClipRule, clip_id
from platorep.stats.relabel import relabel
from platorep.stats.selection import relative_depths


SHARES = tuple(level / 20 for level in range(21))
"""0 to 100 % in 21 levels."""


@full_precision()
def shuffled_pairs(
    x: Sequence[Features],
    y: Sequence[Features],
    metric: Metric,
    *,
    shares: Sequence[float] = SHARES,
    seeds: int = 5,
    clip: ClipRule = "exact",
    quantile: float = 0.95,
    memory: int = 4 << 30,
    device: str | torch.device = "cpu",
    progress: Callable[[int, int, str], object] | None = None,
) -> AlignmentTable:
    """Alignment of every x model with every y model after a share of the pairs was mismatched.

    With a share s and a seed, round(s n) samples of the y side pass their rows round (`data.captions.mismatched`); the same
    samples for all models. The layers are chosen anew each time, as the maximum over layer pairs and concatenations: at
    share 1 the score is a draw of the null of that choice, not of a fixed pair's chance level.

    Args:
        x: models on one side.
        y: models on the other side, of the same samples.
        metric: one whose prepared layers can be relabelled.
        shares: in [0, 1].
        seeds: draws a share, numbered from 0; share 0 has one, as it does not depend on the seed.
        clip: rule of the clamp; see `align`.
        quantile: of the clamp.
        memory: bytes that features and prepared layers may take together.
        device: where layers are prepared.
        progress: called after each model that was prepared and each scored shuffling.

    Returns:
        One row a (x model, y model, share, seed), the best layer pair's, on a dataset named "NAME_shuffled_SHARE_seed_SEED"
        as `figures.controls` reads it; the null columns are NaN.

    Raises:
        DataError: models of different samples, or no model on a side.
        FeatureError: the metric is undefined for every layer of a model.
        SpecError: a share outside [0, 1].

    Cost: one preparation a model, then len(shares) * seeds times one `score_all` over all layers.
    """
    if not x or not y:
        raise DataError(f"shuffled pairs need models on both sides; got {len(x)} and {len(y)}.")
    check_same_samples([*x, *y])
    n, models = x[0].n, list({one.key: one for one in (*x, *y)}.values())
    metric.check(n)
    draws = [(share, seed) for share in shares for seed in range(seeds if share > 0 else 1)]
    total, prepared = len(models) + len(draws), {}
    for number, one in enumerate(models, 1):
        layers = ModelLayers(one, clip=clip, quantile=quantile, memory=memory // 2, device=str(device))
        prepared[one.key] = prepare(layers, [metric])[metric.id]
        if not prepared[one.key].states:
            reason = next(iter(prepared[one.key].left_out.values()))
            raise FeatureError(f"{one.name}: {metric.id} is undefined for all of its layers: {reason}")
        if progress is not None:
            progress(number, total, one.name)
    xs, ys = ([state for one in side for state in prepared[one.key].states] for side in (x, y))
    common = {"n": n, "metric": metric.id, "clip": clip_id(clip, quantile), "version": platorep.__version__}
    common |= {"dtype": "float32", "backend": torch.device(device).type}
    name, rows = x[0].path.parent.name.split("--")[0], []
    for number, (share, seed) in enumerate(draws, 1):
        order = torch.from_numpy(mismatched(n, share, seed))
        scores = metric.score_all(xs, relabel(ys, order))
        dataset = f"{name}_shuffled_{share:g}_seed_{seed}"
        rows += [common | {"dataset": dataset} | row for row in _best(x, y, scores, prepared)]
        if progress is not None:
            progress(len(models) + number, total, f"{share:.0%}")
    return AlignmentTable.from_frame(pd.DataFrame(rows).reindex(columns=list(ALIGNMENT_COLUMNS)))


def _best(
    x: Sequence[Features], y: Sequence[Features], scores: torch.Tensor, prepared: dict[str, Prepared]
) -> list[dict[str, Any]]:
    """The best layer pair of every pair of models in a matrix of all layers."""
    rows, top = [], 0
    for a in x:
        down = prepared[a.key].indices
        left = 0
        for b in y:
            across = prepared[b.key].indices
            block = scores[top : top + len(down), left : left + len(across)]
            i, j = np.unravel_index(int(block.argmax()), block.shape)
            rows.append({"score": block[i, j].item()} | _layer("x", a, down[i]) | _layer("y", b, across[j]))
            left += len(across)
        top += len(down)
    return rows


def _layer(side: str, features: Features, layer: int) -> dict[str, Any]:
    joined = layer == CONCATENATION
    return {
        f"{side}_model": features.name,
        f"{side}_key": features.key,
        f"{side}_modality": features.spec.model.modality,
        f"{side}_family": features.spec.model.family,
        f"{side}_layer": layer,
        f"{side}_layer_name": "concatenation" if joined else features.layers[layer].name,
        f"{side}_depth": np.nan if joined else relative_depths(len(features.layers))[layer],
    }
