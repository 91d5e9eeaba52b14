"""Experiment (j): scale. Alignment of two kinds of learner against data, parameters and compute, with laws."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

from platorep.core.errors import SpecError
from platorep.stats.saturation import LEAST_COUNTS, Saturation, saturation
from platorep.theory import counts, observations, scores
from platorep.theory.learners import Encoder, Objective, Schedule, train
from platorep.theory.observations import Observation
from platorep.theory.worlds import World


METRICS: dict[str, dict[str, object]] = {"mutual_knn": {}, "cka": {}}
HELD_OUT = 2
"""Largest scales that a law does not see which is to predict the largest."""
RATES = {"table": 0.03, "network": 0.02}


class Scale(NamedTuple):
    """One scale of a sweep: pairs observed (None: the exact world), embedding dimension, hidden units, steps."""

    sweep: str
    observed: int | None
    dim: int
    width: int
    steps: int


class Learner(NamedTuple):
    """A kind of learner, its views of the events by seed, the world that it sees, and its first seed."""

    kind: str
    views: list[Observation]
    worlds: list[World]
    first: int


def scale(
    world: World,
    *,
    seeds: int = 10,
    observed: tuple[int, ...] = (8192, 16384, 32768, 65536, 131072, 262144, 524288, 1048576),
    beyond: int = 4,
    dims: tuple[int, ...] = (2, 3, 4, 6, 8, 12, 16, 24, 32),
    steps: tuple[int, ...] = (12, 25, 50, 100, 200, 400, 800, 1600),
    ample: tuple[int, int] = (64, 800),
) -> dict[str, pd.DataFrame]:
    """Trains a table and a network on two modalities of one world at growing scale, and fits S - C scale^(-alpha).

    The table has a free vector for every symbol and no prior; the network sees random codes of another bijection. In
    every sweep the other two resources are ample: the exact world, 64 dimensions and twice as many hidden units, 800
    steps. Sweep "data": each learner has pairs of its own, drawn from P_coor, to which `counts.estimate` adds one half.
    Sweep "parameters": dimension d of both, 4 d hidden units. Sweep "compute": steps; a schedule ends at each.

    Args:
        world: world whose events are observed.
        seeds: repetitions, each with its own bijections, codes, data and weights.
        observed: pairs that each learner observes.
        beyond: doublings of the largest of these up to which the exact optima of the two learners are scored too.
        dims: d.
        steps: numbers of Adam steps.
        ample: dimension and steps where they do not vary.

    Returns:
        scores: sweep, pair ("one world"; "different worlds": the network and a table in the relabelled world;
            "optimum": exact kernels of the data in place of learners), size, metric, seed, score, moments of the null.
            `size` is pairs observed by each, parameters of both, or multiply-adds of the training of both.
        summary: means over seeds with 95 % t intervals.
        laws: sweep, pair, metric; limit S and exponent alpha with 95 % intervals (bootstrap over seeds), `explained`
            (R^2), and what the law of all but the two largest scales says of the largest: `predicted` and `observed`,
            and `surplus`, their difference by seed, mean with 95 % t interval. NaN where no law whose limit is a score,
            at most 1, fits.

    Raises:
        SpecError: fewer than 6 scales of a resource.
    """
    least = LEAST_COUNTS + HELD_OUT
    if min(len(observed), len(dims), len(steps)) < least:
        raise SpecError(
            f"a law that is to predict needs {least} scales of each resource; got {len(observed)} numbers of pairs, "
            f"{len(dims)} dimensions and {len(steps)} numbers of steps."
        )
    table = [observations.bijection(world.n, 100 + s, width=world.n) for s in range(seeds)]
    network = [observations.bijection(world.n, 200 + s, width=world.n) for s in range(seeds)]
    learners = (
        Learner("table", table, [world] * seeds, 1000),
        Learner("network", network, [world] * seeds, 2000),
        Learner("table", table, [world.relabelled(500 + s) for s in range(seeds)], 3000),
    )
    results = []
    for at in _scales(observed, dims, steps, ample):
        x, y, other = (_learn(learner, at) for learner in learners)
        for pair, left in (("one world", x), ("different worlds", other)):
            agreement = scores.agreement(left, y, METRICS)
            results.append(agreement.assign(sweep=at.sweep, pair=pair, size=_size(at, world.n)))
    for count in (*observed, *(observed[-1] * 2 ** (more + 1) for more in range(beyond))):
        agreement = scores.agreement(_optimum(world, count, 8000, seeds), _optimum(world, count, 9000, seeds), METRICS)
        results.append(agreement.assign(sweep="data", pair="optimum", size=count))
    frame = pd.concat(results, ignore_index=True)
    return {
        "scores": frame,
        "summary": scores.summarise(frame, ["sweep", "pair", "size", "metric"], ("score", "null_mean")),
        "laws": pd.DataFrame(_laws(frame[frame.pair != "different worlds"])),
    }


def _scales(
    observed: tuple[int, ...], dims: tuple[int, ...], steps: tuple[int, ...], ample: tuple[int, int]
) -> Iterator[Scale]:
    dim, enough = ample
    for count in observed:
        yield Scale("data", count, dim, 2 * dim, enough)
    for d in dims:
        yield Scale("parameters", None, d, 4 * d, enough)
    for number in steps:
        yield Scale("compute", None, dim, 2 * dim, number)


def _size(at: Scale, n: int) -> int:
    """What the sweep varies: pairs, parameters of both learners, or multiply-adds of forward and backward passes."""
    weights = n * at.width + at.width * at.dim
    if at.sweep == "data":
        return int(at.observed or 0)
    if at.sweep == "parameters":
        return n * at.dim + weights + at.width
    return 3 * at.steps * (2 * n * n * at.dim + n * weights)


def _learn(learner: Learner, at: Scale) -> np.ndarray:
    """Embeddings of the events, shape (seeds, events, dim)."""
    joints = []
    for seed, (view, world) in enumerate(zip(learner.views, learner.worlds, strict=True)):
        seen = view.world(world)
        if at.observed is not None:
            seen = counts.estimate(counts.draw(seen, at.observed, np.random.default_rng(learner.first + seed)))
        joints.append(seen.joint)
    encoder = Encoder(dim=at.dim, width=at.width if learner.kind == "network" else None)
    codes = np.stack([view.codes for view in learner.views])
    runs = [learner.first + seed for seed in range(len(joints))]
    schedule = Schedule(steps=at.steps, rate=RATES[learner.kind])
    trained = train(np.stack(joints), codes, encoder, Objective(), schedule, runs)
    order = [view.channel.argmax(axis=1) for view in learner.views]
    return np.stack([f[o] for f, o in zip(trained.embeddings, order, strict=True)])


def _optimum(world: World, count: int, first: int, seeds: int) -> np.ndarray:
    """Representations whose Gram matrix is the kernel of the data plus nce's offset, as near as there is one."""
    drawn = [counts.draw(world, count, np.random.default_rng(first + seed)) for seed in range(seeds)]
    return np.stack([scores.factor(counts.estimate(c).pmi + Objective().offset) for c in drawn])


