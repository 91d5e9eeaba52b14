"""What a reader must know before believing a score: found in the tables and the stored features, never guessed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from platorep.figures.views import metric_label
from platorep.report.anatomy import Anatomy
from platorep.report.material import Run


FEW = 500
"""Samples below which a score moves by more than a hundredth or two from draw to draw."""
DENSE_K = 0.1
"""k/n above which neighbours are no longer near, and chance alone reaches the scores of small effects."""
HUB = 0.1
"""Share of all samples that count a hub among their neighbours, from which a layer is named; it is at least `HUB_LIFT` times k."""
HUB_LIFT = 5
ORPHANS = 1 / 3
"""Share of samples that are nobody's neighbour, from which a layer is named."""
TIES = 0.01
"""Share of samples whose last neighbour is as near as the next, from which a layer is named."""
CLAMPED = 0.5
"""Share of a layer's values at the clamp, from which it is named: little but signs is left of it."""
LEVEL = 0.05
"""Corrected p from which a pair is said not to differ from chance."""


@dataclass(frozen=True)
class Caveat:
    """One thing to know: `grave` when it can change what a score means. `items` are its cases."""

    title: str
    text: str
    items: tuple[str, ...] = ()
    grave: bool = False


def caveats(run: Run, anatomies: Mapping[str, Anatomy]) -> list[Caveat]:
    """All that apply, the grave ones first."""
    found = [*_samples(run), *_tests(run), *_layers(anatomies), *_models(run)]
    return sorted(found, key=lambda one: not one.grave)


def _samples(run: Run) -> Iterator[Caveat]:
    n = len(run.samples.ids)
    if n < FEW:
        yield Caveat(
            "Few samples", f"{n} samples: scores move noticeably from draw to draw. Read the intervals.", grave=True
        )
    for metric in run.metrics:
        k = metric.neighbourhood
        if k is not None and k > DENSE_K * n:
            text = f"k = {k} of n = {n:,} samples: chance alone reaches about k/(n − 1) = {k / (n - 1):.3f} in mutual k-NN."
            yield Caveat("Neighbourhoods are large", f"{metric_label(metric.id)}: {text}", grave=True)
    if run.samples.dropped:
        items = tuple(f"{one['id']}: {one['reason']}" for one in run.samples.dropped)
        yield Caveat("Dropped samples", f"{len(items)} left out, for every model alike.", items)
    again = Counter(captions[0] for captions in run.samples.captions)
    repeated = {caption: count for caption, count in again.items() if count > 1}
    if repeated:
        text = f"{sum(repeated.values())} samples share their caption with another: a language model cannot tell them apart."
        items = tuple(
            f"{count} × {caption}" for caption, count in sorted(repeated.items(), key=lambda pair: (-pair[1], pair[0]))
        )
        yield Caveat("Duplicate captions", text, items, grave=sum(repeated.values()) > n / 10)
    if run.missing:
        yield Caveat(
            "Models without features", "In the suite, but not extracted, so not on this page.", tuple(run.missing)
        )


def _tests(run: Run) -> Iterator[Caveat]:
    pairs = run.pairs
    if run.selection is None:
        text = "No null and no interval was computed for the chosen layers. The best of many layer pairs lies above a fixed pair's chance."
        yield Caveat("Scores are not tested", text, grave=True)
        return
    if not (pairs.permutations > 0).any():
        yield Caveat("No null", "The run made no relabellings, so that no p is given.", grave=True)
        return
    chance = pairs[pairs.p_family >= LEVEL]
    if len(chance):
        items = tuple(
            f"{row.x_model} × {row.y_model}, {metric_label(row.metric)}: p = {row.p_family:.3g}"
            for row in chance.itertuples()
        )
        text = f"{len(chance)} of {len(pairs)} scores do not differ from chance at {LEVEL:g}, corrected over the matrix of models."
        yield Caveat("Scores at chance", text, items)
    if (floor := pairs.p_floor.max()) > LEVEL / 10:
        text = f"{int(pairs.permutations.max())} relabellings give no p below {floor:.2g}: raise statistics.permutations to tell more."
        yield Caveat("Coarse p values", text)


def _layers(anatomies: Mapping[str, Anatomy]) -> Iterator[Caveat]:
    hubs, orphans, ties, clamped = [], [], [], []
    for name, one in anatomies.items():
        n, k = next(iter(one.graphs.values())).shape
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
            over = one.layers[one.layers[column] > most]
            if len(over):
                worst = over.loc[over[column].idxmax()]
                items.append(
                    f"{name}: {len(over)} of {len(one.layers)} layers, most in layer {worst.layer:.0f} ({unit(worst[column])})"
                )
    if hubs or orphans:
        text = (
            "A few samples are neighbours of very many: they widen the null, and models may agree only about what makes a "
            "sample central."
        )
        yield Caveat("Hubs", text, tuple(hubs + orphans))
    if ties:
        text = (
            "The last neighbour is exactly as near as the next, so that which of them counts is arbitrary: it is drawn at "
            "random, anew for each sample and layer. Such layers agree less than they would without. Often duplicates."
        )
        yield Caveat("Ties", text, tuple(ties))
    if clamped:
        text = "The clamp is one value a model, so that a layer of larger values loses more than its share."
        yield Caveat("Heavily clamped layers", text, tuple(clamped))
    free = tuple(name for name, one in anatomies.items() if one.threshold is None)
    if free and len(free) < len(anatomies):
        yield Caveat(
            "Sparse features, not clamped",
            "Most of their values are 0, so that the clamp's quantile is 0 as well.",
            free,
        )


def _models(run: Run) -> Iterator[Caveat]:
    quantised, truncated, unknown = [], [], []
    for name in run.models:
        one = run.by_name[name]
        model = one.spec.model
        if model.quantize:
            quantised.append(f"{name}: computed in {model.quantize}")
        elif "quantised" in model.upstream or any(
            ".gguf" in member for member in (model.asset.members if model.asset else ())
        ):
            quantised.append(f"{name}: {model.upstream or model.id}")
        if count := one.scalars.get("truncated"):
            truncated.append(f"{name}: {count} captions")
        if count := one.scalars.get("captions_without_known_word"):
            unknown.append(f"{name}: {count} captions")
    if quantised:
        yield Caveat(
            "Quantised models",
            "Their weights were rounded before they came here; their scores need not be those of the original.",
            tuple(quantised),
        )
    if truncated:
        yield Caveat("Truncated captions", "Longer than the model reads.", tuple(truncated))
    if unknown:
        yield Caveat("Captions without a known word", "The model has no vector for any of their words.", tuple(unknown))
    versions = Counter(
        tuple(sorted(run.by_name[name].manifest["provenance"]["versions"].items())) for name in run.models
    )
    if len(versions) > 1:
        yield Caveat("Models run under different versions", "Of Python or of libraries; see provenance.")
    dirty = [
        name
        for name in run.models
        if str(run.by_name[name].manifest["provenance"]["source_revision"]).endswith("+dirty")
    ]
    if dirty:
        yield Caveat(
            "Made from changed sources",
            "The checkout had changes that no commit holds when these were extracted.",
            tuple(dirty),
        )
