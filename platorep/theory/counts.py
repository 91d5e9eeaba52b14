"""Finite data of a world: counts of drawn pairs, the kernel they give, and counts of two modalities pooled by pairs.

An nce learner with two free tables ends at the log odds of the distribution that it is given, so the kernel of counts
is the end point of training on them, without training.
"""

from __future__ import annotations

import numpy as np

from platorep.theory.worlds import World


PSEUDO = 0.5
"""Added to every count: with one half, the logarithm of a count is unbiased to first order (Haldane 1956, Anscombe
1956)."""


def draw(world: World, count: int, rng: np.random.Generator) -> np.ndarray:
    """Counts of `count` pairs drawn from P_coor, shape (n, n) float64.

    Each pair is counted in both orders, so that counts are symmetric with the sum 2 `count`.
    """
    drawn = rng.multinomial(count, world.joint.ravel()).reshape(world.n, world.n)
    return (drawn + drawn.T).astype(float)


def nested(world: World, sizes: list[int], rng: np.random.Generator) -> list[np.ndarray]:
    """Counts of growing data: each of `sizes`, which increase, holds the pairs of the one before."""
    steps = [draw(world, more, rng) for more in np.diff([0, *sizes])]
    return list(np.cumsum(steps, axis=0))


def estimate(counts: np.ndarray) -> World:
    """The world of counts: P proportional to count + 1/2, so that its `pmi` is the estimated kernel."""
    smoothed = counts + PSEUDO
    return World("estimated", smoothed / smoothed.sum())


def pooled(x: np.ndarray, y: np.ndarray, pairs: np.ndarray) -> World:
    """The world of x's symbols from counts of both modalities, of which some symbols are known to belong together.

    To x, y is an observation that merges symbols: those of y that are in no pair stand for all those of x that are in
    no pair, and one symbol of y may be paired with several of x. Counts of y therefore tell the probabilities of blocks
    of x's pairs, and counts of x alone how probability is spread within a block. This is the maximum of the likelihood
    of both, with x's counts + 1/2:

        P(a, b) = (x_ab + 1/2) / X_B (X_B + Y_B) / total,   B the block of (a, b).

    If every symbol has a partner of its own, blocks are single pairs and P is the estimate from x + y. Without pairs
    there is one block, and P is x's.

    Args:
        x: counts, shape (n, n).
        y: counts, shape (m, m).
        pairs: symbol of x and symbol of y, shape (K, 2) int; no symbol of x is in two pairs.
    """
    rest = len(y)
    of_x, of_y = np.full(len(x), rest), np.full(len(y), rest)
    of_x[pairs[:, 0]] = pairs[:, 1]
    of_y[pairs[:, 1]] = pairs[:, 1]
    blocks = np.eye(rest + 1)
    smoothed = x + PSEUDO
    own = blocks[of_x].T @ smoothed @ blocks[of_x]
    both = own + blocks[of_y].T @ y @ blocks[of_y]
    scale = np.divide(both, own, out=np.zeros_like(own), where=own > 0)  # blocks without events of x say nothing
    total = smoothed * scale[np.ix_(of_x, of_x)]
    return World("pooled", total / total.sum())


def error(kernel: np.ndarray, world: World) -> float:
    """Standard deviation of kernel - K_PMI over that of K_PMI: 0 for K_PMI plus any constant, 1 for a constant."""
    return float((kernel - world.pmi).std() / world.spread)
