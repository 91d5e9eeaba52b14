"""Experiment (c): capacity. Dimension and width below and above those that the world's kernel needs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch

from platorep.theory import observations, scores
from platorep.theory.learners import Encoder, Objective, Schedule, train
from platorep.theory.representability import representability
from platorep.theory.worlds import World


def capacity(
    world: World,
    *,
    seeds: int = 10,
    p_pos: float = 0.9,
    dims: tuple[int, ...] = (2, 4, 8, 13, 16, 32, 64),
    widths: tuple[int, ...] = (2, 4, 8, 16, 32, 64, 128),
    steps: int = 1600,
) -> dict[str, pd.DataFrame]:
    """Trains networks of growing dimension and width on two modalities of one world, by nce with exact expectations.

    Both networks see random codes. In the sweep "dimension", the width is twice the number of events. In the sweep
    "width", the dimension equals the number of events and hidden units are few; a network with fewer hidden units than
    the kernel's rank cannot reach the kernel, however large its output is. The sweep "dimension, tables" has no
    networks, so that only the dimension limits the learner.

    Args:
        world: world whose events are observed; the rank of its kernel must be below the number of events for the sweep
            to pass it.
        seeds: repetitions, each with its own bijections, codes and weights.
        p_pos: share of positives.
        dims: embedding dimensions.
        widths: hidden units.
        steps: number of Adam steps. Dimensions that the kernel does not need vanish slowly: after half as many steps,
            mutual k-NN is still .96 to .98.

    Returns:
        scores: sweep, size, seed, metric, score between the modalities; `correlation`: mean correlation of the two Gram
            matrices with K_PMI; `loss`: loss minus the smallest possible loss (that of the exact kernel).
        summary: means over seeds with 95 % intervals.
        world: rank of the kernel; nce needs one more dimension if its offset exceeds the smallest one.
    """
    objective = Objective(p_pos=p_pos)
    n = world.n
    sweeps = [("dimension, tables", d, Encoder(dim=d), 0.03) for d in dims]
    sweeps += [("dimension", d, Encoder(dim=d, width=2 * n), 0.02) for d in dims]
    sweeps += [("width", w, Encoder(dim=n, width=w), 0.02) for w in widths]
    views = [observations.bijection(n, s, width=n) for s in range(2 * seeds)]
    joints, codes = np.stack([v.world(world).joint for v in views]), np.stack([v.codes for v in views])
    order = np.stack([v.channel.argmax(axis=1) for v in views])
    floor = _loss(world, objective)
    results = []
    for sweep, size, encoder, rate in sweeps:
        trained = train(
            joints, codes, encoder, objective, Schedule(steps=steps, rate=rate), [600 + s for s in range(2 * seeds)]
        )
        f = np.stack([e[o] for e, o in zip(trained.embeddings, order, strict=True)])
        k = world.pmi.ravel()
        fit = np.array([np.corrcoef((e @ e.T).ravel(), k)[0, 1] for e in f]).reshape(2, seeds).mean(axis=0)
        excess = trained.losses.reshape(2, seeds).mean(axis=0) - floor
        agreement = scores.agreement(f[:seeds], f[seeds:])
        results.append(
            agreement.assign(
                sweep=sweep, size=size, correlation=fit[agreement.seed], excess_loss=excess[agreement.seed]
            )
        )
    frame = pd.concat(results, ignore_index=True)
    summary = scores.summarise(frame, ["sweep", "size", "metric"], ("score", "correlation", "excess_loss", "null_mean"))
    representation = representability(world)
    about = pd.DataFrame(
        [
            {
                "world": world.name,
                "events": n,
                "rank": representation.rank,
                "offset": objective.offset,
                "offset_needed": representation.offset,
            }
        ]
    )
    return {"scores": frame, "summary": summary, "world": about}


def _loss(world: World, objective: Objective) -> float:
    """Expected loss of the optimum, g = K_PMI + offset."""
    g = torch.from_numpy(world.pmi + objective.offset)[None]
    return float(objective.exact(g, torch.from_numpy(world.joint)[None])[0])
