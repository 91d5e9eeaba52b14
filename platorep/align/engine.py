"""The engine: reads every layer once, prepares it once for all metrics, scores all layer pairs of all model pairs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch

from platorep.align.layers import ModelLayers, full_precision
from platorep.align.parts import layer_indices, origin, part_path, read_part, rows, samples_path, tables, write_samples
from platorep.align.plan import plan_blocks
from platorep.core.errors import DataError, FeatureError, SpecError
from platorep.core.features import Features
from platorep.core.files import remove_temporary
from platorep.metrics.base import Metric, NullMoments
from platorep.metrics.preprocess import ClipRule, clip_id
from platorep.results.tables import CONCATENATION, AlignmentTable


Progress = Callable[[int, int, str], object]
"""Called as progress(done, total, label) after each layer that was prepared and each part that was written."""

States = dict[str, list[Any]]
"""Prepared layers of one model by metric id, in the order of `layer_indices`."""


class Scored(NamedTuple):
    """Scores of all layer pairs of one pair of models, with the states that they came from."""

    x: Features
    y: Features
    scores: torch.Tensor  # (layers of x, layers of y) float64
    null: NullMoments | None
    xs: list[Any]
    ys: list[Any]


@full_precision()
def align(
    x: Sequence[Features],
    y: Sequence[Features],
    metrics: Sequence[Metric],
    *,
    out_dir: Path | None,
    clip: ClipRule = "exact",
    quantile: float = 0.95,
    concatenation: bool = True,
    pairs: Literal["all", "distinct"] = "all",
    shard: tuple[int, int] = (0, 1),
    overwrite: bool = False,
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
        out_dir: folder of the parts; None keeps nothing on disk.
        clip: "exact", "approximate" or "none"; see `platorep.metrics.preprocess`.
        quantile: of |features|, over all layers of a model together.
        concatenation: whether the concatenation of all layers takes part.
        pairs: "all", or "distinct": each unordered pair of different models once (for x and y the same models).
        shard: (i, m): only the i-th of m contiguous shares of the pairs of models; the shares' parts together are the whole's.
        overwrite: make parts again that are there.
        memory: bytes that features and prepared layers may take together.
        device: where products are made.
        progress: called after each prepared layer and each written part.

    Returns:
        The table of all pairs of this call, in the order x model, y model, metric, x layer, y layer.

    Raises:
        DataError: two models have different samples or orders; names both, with their digests.
        FeatureError: a metric is undefined for this n, or features that cannot be scored; names model and layer.
    """
    clip_word = clip_id(clip, quantile)
    _check(x, y, metrics)
    wanted = _shared_out(_pairs(x, y, pairs), shard)
    store = _Parts(out_dir, clip_word, concatenation, torch.device(device).type)
    missing = [(a, b, m) for a, b in wanted for m in metrics if overwrite or not store.has(a, b, m)]
    needed = [m for m in metrics if any(m is other for _, _, other in missing)]
    models = {one.key: one for a, b, _ in missing for one in (a, b)}
    sizes = {key: _state_bytes(one, needed) for key, one in models.items()}
    plan = plan_blocks([(a.key, b.key) for a, b, _ in missing], sizes, memory // 2)
    total = sum(len(models[key].layers) for block in plan for key in block.reads) + len(missing)
    report = _Counter(progress, total)
    states: dict[str, States] = {}
    for block in plan:
        states = {key: states[key] for key in block.keeps}
        room = memory - sum(sizes[key] for key in (*block.keeps, *block.reads))  # for one model's features
        for key in block.reads:
            layers = ModelLayers(models[key], clip=clip, quantile=quantile, memory=room, device=str(device))
            states[key] = _prepare(layers, needed, concatenation, report)
        here = [(a, b, m) for a, b, m in missing if (a.key, b.key) in block.pairs]
        for metric in needed:
            if wanting := [
                (a, b) for a, b, m in here if m is metric
            ]:  # none where a run that was killed had come further
                store.write(metric, _scores(metric, wanting, states), report)
    return AlignmentTable.concatenate([store.get(a, b, m) for a, b in wanted for m in metrics])


def _check(x: Sequence[Features], y: Sequence[Features], metrics: Sequence[Metric]) -> None:
    """Refuses nothing to do, samples that differ, and a number of samples for which a metric is undefined."""
    if not x or not y or not metrics:
        raise DataError(
            f"nothing to align: {len(x)} x models, {len(y)} y models, {len(metrics)} metrics; each must be at least 1."
        )
    first = x[0]
    for other in (*x, *y):
        if other.digest != first.digest:
            raise DataError(
                f"{first.name} and {other.name} have different samples, or the same in another order: digests {first.digest[:12]} "
                f"({first.n} samples) and {other.digest[:12]} ({other.n} samples). Extract both from the same dataset."
            )
    for metric in metrics:
        metric.check(first.n)
    if twice := [metric.id for i, metric in enumerate(metrics) if metric in metrics[:i]]:
        raise DataError(f"metric {twice[0]} is asked for twice.")


def _pairs(x: Sequence[Features], y: Sequence[Features], kind: str) -> list[tuple[Features, Features]]:
    if kind == "all":
        return [(a, b) for a in x for b in y]
    if kind != "distinct":
        raise SpecError(f"pairs is {kind!r}; expected 'all' or 'distinct'.")
    found: dict[frozenset[str], tuple[Features, Features]] = {}
    for a in x:
        for b in y:
            if a.key != b.key:
                found.setdefault(frozenset((a.key, b.key)), (a, b))
    if not found:
        raise DataError("no two different models to align: pairs=distinct leaves out a model with itself.")
    return list(found.values())


def _shared_out(pairs: list[tuple[Features, Features]], shard: tuple[int, int]) -> list[tuple[Features, Features]]:
    i, m = shard
    if not 0 <= i < m:
        raise SpecError(f"shard {i}/{m}: the first number must be at least 0 and less than the second.")
    if m > len(pairs):
        raise SpecError(
            f"shard {i}/{m}: there are only {len(pairs)} pairs of models to share out. Use at most {len(pairs)} shards."
        )
    return pairs[len(pairs) * i // m : len(pairs) * (i + 1) // m]


def _state_bytes(features: Features, metrics: Sequence[Metric]) -> int:
    return sum(metric.state_bytes(features.n, layer.dim) for metric in metrics for layer in features.layers)


def _prepare(layers: ModelLayers, metrics: Sequence[Metric], concatenation: bool, report: _Counter) -> States:
    """The states of every layer by metric id; one geometry a layer and similarity serves all metrics."""
    states: States = {metric.id: [] for metric in metrics}
    widest = {
        s: max((m.k for m in metrics if m.similarity == s and hasattr(m, "k")), default=0)
        for s in {m.similarity for m in metrics}
    }
    name = layers.features.name
    for index, made in layers.geometries(sorted(widest), concatenation=concatenation):
        try:
            for similarity, k in widest.items():
                if k:
                    made[similarity].neighbours(k)  # the largest k first: the others are its first columns
            for metric in metrics:
                states[metric.id].append(metric.prepare(made[metric.similarity]))
        except FeatureError as error:
            layer = "the concatenation" if index == CONCATENATION else f"layer {layers.features.layers[index].name}"
            raise FeatureError(f"{name}, {layer}: {error}") from error
        if index != CONCATENATION:
            report(name)
    return states


def _scores(metric: Metric, pairs: list[tuple[Features, Features]], states: dict[str, States]) -> Iterator[Scored]:
    """Scores of model pairs: x models that meet the same y models share one product."""
    partners: dict[str, list[Features]] = {}
    for a, b in pairs:
        partners.setdefault(a.key, []).append(b)
    models = {a.key: a for a, _ in pairs}
    groups: dict[tuple[str, ...], list[Features]] = {}
    for key, others in partners.items():
        groups.setdefault(tuple(b.key for b in others), []).append(models[key])
    for columns, rows_of in groups.items():
        others = partners[rows_of[0].key]
        xs = [state for a in rows_of for state in states[a.key][metric.id]]
        ys = [state for key in columns for state in states[key][metric.id]]
        scores, null = metric.score_all(xs, ys), metric.null(xs, ys)
        top = 0
        for a in rows_of:
            down = slice(top, top := top + len(states[a.key][metric.id]))
            left = 0
            for b in others:
                across = slice(left, left := left + len(states[b.key][metric.id]))
                moments = (
                    None
                    if null is None
                    else NullMoments(*(None if part is None else part[down, across] for part in null))
                )
                yield Scored(a, b, scores[down, across], moments, xs[down], ys[across])


class _Parts:
    """The parts of one call: which are there, and the writing of those that are not."""

    def __init__(self, out_dir: Path | None, clip: str, concatenation: bool, backend: str) -> None:
        self.out_dir, self.clip, self.concatenation, self.backend = out_dir, clip, concatenation, backend
        self.made: dict[tuple[str, str, str], AlignmentTable] = {}
        if out_dir is not None:
            remove_temporary(out_dir)

    def path(self, x: Features, y: Features, metric: Metric) -> Path:
        return part_path(self.out_dir, x, y, metric, self.clip, self.concatenation)

    def has(self, x: Features, y: Features, metric: Metric) -> bool:
        if self.out_dir is None:
            return False
        if (known := read_part(self.path(x, y, metric), x, y, metric, self.concatenation)) is not None:
            self.made[x.key, y.key, metric.id] = known
        return known is not None

    def get(self, x: Features, y: Features, metric: Metric) -> AlignmentTable:
        return self.made[x.key, y.key, metric.id]

    def write(self, metric: Metric, scored: Iterator[Scored], report: _Counter) -> None:
        """Writes the parts of one metric; the samples' file first, so that a part that is there is whole."""
        scored = list(scored)
        parts = [
            rows(
                s.x,
                s.y,
                metric,
                s.scores,
                s.null,
                dataset=s.x.dataset,
                clip=self.clip,
                concatenation=self.concatenation,
                backend=self.backend,
            )
            for s in scored
        ]
        for one, made in zip(scored, tables(parts), strict=True):
            self.made[one.x.key, one.y.key, metric.id] = made
            if self.out_dir is not None:
                path = self.path(one.x, one.y, metric)
                facts = origin(path, one.x, one.y)
                if hasattr(metric, "per_sample"):
                    i, j = divmod(int(one.scores.argmax()), one.scores.shape[1])
                    best = (int(layer_indices(side, self.concatenation)[at]) for side, at in ((one.x, i), (one.y, j)))
                    write_samples(samples_path(path), *best, metric.per_sample(one.xs[i], one.ys[j]), facts)
                made.write(path, facts)
            report(f"{one.x.name} x {one.y.name}")


class _Counter:
    """Counts what is done for the caller's progress function."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self.progress, self.total, self.done = progress, total, 0

    def __call__(self, label: str) -> None:
        self.done += 1
        if self.progress is not None:
            self.progress(self.done, self.total, label)
