"""Experiment (i): translation. How many pairs does it take to match two modalities, down to none?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd

from platorep.stats import assignment
from platorep.theory import counts, observations, scores, worlds
from platorep.theory.learners import Objective
from platorep.theory.worlds import World


LEVELS = (0.5, 0.9)
"""Accuracies for which pairs are counted."""
METRICS: dict[str, dict[str, object]] = {"mutual_knn": {}, "cka": {}}


class Modalities(NamedTuple):
    """Two modalities of the same events.

    Attributes:
        x: kernel of x, shape (events, events).
        y: kernel of y by event, shape (events, events).
        symbols: y's symbol of every event; events with one symbol look the same.
    """

    x: np.ndarray
    y: np.ndarray
    symbols: np.ndarray


class Condition(NamedTuple):
    """A way to lower the alignment, the value of its dial, and a function from a seed to the two modalities."""

    kind: str
    dial: float
    build: Callable[[int], Modalities]


def translation(
    world: World,
    *,
    seeds: int = 10,
    draws: int = 2,
    pairs: tuple[int, ...] = (0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48),
    own: tuple[float, ...] = (0.0, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0),
    observed: tuple[int, ...] = (2048, 4096, 8192, 16384, 32768, 131072),
    symbols: tuple[int, ...] = (56, 48, 40, 32, 16),
    others: tuple[str, ...] = ("low_rank", "ring", "blocks"),
) -> dict[str, pd.DataFrame]:
    """Matches the events of two modalities by their kernels, from K known pairs, at falling alignment.

    `assignment.complete` finds the matching of all other events under which the kernels agree best. Alignment falls in
    three ways: y has a share of structure of its own (its K_PMI is mixed with that of the relabelled world; at 1 the
    worlds are different); both kernels are estimated from a number of observations; y merges events to symbols. A match
    is right if it has the right symbol. Without pairs, up to `assignment.EXACT` events are matched exactly, by trying
    every matching.

    Args:
        world: world whose events are observed. Only one without symmetries can be matched without pairs.
        seeds: repetitions.
        draws: pairs are drawn so often for each seed, and classes of exact matching ten times as often.
        pairs: K.
        own: shares of structure of its own.
        observed: numbers of observations of each modality.
        symbols: numbers of symbols of y.
        others: worlds that are matched with themselves, to show what symmetries do.

    Returns:
        alignment: kind, dial, metric, seed, score, and moments of the null.
        accuracy: kind, dial, pairs, seed, accuracy: share right among the events that are in no pair; `missed`: share
            of draws in which the right matching agrees better than the one found, so that the search failed.
        needed: kind, dial, level, seed, pairs: the smallest K from which on accuracy reaches the level; all events if
            none does.
        blind: kind, dial, seed, correlation of the kernels of 7 random events, `accuracy` of exact matching without
            pairs, and `complete`: share of draws in which all are right. "ring" matches a ring of 7 with itself.
        Means over seeds with 95 % intervals: curves (of accuracy), thresholds (of needed, with the mean alignment), and
            exact (of blind).
    """
    conditions = list(_conditions(world, own, observed, symbols))
    conditions += [Condition(name, 0.0, partial(_mixed, worlds.build(name), 0.0)) for name in others]
    alignment, accuracy, blind = [], [], []
    for kind, dial, build in conditions:
        about = {"kind": kind, "dial": dial}
        modalities = [build(seed) for seed in range(seeds)]
        alignment.append(_alignment(modalities).assign(**about))
        for seed, both in enumerate(modalities):
            rng = np.random.default_rng(5000 + seed)
            accuracy += [about | {"seed": seed} | row for row in _with_pairs(both, pairs, draws, rng)]
            if kind not in ("lossy", *others):
                blind.append(about | {"seed": seed} | _exact(both, 10 * draws, rng))
    ring = _mixed(worlds.ring(events=assignment.EXACT, time=1.0), 0.0, 0)
    for seed in range(seeds):
        rng = np.random.default_rng(7000 + seed)
        blind.append({"kind": "ring", "dial": 0.0, "seed": seed} | _exact(ring, 10 * draws, rng))
    scored, matched, exact = pd.concat(alignment, ignore_index=True), pd.DataFrame(accuracy), pd.DataFrame(blind)
    needed = _needed(matched[~matched.kind.isin(others)], world.n)
    curves = scores.summarise(matched, ["kind", "dial", "pairs"], ("accuracy", "missed"))
    thresholds = scores.summarise(needed, ["kind", "dial", "level"], ("pairs",))
    neighbours = scored[scored.metric == "mutual_knn"].groupby(["kind", "dial"]).score.mean().rename("alignment")
    return {
        "alignment": scored,
        "accuracy": matched,
        "needed": needed,
        "blind": exact,
        "curves": curves.join(neighbours, on=["kind", "dial"]),
        "thresholds": thresholds.join(neighbours, on=["kind", "dial"]),
        "exact": scores.summarise(exact, ["kind", "dial"], ("accuracy", "complete", "correlation")),
    }


def _conditions(
    world: World, own: tuple[float, ...], observed: tuple[int, ...], symbols: tuple[int, ...]
) -> Iterator[Condition]:
    for share in own:
        yield Condition("own structure", share, partial(_mixed, world, share))
    for count in observed:
        yield Condition("few observations", count, partial(_estimated, world, count))
    for count in symbols:
        yield Condition("lossy", count, partial(_lossy, world, count))


def _mixed(world: World, share: float, seed: int) -> Modalities:
    return Modalities(world.pmi, world.mixed(world.relabelled(500 + seed), share).pmi, np.arange(world.n))


def _estimated(world: World, count: int, seed: int) -> Modalities:
    rng = np.random.default_rng(600 + seed)
    x, y = (counts.estimate(counts.draw(world, count, rng)).pmi for _ in range(2))
    return Modalities(x, y, np.arange(world.n))


def _lossy(world: World, count: int, seed: int) -> Modalities:
    view = observations.lossy(world.n, count, 200 + seed)
    symbols = view.channel.argmax(axis=1)
    return Modalities(world.pmi, view.world(world).pmi[np.ix_(symbols, symbols)], symbols)


def _unequal(kernel: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A kernel with noise of a millionth of its spread.

    Where a symmetry of the world makes several matchings equally good, kernels that are the same to the last bit would
    be matched by the rounding errors that they share. The noise makes one of the matchings the best, at random.
    """
    noise = rng.normal(size=kernel.shape)
    return kernel + 1e-6 * kernel.std() * (noise + noise.T)


