"""Experiments (h) and (i): the laws that shared data and matched modalities must follow, with negative controls."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from platorep.theory import counts, observations, worlds
from platorep.theory.learners import Encoder, Objective, Schedule, train
from platorep.theory.sharing import sharing
from platorep.theory.translation import _exact, _mixed, _needed, translation
from tests.theory.test_experiments import drawn


LOW_RANK = worlds.low_rank(bits=5, rank=6)


def data(seed, size=20_000, world=LOW_RANK):
    """Counts of x by event, counts of y by symbol, and every event with its symbol of y."""
    rng, view = np.random.default_rng(seed), observations.bijection(world.n, seed)
    pairs = np.column_stack([np.arange(world.n), view.channel.argmax(axis=1)])
    return counts.draw(world, size, rng), counts.draw(view.world(world), size, rng), pairs


def test_with_all_pairs_both_modalities_are_one_with_all_observations_and_without_pairs_y_says_nothing():
    x, y, pairs = data(0)
    together = counts.estimate(x + y[np.ix_(pairs[:, 1], pairs[:, 1])]).pmi
    np.testing.assert_allclose(counts.pooled(x, y, pairs).pmi, together, atol=1e-12)
    np.testing.assert_allclose(counts.pooled(x, y, pairs[:-1]).pmi, together, atol=1e-12)  # the last follows
    np.testing.assert_allclose(counts.pooled(x, y, pairs[:0]).pmi, counts.estimate(x).pmi, atol=1e-12)
    swapped = pairs.copy()
    swapped[:2, 1] = pairs[1::-1, 1]
    assert np.abs(counts.pooled(x, y, swapped).pmi - together).max() > 0.5


@pytest.mark.parametrize("known", [3, 20])
def test_pooled_counts_are_the_maximum_of_the_likelihood_of_both_modalities(known):
    x, y, pairs = data(1, 3000)
    labels = np.full(32, 32)
    labels[pairs[:known, 0]] = np.arange(known)
    blocks = np.eye(33)[labels]
    seen = np.full(32, 32)
    seen[pairs[:known, 1]] = np.arange(known)
    other = np.eye(33)[seen].T @ y @ np.eye(33)[seen]

    def likelihood(p):
        merged = blocks.T @ p @ blocks
        of_y = (other[other > 0] * np.log(merged[other > 0])).sum()
        return ((x + counts.PSEUDO) * np.log(p)).sum() + of_y

    best = counts.pooled(x, y, pairs[:known]).joint
    rng = np.random.default_rng(0)
    for scale in (1e-3, 1e-2, 1e-1):
        step = rng.normal(size=best.shape)
        near = best * np.exp(scale * (step + step.T))
        assert likelihood(near / near.sum()) < likelihood(best)


def test_the_error_falls_with_the_square_root_of_the_data_as_the_delta_method_says():
    rng = np.random.default_rng(0)
    few, many = (
        np.mean([counts.error(counts.estimate(counts.draw(LOW_RANK, n, rng)).pmi, LOW_RANK) for _ in range(20)])
        for n in (50_000, 800_000)
    )
    assert few / many == pytest.approx(4, rel=0.03)
    assert many == pytest.approx(np.sqrt((1 / (2 * 800_000 * LOW_RANK.joint)).mean()) / LOW_RANK.spread, rel=0.1)


def test_pairs_that_are_wrong_by_a_symmetry_of_the_world_share_data_as_well_as_right_ones():
    x, y, pairs = data(2, 200_000)
    moved = np.column_stack([pairs[:, 0] ^ 5, pairs[:, 1]])  # an exclusive or maps this world onto itself
    shuffled = np.column_stack([np.random.default_rng(0).permutation(32), pairs[:, 1]])
    right, symmetric, wrong = (
        counts.error(counts.pooled(x, y, known).pmi, LOW_RANK) for known in (pairs, moved, shuffled)
    )
    assert symmetric == pytest.approx(right, rel=0.1)
    assert wrong > 4 * right


def test_growing_data_hold_the_smaller_ones_and_every_pair_twice():
    small, large = counts.nested(LOW_RANK, [100, 400], np.random.default_rng(0))
    assert (small.sum(), large.sum()) == (200, 800)
    assert (large >= small).all()
    assert (large == large.T).all()


def test_a_learner_of_two_tables_ends_at_the_kernel_of_its_counts():
    world = worlds.grid(side=3)
    seen = counts.estimate(counts.draw(world, 500, np.random.default_rng(0)))
    objective = Objective(loss="sgns")
    codes = np.zeros((1, 9, 1))
    trained = train(seen.joint[None], codes, Encoder(dim=9), objective, Schedule(steps=1500, rate=0.05), [0])
    both = trained.embeddings[0] @ trained.others[0].T
    np.testing.assert_allclose(both, seen.pmi + objective.offset, atol=1e-3)
    assert np.abs(seen.pmi - world.pmi).max() > 0.1


def test_one_observation_of_a_paired_bijection_is_worth_one_of_x_and_of_another_world_less_than_none(tmp_path):
    tables = sharing(
        LOW_RANK, seeds=6, firsts=(4000, 16000, 64000), seconds=(2000, 16000), pairs=(0, 4, 16, 32), symbols=(16,)
    )
    rows = tables["summary"].set_index(["kind", "pairs", "first"])
    whole = rows.loc["bijection", 32, 16000]
    assert whole.rate_low < 1 < whole.rate_high
    assert rows.loc["pairs", 0, 16000].rate == pytest.approx(0, abs=1e-9)
    half = rows.loc["pairs", 16, 16000]
    assert half.rate == pytest.approx(half.predicted, abs=0.1)  # .14: both symbols of a quarter of the pairs are known
    assert rows.loc["matched", 4, 16000].rate > 0.8
    assert 0 < rows.loc["lossy: 16 symbols", 32, 16000].rate < 0.5
    assert rows.loc["wrong pairs", 32, 64000].rate_high < 0
    assert (rows.loc["different worlds"].rate_high < 0).all()
    assert drawn("sharing", tables, tmp_path)


def test_identical_kernels_without_symmetry_need_no_pairs_and_different_worlds_stay_at_chance(tmp_path):
    tables = translation(
        worlds.markov(events=24, successors=4),
        seeds=6,
        pairs=(0, 2, 8, 16),
        own=(0.0, 0.6, 1.0),
        observed=(1000, 100_000),
        symbols=(18, 6),
        others=("ring", "low_rank"),
    )
    accuracy = tables["curves"].set_index(["kind", "dial", "pairs"]).accuracy.sort_index()
    assert (accuracy["own structure", 0.0] == 1).all()
    np.testing.assert_allclose(accuracy["own structure", 1.0], 1 / (24 - np.array([0, 2, 8, 16])), atol=0.12)
    assert accuracy["few observations", 100_000, 2] > accuracy["few observations", 1000, 2] + 0.4
    for symmetric in ("ring", "low_rank"):
        assert accuracy[symmetric, 0.0, 0] < 0.1
        assert accuracy[symmetric, 0.0, 2] > 0.9
    needed = tables["thresholds"].set_index(["kind", "dial", "level"]).pairs.sort_index()
    assert needed["own structure", 0.0, 0.9] == 0 < needed["own structure", 0.6, 0.9] < 24
    assert needed["own structure", 1.0, 0.5] == 24
    exact = tables["exact"].set_index(["kind", "dial"])
    assert exact.complete["own structure", 0.0] == 1
    assert exact.accuracy["own structure", 1.0] == pytest.approx(1 / 7, abs=4 * (1 / 7 / 7 / 120) ** 0.5)
    assert drawn("translation", tables, tmp_path)


def test_exact_matching_of_a_ring_is_right_for_one_event_on_average_which_is_chance():
    # Burnside: the mean number of fixed points of a group's elements is the number of its orbits, here 1
    ring = _mixed(worlds.ring(events=7, time=1.0), 0.0, 0)
    draws = 200
    found = _exact(ring, draws, np.random.default_rng(0))
    assert found["correlation"] == pytest.approx(1)
    assert 7 * found["accuracy"] == pytest.approx(1, abs=4 * (3 / draws) ** 0.5)  # variance of the 14 fixed points: 3
    assert found["complete"] == pytest.approx(1 / 14, abs=4 * (1 / 14 / draws) ** 0.5)


def test_pairs_needed_are_the_smallest_number_from_which_on_accuracy_stays_above_the_level():
    table = pd.DataFrame({"kind": "a", "dial": 0.0, "seed": 0, "pairs": [0, 1, 2, 4], "accuracy": [0.6, 0.4, 0.7, 0.8]})
    needed = _needed(table, 64).set_index("level").pairs
    assert needed[0.5] == 2
    assert needed[0.9] == 64
    assert _needed(table.assign(accuracy=1.0), 64).pairs.tolist() == [0, 0]


def test_mixed_worlds_lie_between_two():
    other = LOW_RANK.relabelled(3)
    np.testing.assert_allclose(LOW_RANK.mixed(other, 0.0).pmi, LOW_RANK.pmi, atol=1e-12)
    np.testing.assert_allclose(LOW_RANK.mixed(other, 1.0).pmi, other.pmi, atol=1e-12)
    half = LOW_RANK.mixed(other, 0.5).pmi
    assert np.corrcoef(half.ravel(), (LOW_RANK.pmi + other.pmi).ravel())[0, 1] > 0.99
