"""Networks trained to solve tasks, which are real functions of the event, read out linearly from the embedding."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from platorep.theory.learners import Encoder, Schedule
from platorep.theory.worlds import World


def draw_tasks(world: World, count: int, seed: int, *, structured: bool = True) -> np.ndarray:
    """Random real functions of the event with mean 0 and mean square 1, shape (events, count).

    Structured ones are draws of a Gaussian process whose covariance is the centred K_PMI (its positive part): events
    that co-occur have similar values. Unstructured ones are white: nothing about one event says anything about another.
    """
    rng = np.random.default_rng(seed)
    n = world.n
    values = rng.normal(size=(n, count))
    if structured:
        centre = np.eye(n) - 1 / n
        eigenvalues, vectors = np.linalg.eigh(centre @ world.pmi @ centre)
        values = vectors @ (np.sqrt(np.maximum(eigenvalues, 0))[:, None] * values)
    values = values - values.mean(axis=0)
    return values / np.sqrt((values**2).mean(axis=0))


class Solved(NamedTuple):
    """Result of training: embeddings (seeds, symbols, dim), mean square errors and squared weight norms (seeds,)."""

    embeddings: np.ndarray
    errors: np.ndarray
    norms: np.ndarray
    steps: np.ndarray


def solve(
    codes: np.ndarray,
    targets: np.ndarray,
    encoder: Encoder,
    schedule: Schedule,
    seeds: Sequence[int],
    *,
    penalty: float = 0.0,
    stop_at: np.ndarray | None = None,
) -> Solved:
    """Minimises the mean square error of <f(x), head_t> plus penalty/2 x the squared norm of all weights.

    The error is over all symbols and tasks.

    Args:
        codes: shape (seeds, symbols, width).
        targets: shape (seeds, symbols, tasks).
        encoder: architecture; its initial scale also applies to the heads.
        schedule: steps and learning rate of full-batch Adam.
        seeds: seeds of the initial weights.
        penalty: weight decay, as a term of the loss.
        stop_at: for each seed, the error at which its state is kept; seeds that do not reach it keep their last state.

    Returns:
        Embeddings, errors, norms and numbers of steps of the kept states.
    """
    code, target = torch.from_numpy(codes), torch.from_numpy(targets)
    parameters = encoder.parameters(code.shape[1], code.shape[2], seeds)
    heads = []
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed + 2_000_003)
        heads.append(
            torch.randn(encoder.dim, target.shape[2], generator=generator, dtype=torch.float64)
            * (encoder.init / math.sqrt(encoder.dim))
        )
    head = torch.stack(heads).requires_grad_()
    weights = [*parameters, head]
    optimiser = torch.optim.Adam(weights, lr=schedule.rate, fused=True)
    rates = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, schedule.steps)
    goal = torch.full((len(seeds),), -1.0, dtype=torch.float64) if stop_at is None else torch.from_numpy(stop_at)
    kept: Solved | None = None
    taken = torch.zeros(len(seeds), dtype=torch.bool)
    for step in range(schedule.steps + 1):
        f = encoder.embed(parameters, code)
        error = ((f @ head - target) ** 2).mean((1, 2))
        norm = sum(((w**2).sum((1, 2)) for w in weights), start=torch.zeros(()))
        now = ((error.detach() <= goal) | (step == schedule.steps)) & ~taken
        if now.any():
            if kept is None:
                kept = Solved(
                    np.empty(f.shape), np.empty(len(seeds)), np.empty(len(seeds)), np.empty(len(seeds), dtype=int)
                )
            at = now.numpy()
            kept.embeddings[at], kept.errors[at] = f.detach().numpy()[at], error.detach().numpy()[at]
            kept.norms[at], kept.steps[at] = norm.detach().numpy()[at], step
            taken |= now
            if taken.all():
                return kept
        optimiser.zero_grad()
        (error + penalty / 2 * norm).sum().backward()
        optimiser.step()
        rates.step()
    raise AssertionError("unreachable: the last step keeps every seed")
