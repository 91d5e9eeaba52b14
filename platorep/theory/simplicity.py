"""Experiment (e): the simplicity bias. Do small weights bring representations together at the same loss?"""

from __future__ import annotations

import numpy as np
import pandas as pd

from platorep.theory import observations, scores
from platorep.theory.learners import Encoder, Schedule
from platorep.theory.solvers import draw_tasks, solve
from platorep.theory.worlds import World


def simplicity(
    world: World,
    *,
    seeds: int = 10,
    counts: tuple[int, ...] = (4, 16),
    dim: int = 64,
    width: int = 128,
    penalty: float = 3e-4,
    inits: tuple[float, float] = (1.0, 0.1),
    steps: int = 1500,
) -> dict[str, pd.DataFrame]:
    """Trains one network per modality on the same tasks, in four arms.

    The arms: large or small initial weights, with or without decay.

    Many weights solve the tasks, and the arms differ in which of these training finds. Arms with decay train to the
    end. For each seed, arms without decay stop at the final error of the arm with large weights and decay, so that all
    arms are compared at the same loss. (The arm with small weights and decay ends at its own minimum of the same
    objective; its error is in the table.)

    Args:
        world: its K_PMI is the covariance of the tasks.
        seeds: repetitions.
        counts: numbers of tasks.
        dim: embedding dimension.
        width: hidden units.
        penalty: weight decay of the arms with decay.
        inits: large and small scale of the initial weights, as multiples of 1/sqrt(fan in).
        steps: maximum number of Adam steps.

    Returns:
        scores: tasks, arm, metric, seed, score, error, norm (squared, of all weights), steps taken.
        summary: means over seeds with 95 % intervals.
        differences: each arm minus the arm with large weights and no decay, paired over seeds, with intervals.
    """
    large, small = inits
    views = [observations.bijection(world.n, 700 + s, width=world.n) for s in range(2 * seeds)]
    codes = np.stack([v.codes[v.channel.argmax(axis=1)] for v in views])
    schedule = Schedule(steps=steps, rate=0.005)
    results = []
    for count in counts:
        drawn = np.stack([draw_tasks(world, count, 800 + s % seeds) for s in range(2 * seeds)])
        goal = None
        for arm, init, decay in (
            ("large, decay", large, penalty),
            ("large", large, 0.0),
            ("small", small, 0.0),
            ("small, decay", small, penalty),
        ):
            encoder = Encoder(dim=dim, width=width, init=init)
            solved = solve(
                codes,
                drawn,
                encoder,
                schedule,
                [900 + s for s in range(2 * seeds)],
                penalty=decay,
                stop_at=None if decay else goal,
            )
            if goal is None:
                goal = solved.errors
            agreement_scores = scores.agreement(solved.embeddings[:seeds], solved.embeddings[seeds:])
            both = {
                name: getattr(solved, name).reshape(2, seeds).mean(axis=0)[agreement_scores.seed]
                for name in ("errors", "norms", "steps")
            }
            results.append(
                agreement_scores.assign(
                    tasks=count, arm=arm, error=both["errors"], norm=both["norms"], steps=both["steps"]
                )
            )
    frame = pd.concat(results, ignore_index=True)
    plain = frame[frame.arm == "large"].set_index(["tasks", "metric", "seed"]).score
    others = frame[frame.arm != "large"]
    gained = others.assign(
        gain=others.score - plain.loc[pd.MultiIndex.from_frame(others[["tasks", "metric", "seed"]])].to_numpy()
    )
    return {
        "scores": frame,
        "summary": scores.summarise(frame, ["tasks", "arm", "metric"], ("score", "error", "norm", "null_mean")),
        "differences": scores.summarise(gained, ["tasks", "arm", "metric"], ("gain",)),
    }
