"""Facts that a reader must know before trusting a score, from the tables and the stored features."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from platorep.report.anatomy import Anatomy
from platorep.report.material import Run
from platorep.results.labels import metric_label
from platorep.stats.trends import MIN_FAMILIES


FEW = 500
"""Number of samples below which scores differ by more than .01 to .02 between draws of the samples."""
DENSE_K = 0.1
"""k/n above which neighbours are no longer near, and chance alone is as high as the score of a small effect."""
HUB = 0.1
"""A layer is reported if at least this share of all samples have the same sample as a neighbour."""
HUB_LIFT = 5
"""A hub has at least this many times k neighbours."""
ORPHANS = 1 / 3
"""A layer is reported if at least this share of samples are neighbours of no other sample."""
TIES = 0.01
"""A layer is reported if the k-th neighbour of at least this share of samples is tied with the next."""
CLAMPED = 0.5
"""A layer is reported if at least this share of its values is clamped: little more than signs is left."""
LEVEL = 0.05
"""Corrected p at and above which a pair does not differ from chance."""


@dataclass(frozen=True)
class Caveat:
    """One warning with its cases (`items`). It is `grave` if it can change the meaning of a score."""

    title: str
    text: str
    items: tuple[str, ...] = ()
    grave: bool = False


def caveats(run: Run, anatomies: Mapping[str, Anatomy]) -> list[Caveat]:
    """All warnings that apply, the grave ones first."""
    warnings = [*_samples(run), *_tests(run), *_trends(run), *_layers(anatomies), *_models(run), *_provenance(run)]
    return sorted(warnings, key=lambda caveat: not caveat.grave)


def _samples(run: Run) -> Iterator[Caveat]:
    n = len(run.samples.ids)
    if n < FEW:
        text = f"{n} samples: scores move noticeably from draw to draw. Read the intervals."
        yield Caveat("Few samples", text, grave=True)
    for metric in run.metrics:
        k = metric.neighbourhood
        if k is not None and k > DENSE_K * n:
            level = f"k/(n − 1) = {k / (n - 1):.3f}"
            text = f"k = {k} of n = {n:,} samples: chance alone reaches about {level} in mutual k-NN."
            yield Caveat("Neighbourhoods are large", f"{metric_label(metric.id)}: {text}", grave=True)
    if run.samples.dropped:
        items = tuple(f"{sample['id']}: {sample['reason']}" for sample in run.samples.dropped)
        yield Caveat("Dropped samples", f"{len(items)} left out, for every model alike.", items)
    counts = Counter(captions[0] for captions in run.samples.captions)
    repeated = {caption: count for caption, count in counts.items() if count > 1}
    if repeated:
        total = sum(repeated.values())
        text = f"{total} samples share their caption with another: a language model cannot tell them apart."
        order = sorted(repeated.items(), key=lambda pair: (-pair[1], pair[0]))
        items = tuple(f"{count} × {caption}" for caption, count in order)
        yield Caveat("Duplicate captions", text, items, grave=total > n / 10)
    if run.missing:
        text = "In the suite, but not extracted, and therefore not on this page."
        yield Caveat("Models without features", text, tuple(run.missing))


def _tests(run: Run) -> Iterator[Caveat]:
    pairs = run.pairs
    if run.selection is None:
        text = "No null and no interval was computed for the chosen layers."
        if run.select == "max":
            text += " The best of many layer pairs lies above a fixed pair's chance."
        yield Caveat("Scores are not tested", text, grave=True)
        return
    if not pairs.tested.any():
        yield Caveat("No null", "Nothing was relabelled, so no p is given.", grave=True)
        return
    chance = pairs[pairs.p_family >= LEVEL]
    if len(chance):
        items = tuple(
            f"{row.x_model} × {row.y_model}, {metric_label(row.metric)}: p = {row.p_family:.3g}"
            for row in chance.itertuples()
        )
        text = f"{len(chance)} of {len(pairs)} scores do not differ from chance at {LEVEL:g}, corrected over all pairs."
        yield Caveat("Scores at chance", text, items)
    if (floor := pairs.p_floor.max()) > LEVEL / 10:
        count = int(pairs.permutations.max())
        text = f"{count} relabellings give no p below {floor:.2g}; raise statistics.permutations for smaller ones."
        yield Caveat("Coarse p values", text)


def _trends(run: Run) -> Iterator[Caveat]:
    few = {label: rise for label, rise in run.rises.items() if rise.trend and rise.trend.families < MIN_FAMILIES}
    if few:
        families = max(rise.trend.families for rise in few.values() if rise.trend)
        text = (
            f"The language models on the axis of competence come from {families} "
            f"{'family' if families == 1 else 'families'}; a claim about other models needs {MIN_FAMILIES}."
        )
        yield Caveat("Few model families", text)


def _layers(anatomies: Mapping[str, Anatomy]) -> Iterator[Caveat]:
    hubs, orphans, ties, clamped = list[str](), list[str](), list[str](), list[str]()
    for name, model in anatomies.items():
        n, k = next(iter(model.graphs.values())).shape
        for column, most, items, unit in (
            (
                "max_in_degree",
                max(HUB * n, HUB_LIFT * k),
                hubs,
                lambda v, n=n: f"neighbour of {v:.0f} of {n:,} samples",
            ),
            ("never_neighbours", ORPHANS, orphans, lambda v: f"{v:.0%} of samples are nobody's neighbour"),
            ("ties", TIES, ties, lambda v: f"{v:.1%} of samples"),
            ("clamped", CLAMPED, clamped, lambda v: f"{v:.0%} of values"),
        ):
            over = model.layers[model.layers[column] > most]
            if len(over):
                worst = over.loc[over[column].idxmax()]
                where = f"most in layer {worst.layer:.0f} ({unit(worst[column])})"
                items.append(f"{name}: {len(over)} of {len(model.layers)} layers, {where}")
    if hubs or orphans:
        text = (
            "A few samples are neighbours of very many. They widen the null, and models may agree only about what "
            "makes a sample central."
        )
        yield Caveat("Hubs", text, tuple(hubs + orphans))
    if ties:
        text = (
            "The last neighbour is exactly as near as the next, so the choice between them is random for "
            "each sample and layer. Such layers agree less than they would without ties. Duplicates are a common cause."
        )
        yield Caveat("Ties", text, tuple(ties))
    if clamped:
        text = "The clamp has one threshold per model, so layers with larger values lose more of them."
        yield Caveat("Heavily clamped layers", text, tuple(clamped))
    free = tuple(name for name, model in anatomies.items() if model.threshold is None)
    if free and len(free) < len(anatomies):
        text = "Most of their values are 0, so the quantile of the clamp is 0 as well."
        yield Caveat("Sparse features, not clamped", text, free)


def _models(run: Run) -> Iterator[Caveat]:
    quantised, truncated, unknown = [], [], []
    for name in run.models:
        features = run.by_name[name]
        model = features.spec.model
        members = model.asset.members if model.asset else ()
        if model.quantize:
            quantised.append(f"{name}: computed in {model.quantize}")
        elif "quantised" in model.upstream or any(".gguf" in member for member in members):
            quantised.append(f"{name}: {model.upstream or model.id}")
        if count := features.scalars.get("truncated"):
            truncated.append(f"{name}: {count} captions")
        if count := features.scalars.get("captions_without_known_word"):
            unknown.append(f"{name}: {count} captions")
    if quantised:
        text = "Their weights were rounded; their scores can differ from those of the original model."
        yield Caveat("Quantised models", text, tuple(quantised))
    if truncated:
        yield Caveat("Truncated captions", "Longer than the model reads.", tuple(truncated))
    if unknown:
        yield Caveat("Captions without a known word", "The model has no vector for any of their words.", tuple(unknown))


def _provenance(run: Run) -> Iterator[Caveat]:
    provenance = {name: run.by_name[name].manifest["provenance"] for name in run.models}
    if len({tuple(sorted(record["versions"].items())) for record in provenance.values()}) > 1:
        yield Caveat(
            "Models run under different versions", "Versions of Python or of libraries differ; see provenance."
        )
    dirty = [name for name, record in provenance.items() if str(record["source_revision"]).endswith("+dirty")]
    if dirty:
        text = "The source checkout had uncommitted changes when these models were extracted."
        yield Caveat("Made from changed sources", text, tuple(dirty))
