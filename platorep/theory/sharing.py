"""Experiment (h): shared data. What are observations of another modality worth, and how many pairs does that take?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

from platorep.stats.assignment import complete
from platorep.theory import counts, observations, scores
from platorep.theory.observations import Observation
from platorep.theory.worlds import World


class Alone(NamedTuple):
    """x's own data in growing amounts, and what they give without y.

    Attributes:
        sizes: numbers of observations.
        data: counts of x by event, each within the next.
        errors: error of the kernel of each.
    """

    sizes: list[int]
    data: list[np.ndarray]
    errors: np.ndarray

    def equivalent(self, error: float) -> float:
        """The number of observations of x alone with this error, by interpolation of logarithms."""
        falling = np.minimum.accumulate(self.errors)
        return float(np.exp(np.interp(-np.log(error), -np.log(falling), np.log(self.sizes))))


class Case(NamedTuple):
    """What y shows and what is known of it: its world, its view, and pairs of an event and a symbol of y."""

    kind: str
    world: World
    view: Observation
    pairs: np.ndarray


def sharing(
    world: World,
    *,
    seeds: int = 20,
    firsts: tuple[int, ...] = (4096, 16384, 65536, 262144, 1048576),
    seconds: tuple[int, ...] = (8192, 65536),
    pairs: tuple[int, ...] = (0, 1, 2, 4, 8, 16, 24, 32, 40, 48, 56, 64),
    symbols: tuple[int, ...] = (32, 8),
    wrong: float = 0.125,
) -> dict[str, pd.DataFrame]:
    """Estimates x's kernel from N observations of x alone, and from these and M of y, pooled by what K pairs tell.

    x and y are bijections of one world with data of their own: pairs of events that co-occur. Of K events the symbols
    of both modalities are known. `counts.pooled` pools the data by maximum likelihood, and the kernel is that of the
    pooled counts. "matched" first matches the other symbols by the kernels of the two modalities, starting from the K
    pairs, and then takes all symbols for paired. The contrasts know all pairs: a lossy y merges events; a share of the
    pairs is wrong; y shows a different world, the same one relabelled.

    Args:
        world: world whose events are observed.
        seeds: repetitions; each has its own data, bijections and pairs.
        firsts: N of the contrasts, beside N = M.
        seconds: M, and N = M where K varies; the last is M of the contrasts.
        pairs: K.
        symbols: numbers of symbols of the lossy views.
        wrong: share of wrong pairs.

    Returns:
        alone: observations, seed, error of the kernel from x alone, without its best constant and relative to the
            spread of K_PMI.
        errors: kind, pairs (K), first (N), second (M), seed, error; `equivalent`: observations of x alone with the same
            error, from 1/16 of the smallest N to 16 times the largest; `rate`: (equivalent - N) / M, the observations
            of x that one of y is worth; `pair_worth`: (equivalent - N) / K; `predicted`, of the kind "pairs": the rate
            if only observations of two paired symbols help and errors fall with the square root of the data,
            s N / (N + M (1 - s)), s = (K / n)^2.
        summary, curve: means over seeds of `errors` and of `alone`, with 95 % intervals.
    """
    steps = np.arange(-8, 9 + 2 * np.log2(max(firsts) / min(firsts)))
    own = sorted({*firsts, seconds[-1]})
    sizes = sorted({*own, *seconds, *(round(min(firsts) * 2 ** (step / 2)) for step in steps)})
    alone, rows = [], []
    for seed in range(seeds):
        rng = np.random.default_rng(4000 + seed)
        data = counts.nested(world, sizes, rng)
        x = Alone(sizes, data, np.array([counts.error(counts.estimate(c).pmi, world) for c in data]))
        alone.append(pd.DataFrame({"observations": sizes, "seed": seed, "error": x.errors}))
        for case in _by_pairs(world, pairs, rng, seed):
            rows += [_worth(case, x, count, count, world, rng) | {"seed": seed} for count in seconds]
        for case in _contrasts(world, symbols, wrong, rng, seed):
            rows += [_worth(case, x, first, seconds[-1], world, rng) | {"seed": seed} for first in own]
    curve, errors = pd.concat(alone, ignore_index=True), pd.DataFrame(rows)
    by = ["kind", "pairs", "first", "second"]
    values = ("error", "equivalent", "rate", "predicted", "pair_worth")
    return {
        "alone": curve,
        "errors": errors,
        "curve": scores.summarise(curve, ["observations"], ("error",)),
        "summary": scores.summarise(errors, by, values),
    }


def _by_pairs(world: World, pairs: tuple[int, ...], rng: np.random.Generator, seed: int) -> Iterator[Case]:
    """A bijection of which ever more symbols are known, with and without matching the others."""
    view = observations.bijection(world.n, 100 + seed)
    order = rng.permutation(world.n)
    symbols = view.channel.argmax(axis=1)
    for known in sorted({min(count, world.n) for count in pairs}):
        events = order[:known]
        for kind in ("pairs", "matched"):
            yield Case(kind, world, view, np.column_stack([events, symbols[events]]))


def _contrasts(
    world: World, symbols: tuple[int, ...], wrong: float, rng: np.random.Generator, seed: int
) -> Iterator[Case]:
    """All pairs: of a bijection, of lossy views, with wrong ones among them, and of a different world."""
    events = np.arange(world.n)
    view = observations.bijection(world.n, 100 + seed)
    right = view.channel.argmax(axis=1)
    yield Case("bijection", world, view, np.column_stack([events, right]))
    for count in symbols:
        lossy = observations.lossy(world.n, count, 200 + seed)
        yield Case(f"lossy: {count} symbols", world, lossy, np.column_stack([events, lossy.channel.argmax(axis=1)]))
    moved = rng.permutation(world.n)[: round(wrong * world.n)]
    mistaken = right.copy()
    mistaken[moved] = right[np.roll(moved, 1)]
    yield Case("wrong pairs", world, view, np.column_stack([events, mistaken]))
    yield Case("different worlds", world.relabelled(500 + seed), view, np.column_stack([events, right]))


def _worth(
    case: Case, x: Alone, first: int, second: int, world: World, rng: np.random.Generator
) -> dict[str, str | int | float]:
    """The error with both modalities, and what it says y's observations and the pairs are worth."""
    own = x.data[x.sizes.index(first)]
    other = counts.draw(case.view.world(case.world), second, rng)
    known = len(case.pairs)
    pairs = case.pairs
    if case.kind == "matched":
        order = complete(counts.estimate(own).pmi, counts.estimate(other).pmi, pairs, rng)
        pairs = np.column_stack([np.arange(world.n), order])
    error = counts.error(counts.pooled(own, other, pairs).pmi, world)
    gained = x.equivalent(error) - first
    share = (known / world.n) ** 2
    return {
        "kind": case.kind,
        "pairs": known,
        "first": first,
        "second": second,
        "error": error,
        "equivalent": first + gained,
        "rate": gained / second,
        "predicted": share * first / (first + second * (1 - share)) if case.kind == "pairs" else np.nan,
        "pair_worth": gained / known if known else np.nan,
    }
