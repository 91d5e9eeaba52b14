"""Worlds: probabilities, exact co-occurrence, and the representability test against brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest

from platorep.core.errors import SpecError, UnknownNameError
from platorep.theory import worlds
from platorep.theory.representability import nearest_gram, representability
from platorep.theory.worlds import World


REPRESENTABLE = ("sticky_chain", "ring", "grid", "blocks", "low_rank")


@pytest.mark.parametrize("name", worlds.WORLDS)
def test_every_world_is_a_symmetric_distribution_whose_pmi_follows_from_it(name):
    world = worlds.build(name)
    assert world.joint.sum() == pytest.approx(1)
    expected = np.array(
        [
            [math.log(world.joint[a, b] / world.joint[a].sum() / world.joint[b].sum()) for b in range(5)]
            for a in range(5)
        ]
    )
    np.testing.assert_allclose(world.pmi[:5, :5], expected, rtol=1e-10)


@pytest.mark.parametrize("name", worlds.WORLDS)
def test_no_world_with_structure_is_a_gram_matrix_without_a_positive_offset(name):
    world = worlds.build(name)
    below_zero = world.marginal @ world.pmi @ world.marginal
    divergence = (np.outer(world.marginal, world.marginal) * -world.pmi).sum()
    assert below_zero == pytest.approx(-divergence)
    assert divergence > 0
    assert representability(world).offset > 0


@pytest.mark.parametrize("name", REPRESENTABLE)
def test_smallest_offset_is_where_the_gram_matrix_stops_being_positive_semidefinite(name):
    world = worlds.build(name)
    found = representability(world)
    assert found.representable
    assert np.linalg.eigvalsh(world.pmi + found.offset)[0] > -1e-9
    assert np.linalg.eigvalsh(world.pmi + found.offset - 0.01)[0] < -1e-3
    assert np.linalg.matrix_rank(world.pmi + found.offset, tol=1e-6, hermitian=True) == found.rank
    assert np.linalg.matrix_rank(world.pmi + found.offset + 1, tol=1e-6, hermitian=True) == found.rank + 1


@pytest.mark.parametrize(("name", "parameters"), [("unrepresentable", {}), ("markov", {}), ("ring", {"stay": 0.0})])
def test_no_offset_makes_an_unrepresentable_world_a_gram_matrix(name, parameters):
    world = worlds.build(name, **parameters)
    found = representability(world)
    assert not found.representable
    for offset in (0.0, 1.0, 1e3):
        assert np.linalg.eigvalsh(world.pmi + offset)[0] < -1e-3


def test_semidefinite_on_the_complement_is_not_enough_when_a_null_direction_leans_on_the_constant():
    # K = v v^T - (1 w^T + w 1^T) with w orthogonal to v: zero on w's direction within the complement, but K w is not.
    n = 6
    v = np.array([1, -1, 0, 0, 0, 0.0])
    w = 0.1 * np.array([0, 0, 1, -1, 0, 0.0])
    p = np.exp(np.outer(v, v) - w[:, None] - w[None, :])
    world = World("leaning", p / p.sum())
    k = world.pmi
    h = np.eye(n) - 1 / n
    assert np.linalg.eigvalsh(h @ k @ h)[0] > -1e-9
    assert not representability(world).representable
    assert np.linalg.eigvalsh(k + 1e4)[0] < -1e-9


def test_proposition_f1_holds_on_the_sticky_chain_with_its_constant():
    world = worlds.sticky_chain(events=20, stay=0.3)
    found = representability(world)
    assert found.sufficient
    shifted = world.pmi + found.sufficient_offset
    off = shifted - np.diag(shifted.diagonal())
    assert off.max() <= 0
    assert (shifted.diagonal() + off.sum(axis=1)).min() >= -1e-12  # diagonally dominant
    assert found.offset <= found.sufficient_offset + 1e-12


@pytest.mark.parametrize("name", ["ring", "grid", "low_rank"])
def test_proposition_f1_is_not_necessary(name):
    found = representability(worlds.build(name))
    assert found.representable
    assert not found.sufficient


def test_low_rank_world_has_exactly_the_rank_asked_for_and_no_ties():
    for rank in (6, 12, 30):
        world = worlds.low_rank(bits=6, rank=rank)
        assert representability(world).rank == rank
        assert len(np.unique(world.pmi[0].round(9))) == 64
        np.testing.assert_allclose(world.marginal, 1 / 64)


def test_windowed_co_occurrence_equals_counts_of_a_long_sequence():
    rng = np.random.default_rng(0)
    transition = rng.dirichlet(np.ones(4), size=4)
    world = worlds.windowed(transition, window=2)
    cumulative, state, states = transition.cumsum(axis=1), 0, []
    for u in rng.random(100_000):
        state = min(int(np.searchsorted(cumulative[state], u)), 3)
        states.append(state)
    x = np.array(states)
    counts = np.zeros((4, 4))
    for lag in range(-2, 3):
        a, b = (x[: len(x) - lag], x[lag:]) if lag >= 0 else (x[-lag:], x[:lag])
        np.add.at(counts, (a, b), 1)
    np.testing.assert_allclose(world.joint, counts / counts.sum(), atol=0.004)


def test_a_bijection_keeps_pmi_and_a_merge_loses_it():
    world = worlds.ring(events=12)
    order = np.random.default_rng(0).permutation(12)
    seen = world.seen_through(np.eye(12)[order])
    np.testing.assert_allclose(seen.pmi[np.ix_(order, order)], world.pmi, atol=1e-12)
    merged = world.seen_through(np.eye(6)[np.arange(12) % 6])
    assert merged.spread < world.spread


def test_nearest_gram_beats_other_positive_semidefinite_matrices():
    target = worlds.unrepresentable(events=16).pmi + 2.0
    best = nearest_gram(target)
    assert np.linalg.eigvalsh(best)[0] > -1e-10
    distance = np.linalg.norm(best - target)
    rng = np.random.default_rng(0)
    factor = np.linalg.cholesky(best + 1e-9 * np.eye(16))
    for scale in (1e-3, 1e-2, 1e-1):
        other = factor + scale * rng.normal(size=factor.shape)
        assert np.linalg.norm(other @ other.T - target) > distance


def test_bad_worlds_are_refused_with_the_reason():
    with pytest.raises(SpecError, match=r"positive probability; 12 have none"):
        World("holes", np.eye(4) / 4)
    with pytest.raises(SpecError, match="symmetric"):
        World("lopsided", np.array([[0.1, 0.5], [0.2, 0.2]]))
    with pytest.raises(SpecError, match="stay"):
        worlds.ring(stay=0.9, teleport=0.2)
    with pytest.raises(UnknownNameError, match="Did you mean 'ring'"):
        worlds.build("rings")
    with pytest.raises(SpecError, match="unexpected keyword argument 'sides'"):
        worlds.build("grid", sides=3)
    with pytest.raises(SpecError, match="rank must be between"):
        worlds.low_rank(rank=3)
