"""The engine: reads every layer once, prepares it once for all metrics, scores all layer pairs of all model pairs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import torch

from platorep.align.layers import ModelLayers, check_same_samples, full_precision
from platorep.align.parts import (
    Scored,
    best_samples,
    origin,
    part_path,
    read_part,
    rows,
    samples_path,
    tables,
    write_samples,
)
from platorep.align.plan import plan_blocks, products
from platorep.align.prepared import Prepared, prepare
from platorep.core.clamp import EXACT, Clamp
from platorep.core.errors import DataError, SpecError
from platorep.core.features import Features
from platorep.core.files import remove_temporary
from platorep.core.resources import DEFAULT, Resources, pick_device
from platorep.metrics.base import Metric, NullMoments
from platorep.results.tables import AlignmentTable


Progress = Callable[[int, int, str], object]
"""Called as progress(done, total, label) after each layer that was prepared and each part that was written."""

States = dict[str, Prepared]
"""Prepared layers of one model by metric id."""


@full_precision()
def align(
    pairs: Sequence[tuple[Features, Features]],
    metrics: Sequence[Metric],
    *,
    out_dir: Path | None,
    clamp: Clamp = EXACT,
    concatenation: bool = True,
    overwrite: bool = False,
    resources: Resources = DEFAULT,
    progress: Progress | None = None,
) -> AlignmentTable:
    """Scores every layer of the first model of a pair against every layer of the second, for all pairs and metrics.

    Each layer is read, clamped at its model's threshold, and prepared once for all metrics; the concatenation of all
    layers of a model (index -1) takes part as one more layer. One parquet part for each (x model, y model, metric) is
    written to `out_dir`, atomically. Existing parts are not computed again, and a model whose parts all exist is not
    read. Neighbour metrics also write the per-sample overlaps of the best layer pair, as `<part>.samples.parquet`. On a
    CPU the same inputs give the same bytes, however the pairs are divided into calls and shards.

    A layer for which a metric is undefined (too narrow, a zero row under cosine), or whose samples are all alike, is
    left out of that metric and the rest goes on: its rows have no score and say why. `prepared.left_out` lists such
    layers; `prepared.remarks` puts them, and ties, in sentences.

    Args:
        pairs: the (x, y) models, all of the same samples in the same order.
        metrics: built by `platorep.metrics.registry.build`.
        out_dir: folder of the parts; None writes nothing to disk.
        clamp: how the features of a model are clamped, over all of its layers together.
        concatenation: whether the concatenation of all layers takes part.
        overwrite: whether to compute existing parts again.
        resources: the device of products; the memory that features and prepared layers may take together; and the shard
            (i, m), for which only the i-th of m contiguous shares of the pairs is scored. The parts of all shares
            together are those of a run without shards.
        progress: called after each prepared layer and each written part.

    Returns:
        The table of this call's share of the pairs, in their order, then metric, x layer, y layer.

    Raises:
        DataError: two models have different samples or orders; names both, with their digests.
        FeatureError: a metric is undefined for this n.
    """
    _check(pairs, metrics)
    wanted, memory, device = _shared_out(pairs, resources.shard), resources.memory, pick_device(resources.device)
    store = _Parts(out_dir, clamp.id, concatenation, device.type)
    missing = [(a, b, m) for a, b in wanted for m in metrics if overwrite or not store.has(a, b, m)]
    needed = [m for m in metrics if any(m is other for _, _, other in missing)]
    models = {model.key: model for a, b, _ in missing for model in (a, b)}
    sizes = {key: _state_bytes(model, needed) for key, model in models.items()}
    plan = plan_blocks([(a.key, b.key) for a, b, _ in missing], sizes, memory // 2)
    total = sum(len(models[key].layers) for block in plan for key in block.reads) + len(missing)
    report = _Counter(progress, total)
    states: dict[str, States] = {}
    for block in plan:
        states = {key: states[key] for key in block.keeps}
        room = memory - sum(sizes[key] for key in (*block.keeps, *block.reads))  # for one model's features
        for key in block.reads:
            layers = ModelLayers(models[key], clamp=clamp, memory=room, device=device)
            states[key] = prepare(layers, needed, concatenation=concatenation, progress=report)
        here = [(a, b, m) for a, b, m in missing if (a.key, b.key) in block.pairs]
        for metric in needed:
            if wanting := [
                (a, b) for a, b, m in here if m is metric
            ]:  # empty if a killed run had already written these parts
                store.write(metric, _scores(metric, wanting, states), report)
    return AlignmentTable.concatenate([store.get(a, b, m) for a, b in wanted for m in metrics])


def _check(pairs: Sequence[tuple[Features, Features]], metrics: Sequence[Metric]) -> None:
    """Refuses an empty list of pairs, different samples, and a number of samples for which a metric is undefined."""
    if not pairs or not metrics:
        raise DataError(
            f"nothing to align: {len(pairs)} pairs of different models, {len(metrics)} metrics; give one of each."
        )
    check_same_samples([model for pair in pairs for model in pair])
    for metric in metrics:
        metric.check(pairs[0][0].n)
    if twice := [metric.id for i, metric in enumerate(metrics) if metric in metrics[:i]]:
        raise DataError(f"metric {twice[0]} is asked for twice.")


def _shared_out(pairs: Sequence[tuple[Features, Features]], shard: tuple[int, int]) -> list[tuple[Features, Features]]:
    i, m = shard
    if m > len(pairs):
        raise SpecError(
            f"shard {i}/{m}: there are only {len(pairs)} pairs of models to share out. Use at most {len(pairs)} shards."
        )
    return list(pairs[len(pairs) * i // m : len(pairs) * (i + 1) // m])


def _state_bytes(features: Features, metrics: Sequence[Metric]) -> int:
    return sum(metric.state_bytes(features.n, layer.dim) for metric in metrics for layer in features.layers)


def _scores(metric: Metric, pairs: list[tuple[Features, Features]], states: dict[str, States]) -> Iterator[Scored]:
    """Scores of model pairs: x models that meet the same y models share one product."""
    for rows_of, others in products(pairs):
        xs = [state for a in rows_of for state in states[a.key][metric.id].states]
        ys = [state for b in others for state in states[b.key][metric.id].states]
        some = bool(xs and ys)
        scores = metric.score_all(xs, ys) if some else torch.empty(len(xs), len(ys), dtype=torch.float64)
        null = metric.null(xs, ys) if some else None
        top = 0
        for a in rows_of:
            down = slice(top, top := top + len(states[a.key][metric.id].states))
            left = 0
            for b in others:
                across = slice(left, left := left + len(states[b.key][metric.id].states))
                cut = None if null is None else NullMoments._make(None if p is None else p[down, across] for p in null)
                x_side, y_side = states[a.key][metric.id], states[b.key][metric.id]
                yield Scored(a, b, x_side, y_side, scores[down, across], cut)


class _Parts:
    """The parts of one call: which exist, and the writing of those that do not."""

    def __init__(self, out_dir: Path | None, clip: str, concatenation: bool, backend: str) -> None:
        self.out_dir, self.clip, self.concatenation, self.backend = out_dir, clip, concatenation, backend
        self.made: dict[tuple[str, str, str], AlignmentTable] = {}
        if out_dir is not None:
            remove_temporary(out_dir)

    def path(self, x: Features, y: Features, metric: Metric) -> Path:
        if self.out_dir is None:
            raise ValueError("parts that are kept in memory have no path")
        return part_path(self.out_dir, x, y, metric, self.clip, self.concatenation)

    def has(self, x: Features, y: Features, metric: Metric) -> bool:
        if self.out_dir is None:
            return False
        if (known := read_part(self.path(x, y, metric), x, y, metric, self.concatenation)) is not None:
            self.made[x.key, y.key, metric.id] = known
        return known is not None

    def get(self, x: Features, y: Features, metric: Metric) -> AlignmentTable:
        return self.made[x.key, y.key, metric.id]

    def write(self, metric: Metric, results: Iterable[Scored], report: _Counter) -> None:
        """Writes the parts of one metric; the samples' file first, so that an existing part is complete."""
        scored = list(results)
        parts = [
            rows(
                s,
                metric,
                dataset=s.x.dataset,
                clip=self.clip,
                concatenation=self.concatenation,
                backend=self.backend,
            )
            for s in scored
        ]
        for result, table in zip(scored, tables(parts), strict=True):
            self.made[result.x.key, result.y.key, metric.id] = table
            if self.out_dir is not None:
                path = self.path(result.x, result.y, metric)
                facts = origin(path, result.x, result.y)
                if (best := best_samples(result, metric)) is not None:
                    write_samples(samples_path(path), *best, facts)
                table.write(path, facts)
            report(f"{result.x.name} x {result.y.name}")


class _Counter:
    """Counts finished steps for the caller's progress function."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self.progress, self.total, self.done = progress, total, 0

    def __call__(self, label: str) -> None:
        self.done += 1
        if self.progress is not None:
            self.progress(self.done, self.total, label)
