"""Experiment (b): do modalities of one world agree, and is their agreement capped by the information that they keep?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd

from platorep.theory import observations, scores
from platorep.theory.learners import Encoder, Objective, Schedule, train
from platorep.theory.observations import Observation
from platorep.theory.worlds import World


class Condition(NamedTuple):
    """A view for modality y: its name, the value of its dial, and a function from a seed to the observation."""

    kind: str
    dial: float
    view: Callable[[int], Observation]


def agreement(
    world: World,
    *,
    seeds: int = 10,
    p_pos: float = 0.9,
    dim: int = 64,
    width: int = 128,
    steps: int = 1000,
    symbols: tuple[int, ...] = (48, 32, 24, 16, 8, 4),
    noise: tuple[float, ...] = (0.05, 0.1, 0.2, 0.4, 0.6, 0.8),
) -> dict[str, pd.DataFrame]:
    """Trains x on a bijection and y on a bijection, on lossy and noisy views, and on another world; scores agreement.

    x is learned by a table and y by a network on its codes, with nce and exact expectations. With 64 events there is
    also a pair of rendered modalities: pictures for x, sentences for y, both networks. "other world" is the same world
    with its events relabelled at random for y: it has the same spectrum and shares nothing.

    Args:
        world: world whose events are observed.
        seeds: repetitions; each has its own bijections, codes, merges, noise and weights.
        p_pos: share of positives.
        dim: embedding dimension.
        width: hidden units of the networks.
        steps: number of Adam steps. Rendered modalities take three times as many, because their codes are far from
            orthogonal.
        symbols: numbers of symbols of the lossy views.
        noise: probabilities of a random symbol in the noisy views.

    Returns:
        scores: kind, dial, bits (mutual information of event and y's symbol), metric, seed, score, null_mean, null_sd,
            and `ceiling`: the score of the exact kernels, K_PMI and that of the view, for the same drawn symbols.
        summary: means over seeds with 95 % intervals.
    """
    objective = Objective(p_pos=p_pos)
    table, network = Encoder(dim=dim), Encoder(dim=dim, width=width)
    runs = list(range(seeds))
    first = [observations.bijection(world.n, 100 + s, width=world.n) for s in runs]
    x = _learn(world, first, table, objective, steps, 0.03, [1000 + s for s in runs])
    results = []
    for kind, dial, view in _conditions(world, symbols, noise):
        views = [view(200 + s) for s in runs]
        target = [world.relabelled(500 + s) for s in runs] if kind == "other world" else [world] * seeds
        left = x
        if kind == "rendered":
            shown = [observations.pictures(300 + s) for s in runs]
            left = _learn(world, shown, network, objective, 3 * steps, 0.01, [3000 + s for s in runs])
        y, exact = [], []
        worlds_ = [v.world(w) for v, w in zip(views, target, strict=True)]
        trained = train(
            np.stack([w.joint for w in worlds_]),
            np.stack([v.codes for v in views]),
            network,
            objective,
            Schedule(steps=3 * steps if kind == "rendered" else steps, rate=0.01),
            [2000 + s for s in runs],
        )
        for s, v, seen, f in zip(runs, views, worlds_, trained.embeddings, strict=True):
            drawn = v.look(np.random.default_rng(400 + s))
            y.append(scores.present(f, drawn, s))
            exact.append(scores.present(scores.factor(seen.pmi + objective.offset), drawn, s))
        agreement_scores = scores.agreement(left, np.stack(y))
        truth = np.stack([scores.factor(world.pmi + objective.offset)] * seeds)
        ceiling = scores.agreement(truth, np.stack(exact)).score
        bits = [v.information(world) if kind != "other world" else 0.0 for v in views]
        results.append(agreement_scores.assign(kind=kind, dial=dial, bits=np.mean(bits), ceiling=ceiling))
    frame = pd.concat(results, ignore_index=True)
    summary = scores.summarise(frame, ["kind", "dial", "bits", "metric"], ("score", "ceiling", "null_mean"))
    return {"scores": frame, "summary": summary}


def _conditions(world: World, symbols: tuple[int, ...], noise: tuple[float, ...]) -> Iterator[Condition]:
    n = world.n
    yield Condition("bijection", 0.0, lambda s: observations.bijection(n, s, width=n))
    if n == observations.RENDERED_EVENTS:
        yield Condition("rendered", 0.0, observations.sentences)
    for m in symbols:
        yield Condition("lossy", float(m), partial(observations.lossy, n, m, width=n))
    for share in noise:
        yield Condition("noisy", share, partial(observations.noisy, n, share, width=n))
    yield Condition("other world", 0.0, lambda s: observations.bijection(n, s, width=n))


def _learn(
    world: World,
    views: list[Observation],
    encoder: Encoder,
    objective: Objective,
    steps: int,
    rate: float,
    seeds: list[int],
) -> np.ndarray:
    """Embeddings of the events under bijective views, shape (seeds, events, dim)."""
    joints, codes = np.stack([v.world(world).joint for v in views]), np.stack([v.codes for v in views])
    trained = train(joints, codes, encoder, objective, Schedule(steps=steps, rate=rate), seeds)
    return np.stack([f[v.channel.argmax(axis=1)] for f, v in zip(trained.embeddings, views, strict=True)])
