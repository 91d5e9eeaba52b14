"""Experiment (f): where the theory must fail, and whether the metrics and tests detect it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch

from platorep.core.errors import SpecError
from platorep.theory import observations, scores, worlds
from platorep.theory.learners import Encoder, Objective, Schedule, train
from platorep.theory.representability import nearest_gram, representability
from platorep.theory.worlds import World


def failures(
    world: World,
    *,
    seeds: int = 10,
    p_pos: float = 0.9,
    steps: int = 1000,
    symbols: tuple[int, int] = (16, 4),
    structured: str = "ring",
) -> dict[str, pd.DataFrame]:
    """Three failures: a world without a Gram matrix, two different worlds, and a modality with less information.

    Args:
        world: a world that is not representable.
        seeds: number of repetitions of the second and third part.
        p_pos: share of positives.
        steps: number of Adam steps.
        symbols: numbers of symbols of a lossy and of a lossier modality.
        structured: name of the world of the second and third part.

    Returns:
        residuals: |G - (K_PMI + offset)| (Frobenius) by learner and step: nce in this world (one table), sgns in it
            (two tables, G = <f, h>, which needs no Gram matrix), nce in the structured world.
        floors: the smallest residuals that a Gram matrix can have: `frobenius`, that of the nearest positive
            semidefinite matrix; `loss`, that of the positive semidefinite matrix with the smallest expected nce loss,
            which projected gradient finds without an encoder; with the learner's ratio to each, and the losses of
            learner and solver.
        detection: agreement by metric between two modalities of one world, of different worlds, and with lossy and
            lossier modalities: scores, p-values (exact null moments), by seed.
        verdicts: share of seeds with p < .05, and means with intervals.
    """
    if representability(world).representable:
        raise SpecError(
            f"world {world.name!r} is representable: nothing fails in it. Choose unrepresentable or markov."
        )
    objective = Objective(p_pos=p_pos)
    regular = worlds.build(structured)
    record = tuple(sorted({0, *np.unique(np.geomspace(1, steps, 25).round().astype(int)).tolist()}))
    schedule = Schedule(steps=steps, rate=0.03, record=record)
    residuals: list[dict[str, Any]] = []
    floors: list[dict[str, Any]] = []
    for label, here, goal in (
        ("nce", world, objective),
        ("sgns", world, Objective(loss="sgns", p_pos=p_pos)),
        ("nce, representable", regular, objective),
    ):
        target = here.pmi + objective.offset
        trained = train(here.joint[None], np.zeros((1, here.n, 1)), Encoder(dim=here.n), goal, schedule, [1])
        for step, f, h in trained.history:
            g = f[0] @ (f if h is None else h)[0].T
            residuals.append(
                {
                    "learner": label,
                    "step": step,
                    "residual": np.linalg.norm(g - target),
                    "relative": np.linalg.norm(g - target) / np.linalg.norm(here.pmi),
                }
            )
        if label == "nce":
            end = residuals[-1]["residual"]
            best, loss = best_gram(here, objective)
            for kind, nearest in (("frobenius", nearest_gram(target)), ("loss", best)):
                floor = np.linalg.norm(nearest - target)
                floors.append({"floor": kind, "residual": floor, "learned": end, "ratio": end / floor})
            floors[1] |= {"loss": loss, "learned_loss": trained.losses[0]}
    detection = _detection(regular, objective, seeds, steps, symbols)
    detection["rejected"] = (detection.p_value < 0.05).astype(float)
    verdicts = scores.summarise(detection, ["pair", "metric"], ("score", "null_mean", "rejected"))
    return {
        "residuals": pd.DataFrame(residuals),
        "floors": pd.DataFrame(floors),
        "detection": detection,
        "verdicts": verdicts,
    }


def best_gram(world: World, objective: Objective, iterations: int = 5000) -> tuple[np.ndarray, float]:
    """The positive semidefinite G with the least expected nce loss, and the loss, by accelerated gradient projection.

    The loss is convex in G and the cone is convex, so no encoder of any size can do better.
    """
    joint = torch.from_numpy(world.joint)
    independent = torch.outer(joint.sum(1), joint.sum(1))
    step = 4 / (objective.p_pos * joint + (1 - objective.p_pos) * independent).max()  # 1 / Lipschitz constant
    g = ahead = torch.from_numpy(nearest_gram(world.pmi + objective.offset))
    momentum = 1.0
    for _ in range(iterations):
        slope = (1 - objective.p_pos) * independent * torch.sigmoid(ahead) - objective.p_pos * joint * torch.sigmoid(
            -ahead
        )
        new = torch.from_numpy(nearest_gram((ahead - step * slope).numpy()))
        if ((new - g) * (ahead - new)).sum() > 0:  # past the minimum: restart the momentum
            momentum = 1.0
        faster = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
        ahead, g, momentum = new + (momentum - 1) / faster * (new - g), new, faster
    return g.numpy(), float(objective.exact(g[None], joint[None])[0])


def _detection(world: World, objective: Objective, seeds: int, steps: int, symbols: tuple[int, int]) -> pd.DataFrame:
    """Agreement of x with a bijection of the same world, of another world, and with two lossy views, by seed."""
    n, runs = world.n, range(seeds)

    def learn(seen: list[World], views: list[observations.Observation], first: int) -> np.ndarray:
        joints = np.stack([v.world(w).joint for v, w in zip(views, seen, strict=True)])
        schedule = Schedule(steps=steps, rate=0.03)
        trained = train(
            joints, np.stack([v.codes for v in views]), Encoder(dim=n), objective, schedule, [first + s for s in runs]
        )
        return np.stack(
            [
                scores.present(f, v.channel.argmax(axis=1), s)
                for s, f, v in zip(runs, trained.embeddings, views, strict=True)
            ]
        )

    same, other = [world for _ in runs], [world.relabelled(500 + s) for s in runs]
    exact = [observations.bijection(n, 200 + s) for s in runs]
    pairs = {"one world": (same, exact), "different worlds": (other, exact)}
    for kind, count in zip(("lossy", "lossier"), symbols, strict=True):
        pairs[f"{kind}: {count} symbols"] = (same, [observations.lossy(n, count, 200 + s) for s in runs])
    x = learn(same, [observations.bijection(n, 100 + s) for s in runs], 1000)
    tables = [scores.agreement(x, learn(seen, views, 2000)).assign(pair=pair) for pair, (seen, views) in pairs.items()]
    return pd.concat(tables, ignore_index=True)
