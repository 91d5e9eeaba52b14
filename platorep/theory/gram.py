"""Experiment (a): does a contrastive learner's Gram matrix become K_PMI plus a constant, in every modality?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from platorep.theory.learners import Encoder, Objective, Schedule, train
from platorep.theory.observations import bijection
from platorep.theory.representability import representability
from platorep.theory.worlds import World


def gram(
    world: World, *, p_pos: float = 0.9, dim: int = 64, width: int = 256, steps: int = 2000, seed: int = 0
) -> dict[str, pd.DataFrame]:
    """Trains two modalities of one world and compares their Gram matrices with K_PMI and with each other.

    Modality x is a random bijection seen by a tabular encoder; y is another bijection with random codes seen by a
    network with one hidden layer. Each has its own weights. Objectives: nce and infonce with exact expectations,
    infonce at temperature 1/2 and with 16 sampled negatives, and two contrasts: sgns and prediction.

    Args:
        world: world whose events are observed.
        p_pos: share of positives of nce; the predicted offset is log(p_pos / (1 - p_pos)).
        dim: embedding dimension.
        width: hidden units of the network.
        steps: number of Adam steps.
        seed: seed of bijections, codes and weights.

    Returns:
        history: correlation, offset and residual by objective, modality and step.
        summary: one row per objective and modality at the end; `difference` is the root mean square difference of the
            two modalities' Gram matrices, each minus its constant, relative to the spread of K_PMI.
        matrices: K_PMI and the learned Gram matrices of nce and infonce, entry by entry, in the order of events.
        world: representability of the world.
    """
    views = {
        "x": (bijection(world.n, seed + 1), Encoder(dim=dim), 0.03),
        "y": (bijection(world.n, seed + 2), Encoder(dim=dim, width=width), 0.01),
    }
    record = tuple(sorted({0, *np.unique(np.geomspace(1, steps, 25).round().astype(int)).tolist()}))
    history, summary, matrices = [], [], [_entries("K_PMI", "world", world.pmi)]
    for label, objective in _objectives(p_pos):
        final = {}
        for modality, (view, encoder, rate) in views.items():
            schedule = Schedule(steps=steps, rate=rate, record=record)
            trained = train(
                view.world(world).joint[None], view.codes[None], encoder, objective, schedule, [seed + ord(modality)]
            )
            seen = view.look(np.random.default_rng(seed))
            for step, embeddings, _ in trained.history:
                history.append(
                    {
                        "objective": label,
                        "modality": modality,
                        "step": step,
                        **_fit(embeddings[0][seen], world, objective),
                    }
                )
            final[modality] = trained.embeddings[0][seen]
            if label in ("nce", "infonce"):
                matrices.append(_entries(label, modality, final[modality] @ final[modality].T))
        grams = [f @ f.T / objective.temperature for f in final.values()]
        apart = (grams[0] - grams[0].mean()) - (grams[1] - grams[1].mean())
        for modality, f in final.items():
            row = {
                "objective": label,
                "modality": modality,
                "predicted_offset": objective.offset,
                **_fit(f, world, objective),
            }
            summary.append({**row, "difference": float(np.sqrt((apart**2).mean()) / world.spread)})
    return {
        "history": pd.DataFrame(history),
        "summary": pd.DataFrame(summary),
        "matrices": pd.concat(matrices, ignore_index=True),
        "world": world_table(world),
    }


def world_table(world: World) -> pd.DataFrame:
    """One row: the world, its spread and its representability."""
    representation = representability(world)
    row: dict[str, Any] = {
        "world": world.name,
        "events": world.n,
        "spread": world.spread,
        "representable": representation.representable,
    }
    row |= {
        "offset_needed": representation.offset,
        "p_pos_needed": representation.p_pos,
        "rank": representation.rank,
        "smallest_eigenvalue": representation.smallest_eigenvalue,
    }
    return pd.DataFrame(
        [row | {"sufficient": representation.sufficient, "sufficient_offset": representation.sufficient_offset}]
    )


def _objectives(p_pos: float) -> Iterator[tuple[str, Objective]]:
    yield "nce", Objective(loss="nce", p_pos=p_pos)
    yield "infonce", Objective(loss="infonce")
    yield "infonce, t = 0.5", Objective(loss="infonce", temperature=0.5)
    yield "infonce, 16 negatives", Objective(loss="infonce", negatives=16)
    yield "sgns", Objective(loss="sgns", p_pos=p_pos)
    yield "prediction", Objective(loss="prediction")


def _fit(embeddings: np.ndarray, world: World, objective: Objective) -> dict[str, float]:
    """Closeness of <f, f>/t to K_PMI: correlation of entries, mean difference (the offset), residual around it."""
    g = embeddings @ embeddings.T / objective.temperature
    error = g - world.pmi
    return {
        "correlation": float(np.corrcoef(g.ravel(), world.pmi.ravel())[0, 1]),
        "offset": float(error.mean()),
        "residual": float(error.std() / world.spread),
    }


def _entries(objective: str, modality: str, matrix: np.ndarray) -> pd.DataFrame:
    a, b = np.indices(matrix.shape)
    return pd.DataFrame(
        {"objective": objective, "modality": modality, "a": a.ravel(), "b": b.ravel(), "value": matrix.ravel()}
    )
