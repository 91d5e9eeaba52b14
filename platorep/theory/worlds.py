"""Finite worlds: events with a joint co-occurrence distribution, and their exact pointwise mutual information.

A world is that of the paper's section 4 without the pictures: events z_1..z_n, and P_coor(a, b), the probability that a
pair drawn from one window is (a, b). That table holds everything that a contrastive learner can find out about the
world.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.linalg import expm

from platorep.core.errors import SpecError, unknown_name


@dataclass(frozen=True, eq=False)
class World:
    """n events and the distribution of the pairs that co-occur.

    Args:
        name: name of the world in figures and tables.
        joint: P_coor, shape (n, n) float64; symmetric, positive, sum 1.

    Raises:
        SpecError: the joint violates one of these conditions. A zero would make the mutual information infinite.
    """

    name: str
    joint: np.ndarray

    def __post_init__(self) -> None:
        p = self.joint
        if p.ndim != 2 or p.shape[0] != p.shape[1] or len(p) < 2:
            raise SpecError(f"world {self.name!r}: the joint must have shape (n, n) with n >= 2; got {p.shape}.")
        if not np.isfinite(p).all() or (p <= 0).any():
            raise SpecError(
                f"world {self.name!r}: every pair of events needs positive probability; "
                f"{int((~(p > 0)).sum())} have none. Add a teleport."
            )
        if not np.allclose(p, p.T, rtol=1e-9, atol=0) or not np.isclose(p.sum(), 1, rtol=1e-9):
            raise SpecError(f"world {self.name!r}: the joint must be symmetric and sum to 1 (sum {p.sum():.6g}).")

    @property
    def n(self) -> int:
        """Number of events."""
        return len(self.joint)

    @cached_property
    def marginal(self) -> np.ndarray:
        """P(a) = sum_b P_coor(a, b), shape (n,)."""
        return self.joint.sum(axis=1)

    @cached_property
    def pmi(self) -> np.ndarray:
        """K_PMI(a, b) = log P_coor(a, b) / (P(a) P(b)) in nats, shape (n, n) (paper, section 4.2)."""
        return np.log(self.joint) - np.log(self.marginal)[:, None] - np.log(self.marginal)[None, :]

    @cached_property
    def spread(self) -> float:
        """Standard deviation of the entries of K_PMI: the scale against which errors of a Gram matrix are given."""
        return float(self.pmi.std())

    def seen_through(self, channel: np.ndarray, name: str | None = None) -> World:
        """The world of the symbols that an observation shows: joint C^T P C for the channel C(z, x) = P(x | z)."""
        return World(name or self.name, _symmetric(channel.T @ self.joint @ channel))

    def relabelled(self, seed: int) -> World:
        """A different world with the same spectrum: the events have exchanged their places at random."""
        order = np.random.default_rng(seed).permutation(self.n)
        return World("relabelled", self.joint[np.ix_(order, order)])

    def mixed(self, other: World, share: float) -> World:
        """A world between two: P proportional to P_coor^(1 - share) P_other^share, so that the K_PMI are mixed too."""
        return World("mixed", _symmetric(self.joint ** (1 - share) * other.joint**share))


def _symmetric(p: np.ndarray) -> np.ndarray:
    p = (p + p.T) / 2
    return p / p.sum()


def _from_transition(name: str, transition: np.ndarray, stay: float, teleport: float) -> World:
    """World of a doubly stochastic, symmetric transition, mixed with staying and with jumping to any event."""
    n = len(transition)
    if stay < 0 or teleport < 0 or stay + teleport > 1:
        raise SpecError(
            f"world {name!r}: stay = {stay} and teleport = {teleport} are probabilities with a sum of at most 1."
        )
    mixed = (1 - stay - teleport) * transition + stay * np.eye(n) + teleport / n
    return World(name, _symmetric(mixed / n))


def sticky_chain(events: int = 64, stay: float = 0.5) -> World:
    """The next event is the same with probability `stay`, else uniform: the world of Proposition F.1 with delta = 0."""
    return _from_transition("sticky_chain", np.full((events, events), 1 / events), stay, 0.0)


def ring(events: int = 64, time: float = 12.0, stay: float = 0.5, teleport: float = 0.2) -> World:
    """Random walk on a ring for an exponential time: the heat kernel exp(-time L), mixed with staying and jumping.

    Without `stay` it is not representable at long times: log of the heat kernel on a ring has negative harmonics.
    """
    step = np.roll(np.eye(events), 1, axis=0)
    return _from_transition("ring", expm(-time * (np.eye(events) - (step + step.T) / 2)), stay, teleport)


def grid(side: int = 8, time: float = 2.0, stay: float = 0.5, teleport: float = 0.2) -> World:
    """Random walk on a side x side square grid: the heat kernel of its graph Laplacian, with staying and jumping."""
    line = np.diag(np.ones(side - 1), 1)
    line = line + line.T
    adjacent = np.kron(line, np.eye(side)) + np.kron(np.eye(side), line)
    return _from_transition("grid", expm(-time / 4 * (np.diag(adjacent.sum(axis=1)) - adjacent)), stay, teleport)


def blocks(branching: int = 4, levels: int = 3, gain: float = 1.0) -> World:
    """A tree of events. Each level of ancestry that two events share multiplies their co-occurrence by exp(gain).

    n = branching^levels, uniform marginal, K_PMI = gain x (shared levels) + constant: positive semidefinite for
    gain > 0.
    """
    shared = sum(
        np.kron(np.eye(branching**level), np.ones((branching ** (levels - level),) * 2))
        for level in range(1, levels + 1)
    )
    return World("blocks", _symmetric(np.exp(gain * shared)))


def low_rank(bits: int = 6, rank: int = 12, strength: float = 0.7, seed: int = 0) -> World:
    """2^bits events whose K_PMI plus its smallest constant has rank exactly `rank`, without ties in a row.

    K_PMI(a, b) = sum_s kappa_s chi_s(a xor b) - log Z with `rank` random characters chi_s of the group {0,1}^bits (the
    first `bits` of them generators, so that all events are told apart) and weights kappa > 0 that fall from `strength`
    to `strength`/3, irregularly. The group acts transitively, so the marginal is uniform and the characters are the
    eigenvectors.

    Raises:
        SpecError: rank is not between bits and 2^bits - 1.
    """
    n = 2**bits
    if not bits <= rank < n:
        raise SpecError(f"world 'low_rank': rank must be between bits = {bits} and 2^bits - 1 = {n - 1}; got {rank}.")
    rng = np.random.default_rng(seed)
    generators = [1 << i for i in range(bits)]
    others = [s for s in range(1, n) if s not in generators]
    chosen = np.array(generators + list(rng.choice(others, size=rank - bits, replace=False)), dtype=int)
    z = np.arange(n)
    parity = np.array([[bin(a & s).count("1") & 1 for s in chosen] for a in z])
    features = (1.0 - 2.0 * parity) * np.sqrt(
        strength * rng.permutation(np.linspace(1, 1 / 3, rank)) / rank * rng.uniform(0.8, 1.2, rank) * 6
    )
    return World("low_rank", _symmetric(np.exp(features @ features.T)))


def unrepresentable(events: int = 64, strength: float = 0.3, seed: int = 0) -> World:
    """A random symmetric world with a uniform marginal: K_PMI has as many negative directions as positive ones."""
    noise = np.random.default_rng(seed).normal(size=(events, events))
    p = np.exp(strength * (noise + noise.T) / np.sqrt(2))
    for _ in range(500):  # symmetric Sinkhorn, which converges geometrically for positive matrices
        scale = 1 / np.sqrt(p.sum(axis=1))
        p = p * scale[:, None] * scale[None, :]
    return World("unrepresentable", _symmetric(p))


def windowed(transition: np.ndarray, window: int, name: str = "windowed") -> World:
    """Co-occurrence within a window of a stationary Markov sequence, exact: sum over lags |t - t'| <= window.

    P_coor(a, b) is proportional to sum_{s=-w..w} P(X_t = a, X_{t+s} = b) with P(X_t = a, X_{t+s} = b) = pi_a (T^s)_{ab}
    for s >= 0; lag 0 takes part, as in the paper's formula.

    Args:
        transition: T, shape (n, n), rows sum to 1, irreducible.
        window: w >= 1.
        name: name of the world.

    Raises:
        SpecError: window is below 1, or a row does not sum to 1.
    """
    t = transition
    if window < 1 or not np.allclose(t.sum(axis=1), 1):
        raise SpecError(
            f"world {name!r}: window must be at least 1 (got {window}) and every row of the transition must sum to 1."
        )
    n = len(t)
    stationary = np.linalg.lstsq(np.vstack([t.T - np.eye(n), np.ones(n)]), np.append(np.zeros(n), 1.0), rcond=None)[0]
    total, power = np.diag(stationary), np.eye(n)
    for _ in range(window):
        power = power @ t
        lagged = stationary[:, None] * power
        total = total + lagged + lagged.T
    return World(name, _symmetric(total))


def markov(events: int = 64, successors: int = 6, window: int = 2, teleport: float = 0.2, seed: int = 0) -> World:
    """Windowed sequence of a random sparse chain: events have few likely successors, and may jump to any event."""
    rng = np.random.default_rng(seed)
    t = np.zeros((events, events))
    for a in range(events):
        t[a, rng.choice(events, size=successors, replace=False)] = rng.dirichlet(np.ones(successors))
    return windowed((1 - teleport) * t + teleport / events, window, "markov")


WORLDS: dict[str, Callable[..., World]] = {
    f.__name__: f for f in (sticky_chain, ring, grid, blocks, low_rank, unrepresentable, markov)
}


def build(name: str, **parameters: Any) -> World:
    """The world of that name.

    Raises:
        UnknownNameError: there is no such world.
        SpecError: the world has no such parameter.
    """
    if name not in WORLDS:
        raise unknown_name("world", name, WORLDS)
    try:
        return WORLDS[name](**parameters)
    except TypeError as error:
        raise SpecError(
            f"world {name!r}: {error}. Its parameters are the arguments of platorep.theory.worlds.{name}."
        ) from error
