"""Experiment (d): the multitask hypothesis. Do encoders that solve more tasks agree more?"""

from __future__ import annotations

import numpy as np
import pandas as pd

from platorep.theory import observations, scores
from platorep.theory.learners import Encoder, Schedule
from platorep.theory.solvers import draw_tasks, solve
from platorep.theory.worlds import World


def tasks(
    world: World,
    *,
    seeds: int = 10,
    counts: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64),
    dim: int = 64,
    width: int = 128,
    penalty: float = 1e-4,
    steps: int = 800,
) -> dict[str, pd.DataFrame]:
    """Trains one network per modality (bijections with random codes) on N tasks, and scores their agreement.

    "same tasks": both solve the same N structured tasks. "own tasks": each solves N structured tasks of its own, drawn
    from one distribution. "own tasks, no structure" is the contrast: the tasks are white functions, which do not depend
    on the world's structure, so more of them should not help.

    Args:
        world: its K_PMI is the covariance of structured tasks.
        seeds: repetitions, each with its own bijections, codes, tasks and weights.
        counts: numbers N of tasks.
        dim: embedding dimension.
        width: hidden units.
        penalty: weight decay, the same for all.
        steps: number of Adam steps.

    Returns:
        scores: condition, tasks, metric, seed, score, error (mean square error of the two networks; targets have mean
            square 1).
        summary: means over seeds with 95 % intervals.
    """
    encoder, schedule = Encoder(dim=dim, width=width), Schedule(steps=steps, rate=0.01)
    views = [observations.bijection(world.n, 700 + s, width=world.n) for s in range(2 * seeds)]
    order = np.stack([v.channel.argmax(axis=1) for v in views])
    codes = np.stack([v.codes[o] for v, o in zip(views, order, strict=True)])  # by event
    results = []
    for condition, separate, structured in (
        ("same tasks", False, True),
        ("own tasks", True, True),
        ("own tasks, no structure", True, False),
    ):
        for count in counts:
            drawn = np.stack(
                [
                    draw_tasks(world, count, 800 + (s if separate else s % seeds), structured=structured)
                    for s in range(2 * seeds)
                ]
            )
            solved = solve(codes, drawn, encoder, schedule, [900 + s for s in range(2 * seeds)], penalty=penalty)
            error = solved.errors.reshape(2, seeds).mean(axis=0)
            agreement_scores = scores.agreement(solved.embeddings[:seeds], solved.embeddings[seeds:])
            results.append(
                agreement_scores.assign(condition=condition, tasks=count, error=error[agreement_scores.seed])
            )
    frame = pd.concat(results, ignore_index=True)
    return {
        "scores": frame,
        "summary": scores.summarise(frame, ["condition", "tasks", "metric"], ("score", "error", "null_mean")),
    }
