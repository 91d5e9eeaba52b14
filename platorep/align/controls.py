"""Negative controls with a dose: scores as a function of the share of mismatched pairs, from stored features.

Shuffling pairs moves the rows of one side; nothing is extracted or prepared again (`platorep.stats.relabel`). The other
controls are models or settings: untrained copies of models (weights=random), the lexical baselines (tfidf, pixels), and
relabelling within a category (statistics.strata=category).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from platorep.align.layers import ModelLayers, check_same_samples, full_precision
from platorep.align.plan import products
from platorep.align.prepared import Prepared, prepare
from platorep.core.clamp import EXACT, Clamp
from platorep.core.errors import DataError, FeatureError, SpecError
from platorep.core.features import Features
from platorep.core.resources import DEFAULT, Resources, pick_device
from platorep.core.version import __version__
from platorep.data.captions import mismatched
from platorep.metrics.base import Metric
from platorep.results.facts import facts
from platorep.results.protocols import check
from platorep.results.tables import ALIGNMENT_COLUMNS, CONCATENATION, AlignmentTable
from platorep.stats.relabel import relabel
from platorep.stats.selection import nearest_layer, relative_depths


SHARES = tuple(level / 20 for level in range(21))
"""0 to 100 % in 21 levels."""


@dataclass(frozen=True, kw_only=True)
class Shuffles:
    """Which shares of the pairs are mismatched, how often, and how layers are chosen each time.

    Args:
        shares: of the pairs, in [0, 1].
        seeds: draws per share, numbered from 0; share 0 has one draw, because it does not depend on the seed.
        select: max, last or depth:FRACTION, as the protocol chooses layers.

    Raises:
        SpecError: an unknown choice, or "heldout", which would halve the samples again.
    """

    shares: Sequence[float] = SHARES
    seeds: int = 5
    select: str = "max"

    def __post_init__(self) -> None:
        if check(self.select) == "heldout":
            raise SpecError("shuffled pairs are scored on all samples: choose protocol=prh or protocol=last_layer.")

    @property
    def draws(self) -> list[tuple[float, int]]:
        """(share, seed) of every draw."""
        return [(share, seed) for share in self.shares for seed in range(self.seeds if share > 0 else 1)]


@full_precision()
def shuffled_pairs(
    pairs: Sequence[tuple[Features, Features]],
    metric: Metric,
    shuffles: Shuffles | None = None,
    *,
    clamp: Clamp = EXACT,
    resources: Resources = DEFAULT,
    progress: Callable[[int, int, str], object] | None = None,
) -> AlignmentTable:
    """Alignment of every pair of models after a share of the pairs of samples was mismatched.

    With a share s and a seed, round(s n) samples of the y side exchange their rows in a cycle
    (`data.captions.mismatched`); they are the same samples for all models. The layers are chosen again for each draw.
    Under "max", the score at share 1 is a draw of the null of that choice, not of a fixed pair's chance level.

    Args:
        pairs: the (x, y) models, all of the same samples.
        metric: one whose prepared layers can be relabelled.
        shuffles: shares, seeds and the choice of layers.
        clamp: of the features.
        resources: the device, and the memory that features and prepared layers may take together.
        progress: called after each model that was prepared and each scored shuffling.

    Returns:
        One row for each (x model, y model, share, seed), that of the chosen layer pair; shuffle_share and shuffle_seed
        distinguish the rows. The null columns are NaN.

    Raises:
        DataError: models of different samples, or no pair of models.
        FeatureError: the metric is undefined for every layer of a model.
        SpecError: a share outside [0, 1].

    Cost: one preparation a model, then shares times seeds times one `score_all` over all layers.
    """
    shuffles, device = shuffles or Shuffles(), pick_device(resources.device)
    if not pairs:
        raise DataError("no pair of different models to compare.")
    models = list({model.key: model for pair in pairs for model in pair}.values())
    check_same_samples(models)
    n, dataset = models[0].n, models[0].dataset
    metric.check(n)
    total, prepared = len(models) + len(shuffles.draws), {}
    for number, model in enumerate(models, 1):
        layers = ModelLayers(model, clamp=clamp, memory=resources.memory // 2, device=device)
        prepared[model.key] = prepare(layers, [metric])[metric.id]
        if not prepared[model.key].states:
            reason = next(iter(prepared[model.key].left_out.values()))
            raise FeatureError(f"{model.name}: {metric.id} is undefined for all of its layers: {reason}")
        if progress is not None:
            progress(number, total, model.name)
    common = {"dataset": dataset, "n": n, "metric": metric.id, "clip": clamp.id, "version": __version__}
    common |= {"dtype": "float32", "backend": device.type}
    rows = []
    for number, (share, seed) in enumerate(shuffles.draws, 1):
        order = torch.from_numpy(mismatched(n, share, seed))
        drawn = common | {"shuffle_share": float(share), "shuffle_seed": float(seed)}
        for x, y in products(pairs):
            xs, ys = ([state for model in side for state in prepared[model.key].states] for side in (x, y))
            scores = metric.score_all(xs, relabel(ys, order))
            rows += [drawn | row for row in _chosen(x, y, scores, prepared, shuffles.select)]
        if progress is not None:
            progress(len(models) + number, total, f"{share:.0%}")
    return AlignmentTable.from_frame(pd.DataFrame(rows).reindex(columns=list(ALIGNMENT_COLUMNS)))


def _chosen(
    x: Sequence[Features], y: Sequence[Features], scores: torch.Tensor, prepared: dict[str, Prepared], select: str
) -> list[dict[str, Any]]:
    """The chosen layer pair of every pair of models in a matrix of the layers that take part."""
    rows, top = [], 0
    for a in x:
        down, left = prepared[a.key].indices, 0
        for b in y:
            across = prepared[b.key].indices
            block = scores[top : top + len(down), left : left + len(across)]
            if select == "max":
                i, j = (int(place) for place in np.unravel_index(int(block.argmax()), block.shape))
            else:
                depth = 1.0 if select == "last" else float(select.removeprefix("depth:"))
                i, j = (_nearest(model, indices, depth) for model, indices in ((a, down), (b, across)))
            rows.append({"score": block[i, j].item()} | _layer("x", a, int(down[i])) | _layer("y", b, int(across[j])))
            left += len(across)
        top += len(down)
    return rows


def _nearest(model: Features, indices: Sequence[int], depth: float) -> int:
    """Position, among the layers that take part, of the layer nearest to a depth; the concatenation has no depth."""
    depths = relative_depths(len(model.layers))
    return nearest_layer([depths[index] for index in indices if index != CONCATENATION], depth)


def _layer(side: str, features: Features, layer: int) -> dict[str, Any]:
    joined, model = layer == CONCATENATION, features.spec.model
    columns = {
        "model": features.name,
        "key": features.key,
        "modality": model.modality,
        "family": model.family,
        "layer": layer,
        "layer_name": "concatenation" if joined else features.layers[layer].name,
        "depth": np.nan if joined else relative_depths(len(features.layers))[layer],
        **facts(model),
    }
    return {f"{side}_{name}": value for name, value in columns.items()}
