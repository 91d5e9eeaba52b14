"""Maps between pairs of layers, from features to a table. No model is run.

Each split has its own samples of fit, select and test and its own order of anchors, which all pairs share. Every
quantity that is estimated from samples, including the clamp's threshold, comes from fit; scores come from test.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from platorep.align.layers import check_same_samples, full_precision
from platorep.core.clamp import Clamp
from platorep.core.errors import DataError, FeatureError, SpecError
from platorep.core.resources import Resources
from platorep.maps.cells import FORWARD, Cell, Pairing
from platorep.maps.heads import Labels
from platorep.maps.layers import LayerOf, Loaded, Pair, kernel_score, load
from platorep.maps.measures import Scene
from platorep.maps.ridge import STRENGTHS
from platorep.maps.rows import Block, table
from platorep.maps.sides import Side
from platorep.maps.splits import Split, anchor_counts, broken_pairs, splits
from platorep.metrics.base import Metric
from platorep.metrics.geometry import Geometry
from platorep.results.translation import SELF, TranslationTable


Progress = Callable[[int, int, str], object]


@dataclass(frozen=True)
class Design:
    """The samples' groups and classes, and the number of random splits.

    Attributes:
        groups: the group of duplicates of each sample, shape (n,); see `splits.duplicates`.
        categories: class of each sample; None if there are none.
        draws: number of random splits, at least 1; intervals over splits need 2.
        seed: seed of the first split; the next splits use the following seeds.
    """

    groups: np.ndarray
    categories: Sequence[str] | None = None
    draws: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        if self.draws < 1:
            raise SpecError(f"translation.draws is {self.draws}; expected at least 1, and 5 or more for intervals.")

    def labels(self, split: Split) -> Labels | None:
        """Classes of a split's samples."""
        if self.categories is None:
            return None
        names, codes = np.unique(np.asarray(self.categories), return_inverse=True)
        return Labels([str(name) for name in names], codes[split.fit], codes[split.select], codes[split.test])


@full_precision()
def translate(
    pairs: Sequence[Pair],
    design: Design,
    metric: Metric,
    *,
    clamp: Clamp,
    resources: Resources,
    select: str = "",
    progress: Progress | None = None,
) -> TranslationTable:
    """Scores of all maps of all pairs in both directions, over numbers of anchors and splits, with controls.

    For each pair, split and number of anchors (8, 16, ... all of fit): a permutation of units (equal widths of at most
    2,048), a rotation with one scale, ridge, relative representations and ASIF, from the same anchors. In the first
    split, each map is also fitted to broken pairs of anchors, and each layer is translated into itself.

    Args:
        pairs: pairs of layers of models on the same samples.
        design: splits and classes.
        metric: metric of the kernel score of the same layers on the test samples; its number of neighbours is scaled
            down in proportion.
        clamp: clamp of each model's features, at a threshold from fit.
        resources: number of threads, and memory budget. Results do not depend on them.
        select: how the layers were chosen, as recorded in the table.
        progress: called after each split and number of anchors.

    Raises:
        DataError: there are no pairs, the samples differ, or they cannot be split.
        FeatureError: a value is not finite; the message names the model.
        SpecError: the layers do not fit into the memory budget.
    """
    if not pairs:
        raise DataError("no pair of different models to translate between.")
    models = list({layer.model.key: layer.model for pair in pairs for layer in (pair.x, pair.y)}.values())
    check_same_samples(models)
    layers = list({layer.key: layer for pair in pairs for layer in (pair.x, pair.y)}.values())
    with_themselves = [*pairs, *(Pair(layer, layer) for layer in layers)]
    parts = splits(design.groups, design.draws, design.seed)
    counts = anchor_counts(len(parts[0].fit))
    _check_memory(layers, parts[0], resources.memory)
    loaded = load(layers, parts, clamp, resources.memory)
    blocks, done = [], 0
    with ThreadPoolExecutor(resources.threads or torch.get_num_threads()) as pool, threadpool_limits(1):
        for draw in range(design.draws):
            stage = _Stage.of(design, draw, parts[draw], loaded, metric)
            staged = with_themselves if draw == 0 else pairs
            kernels = list(pool.map(stage.kernel, staged))
            for count in counts:
                list(pool.map(partial(stage.prepare, count), layers))
                jobs = [(number, pair, count) for number, pair in enumerate(staged)]
                for (_, pair, _), kernel, cells in zip(jobs, kernels, pool.map(stage.cells, jobs), strict=True):
                    sizes = count, len(parts[draw].test)
                    blocks.append(Block(pair, pair.control, *sizes, design.seed + draw, kernel, cells))
                stage.forget()
                done += 1
                if progress is not None:
                    progress(done, len(parts) * len(counts), f"split {draw + 1} of {len(parts)}")
    facts = {"dataset": models[0].dataset, "n": len(design.groups), "clip": clamp.id, "select": select}
    return table(blocks, facts | {"metric": stage.metric.id})