def _alignment(modalities: list[Modalities]) -> pd.DataFrame:
    """Scores of representations whose Gram matrices are the kernels plus nce's offset, as in experiment (b)."""
    offset = Objective().offset
    x = [scores.factor(both.x + offset) for both in modalities]
    y = []
    for seed, (_, kernel, symbols) in enumerate(modalities):
        first, shown = np.unique(symbols, return_index=True, return_inverse=True)[1:]
        y.append(scores.present(scores.factor(kernel + offset)[first], shown, seed))
    return scores.agreement(np.stack(x), np.stack(y), METRICS)


def _with_pairs(
    both: Modalities, pairs: tuple[int, ...], draws: int, rng: np.random.Generator
) -> Iterator[dict[str, float]]:
    """Accuracy by number of known pairs, mean over draws of the pairs."""
    symbols, n = both.symbols, len(both.x)
    for known in sorted({count for count in pairs if count < n}):
        right, missed = [], []
        for _ in range(draws):
            events = rng.permutation(n)
            seeds, rest = events[:known], events[known:]
            x, y = _unequal(both.x, rng), _unequal(both.y, rng)
            order = assignment.complete(x, y, np.column_stack([seeds, seeds]), rng)
            right.append(np.mean(symbols[order[rest]] == symbols[rest]))
            missed.append(assignment.agreement(x, y) > assignment.agreement(x, y[np.ix_(order, order)]) + 1e-9)
        yield {"pairs": known, "accuracy": float(np.mean(right)), "missed": float(np.mean(missed))}


def _exact(both: Modalities, draws: int, rng: np.random.Generator) -> dict[str, float]:
    """Exact matching of a few random events without pairs, mean over draws of the events."""
    right, correlation = [], []
    for _ in range(draws):
        events = rng.permutation(len(both.x))[: assignment.EXACT]
        x, y = (_unequal(kernel[np.ix_(events, events)], rng) for kernel in both[:2])
        right.append(np.mean(assignment.match(x, y, rng) == np.arange(len(events))))
        correlation.append(assignment.agreement(x, y))
    return {
        "accuracy": float(np.mean(right)),
        "complete": float(np.mean(np.array(right) == 1)),
        "correlation": float(np.mean(correlation)),
    }


def _needed(accuracy: pd.DataFrame, events: int) -> pd.DataFrame:
    """The smallest number of pairs from which on accuracy reaches a level, by seed; all events if none does."""
    rows = []
    for (kind, dial, seed), group in accuracy.groupby(["kind", "dial", "seed"], sort=False):
        ordered = group.sort_values("pairs")
        for level in LEVELS:
            short = np.flatnonzero(ordered.accuracy.to_numpy() < level)
            after = short[-1] + 1 if len(short) else 0
            smallest = ordered.pairs.iloc[after] if after < len(ordered) else events
            rows.append({"kind": kind, "dial": dial, "level": level, "seed": seed, "pairs": int(smallest)})
    return pd.DataFrame(rows)
