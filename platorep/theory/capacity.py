"""Experiment (c): capacity. Dimension and width below and above what the world's kernel needs."""

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
    """Two modalities of one world, both networks on random codes, of growing dimension and growing width; nce, exact.

    Sweep "dimension": width twice the number of events. Sweep "width": dimension equal to the number of events, hidden
    units few; a network with fewer hidden units than the kernel's rank cannot reach it, however large its output. Sweep
    "dimension, tables": the same without networks, where only the rank and no architecture limits the learner.

    Args:
        world: the events; needs a kernel of rank below the number of events for the sweep to pass it.
        seeds: repetitions: bijections, codes and weights.
        p_pos: share of positives.
        dims: embedding dimensions.
        widths: hidden units.
        steps: of Adam. Dimensions that the kernel does not need leave slowly: after half as many mutual k-NN is still .96 to .98.

    Returns:
        scores: sweep, size, seed, metric, score between the modalities; `correlation`: of the two Gram matrices' mean
            correlation with K_PMI; `loss` less the smallest possible one (that of the exact kernel).
        summary: means over seeds with 95 % intervals.
        world: rank of the kernel; nce needs one dimension more when its offset exceeds the smallest one.
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
        agreed = scores.agreement(f[:seeds], f[seeds:])
        results.append(
            agreed.assign(sweep=sweep, size=size, correlation=fit[agreed.seed], excess_loss=excess[agreed.seed])
        )
    frame = pd.concat(results, ignore_index=True)
    summary = scores.summarise(frame, ["sweep", "size", "metric"], ("score", "correlation", "excess_loss", "null_mean"))
    found = representability(world)
    about = pd.DataFrame(
        [
            {
                "world": world.name,
                "events": n,
                "rank": found.rank,
                "offset": objective.offset,
                "offset_needed": found.offset,
            }
        ]
    )
    return {"scores": frame, "summary": summary, "world": about}


def _loss(world: World, objective: Objective) -> float:
    """Expected loss of the optimum, g = K_PMI + offset."""
    g = torch.from_numpy(world.pmi + objective.offset)[None]
    return float(objective.exact(g, torch.from_numpy(world.joint)[None])[0])