@dataclass(frozen=True)
class _Stage:
    """One split: its scene, and the sides of its pairs."""

    draw: int
    seed: int
    scene: Scene
    sides: dict[tuple[str, int], Side]
    geometries: dict[tuple[str, int], Geometry]
    metric: Metric

    @classmethod
    def of(cls, design: Design, draw: int, split: Split, loaded: Sequence[Loaded], metric: Metric) -> _Stage:
        labels, seed = design.labels(split), design.seed + draw
        sides, geometries = {}, {}
        for layer in loaded:
            sides[layer.layer.key] = Side(layer.clamped(draw).numpy(), split, labels)
            try:
                geometries[layer.layer.key] = layer.geometry(draw, split.test)
            except FeatureError:  # the layer has no kernel score
                continue
        scene = Scene(len(split.test), labels)
        metric = metric.on_fold(len(design.groups), len(split.test))
        return cls(draw, seed, scene, sides, geometries, metric)

    def kernel(self, pair: Pair) -> tuple[float, float]:
        """Kernel score of a pair on the test samples, and its chance."""
        x, y = (self.geometries.get(layer.key) for layer in (pair.x, pair.y))
        if x is None or y is None:
            return float("nan"), float("nan")
        return kernel_score(x, y, self.metric)

    def prepare(self, count: int, layer: LayerOf) -> None:
        """Computes everything that all pairs of a layer share."""
        self.sides[layer.key].relations(count).prepare()

    def cells(self, job: tuple[int, Pair, int]) -> list[tuple[Cell, Cell | None]]:
        """Every map of a pair, in the first split with the same map from broken pairs of anchors."""
        number, pair, count = job
        x, y = (self.sides[layer.key].relations(count) for layer in (pair.x, pair.y))
        if pair.control == SELF:
            return [(cell, None) for cell in Pairing(x, y).cells(self.scene, (FORWARD,))]
        true = list(Pairing(x, y).cells(self.scene))
        if self.draw > 0:
            return [(cell, None) for cell in true]
        order = broken_pairs(count, [self.seed, number, count])
        return list(zip(true, Pairing(x, y, order).cells(self.scene), strict=True))

    def forget(self) -> None:
        """Frees the cached values of one number of anchors."""
        for side in self.sides.values():
            side.forget()


def _check_memory(layers: Sequence[LayerOf], split: Split, memory: int) -> None:
    """Refuses layers that do not fit into memory together with the computations that their maps share."""
    n = len(split.fit) + len(split.select) + len(split.test)
    needed = 0
    for layer in layers:
        width = sum(part.dim for part in layer.model.layers) if layer.index < 0 else layer.model.layers[layer.index].dim
        m = len(split.fit)
        # features as read and clamped; coordinates and relations; quadratic forms of the candidates for a ridge
        needed += 12 * n * width + 64 * n * min(width, n) + 8 * (len(STRENGTHS) + 2) * m * m
    if needed > memory:
        raise SpecError(
            f"{len(layers)} layers of {n:,} samples take {needed / 1e9:.1f} GB, compute.memory allows "
            f"{memory / 1e9:.1f} GB. Raise it, take fewer models (only=), or lower translation.samples."
        )