def _laws(frame: pd.DataFrame) -> Iterator[dict[str, str | float]]:
    """The law of every sweep, pair and metric."""
    for (sweep, pair, metric), group in frame.groupby(["sweep", "pair", "metric"], sort=False):
        curves = group.pivot_table(index="seed", columns="size", values="score")
        sizes, values = curves.columns.to_numpy() / curves.columns[0], curves.to_numpy()
        law = _law(sizes, values)
        surplus = [_predicted(sizes, curve[None]) - curve[-1] for curve in values]
        mean, low, high = scores.interval(surplus)
        yield {
            "sweep": sweep,
            "pair": pair,
            "metric": metric,
            **{name: getattr(law, name).score for name in law._fields[:3]},
            **{
                f"{name}_{end}": getattr(getattr(law, name), end)
                for name in ("limit", "exponent")
                for end in ("low", "high")
            },
            "explained": law.explained,
            "predicted": _predicted(sizes, values),
            "observed": float(values[:, -1].mean()),
            "surplus": mean,
            "surplus_low": low,
            "surplus_high": high,
        }


def _law(sizes: np.ndarray, values: np.ndarray, resamples: int = 999) -> Saturation:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # quantiles of no numbers, where no law fits
        return saturation(sizes, values, resamples=resamples)


def _predicted(sizes: np.ndarray, values: np.ndarray) -> float:
    """The score at the largest scale by the law of all but the `HELD_OUT` largest."""
    law = _law(sizes[:-HELD_OUT], values[:, :-HELD_OUT], resamples=1)
    return float(law.limit.score - law.amplitude.score * sizes[-1] ** -law.exponent.score)
