from __future__ import annotations

import itertools

import numpy as np
import pytest

from platorep.core.errors import FeatureError
from platorep.stats import assignment
from platorep.stats.assignment import agreement, complete, match, standardised


def kernel(rng: np.random.Generator, n: int) -> np.ndarray:
    x = rng.normal(size=(n, 30))
    return np.corrcoef(x)


def value(x: np.ndarray, y: np.ndarray, order) -> float:
    """What the matching maximises, by a loop."""
    a, b = standardised(x), standardised(y)
    return sum(a[i, j] * b[order[i], order[j]] for i in range(len(a)) for j in range(len(a)))


def test_the_exact_matching_is_the_best_of_all():
    rng = np.random.default_rng(0)
    for _ in range(5):
        x, y = kernel(rng, 5), kernel(rng, 5)
        best = max(value(x, y, order) for order in itertools.permutations(range(5)))
        assert value(x, y, match(x, y, rng)) == pytest.approx(best)


def test_the_heuristic_mostly_finds_the_exact_optimum(monkeypatch):
    rng, same = np.random.default_rng(1), 0
    for _ in range(12):
        x = kernel(rng, 7)
        y = x + 0.1 * kernel(rng, 7)
        best = value(x, y, match(x, y, rng))
        with monkeypatch.context() as patch:
            patch.setattr(assignment, "EXACT", 0)
            found = value(x, y, match(x, y, rng))
        assert found <= best + 1e-9
        same += found > best - 1e-9
    assert same >= 9  # it may miss the optimum, and mostly does not


@pytest.mark.parametrize("n", [6, 12])
def test_a_relabelled_kernel_is_recovered(n):
    rng = np.random.default_rng(2)
    x, order = kernel(rng, n), rng.permutation(n)
    assert (order[match(x, x[np.ix_(order, order)], rng)] == np.arange(n)).all()


@pytest.mark.parametrize("n", [6, 9])
def test_matchings_of_unrelated_kernels_have_one_fixed_point_on_average(n):
    rng = np.random.default_rng(3)
    hits = [np.sum(match(kernel(rng, n), kernel(rng, n), rng) == np.arange(n)) for _ in range(60)]
    assert np.mean(hits) == pytest.approx(1, abs=4 / 60**0.5)  # a random permutation's, whose variance is 1


def test_a_symmetric_kernel_cannot_be_matched_although_it_agrees_with_itself():
    rng, n = np.random.default_rng(4), 7
    angles = 2 * np.pi * np.arange(n) / n
    ring = np.cos(angles[:, None] - angles)
    assert agreement(ring, ring) == pytest.approx(1)
    hits = [np.sum(match(ring, ring, rng) == np.arange(n)) for _ in range(60)]
    assert np.mean(hits) == pytest.approx(1, abs=0.8)  # a random turn or reflection, not all seven


def test_agreement_is_the_correlation_beside_the_diagonal():
    rng = np.random.default_rng(5)
    x, y = kernel(rng, 8), kernel(rng, 8)
    off = ~np.eye(8, dtype=bool)
    assert agreement(x, y) == pytest.approx(np.corrcoef(x[off], y[off])[0, 1])
    assert agreement(np.ones((4, 4)), kernel(rng, 4)) == 0


def test_kernels_of_different_shapes_are_refused():
    with pytest.raises(FeatureError, match=r"got \(3, 3\) and \(4, 4\)"):
        match(np.eye(3), np.eye(4), np.random.default_rng(0))


def test_known_pairs_are_kept_and_identical_kernels_without_symmetry_need_none():
    rng = np.random.default_rng(5)
    x, order = kernel(rng, 20), rng.permutation(20)
    y = x[np.ix_(order, order)]
    partner = np.argsort(order)
    for known in (0, 3, 19, 20):
        pairs = np.column_stack([np.arange(20), partner])[rng.permutation(20)[:known]]
        assert (complete(x, y, pairs, rng) == partner).all()
    wrong = np.array([[0, 4], [4, 0]])
    assert (complete(x, x, wrong, rng)[[0, 4]] == [4, 0]).all()


def test_a_ring_needs_two_pairs_because_it_turns_and_reflects():
    rng, n = np.random.default_rng(6), 12
    steps = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    ring = np.exp(-np.minimum(steps, n - steps) / 3)
    right = [
        np.mean(
            [
                complete(ring, ring, np.arange(known)[:, None].repeat(2, axis=1), rng)[known:].tolist()
                == list(range(known, n))
                for _ in range(20)
            ]
        )
        for known in (0, 1, 2)
    ]
    assert right[0] < 0.4
    assert 0.1 < right[1] < 0.9
    assert right[2] == 1


def test_completing_refuses_kernels_of_different_shapes():
    with pytest.raises(FeatureError, match=r"\(3, 3\) and \(4, 4\)"):
        complete(np.eye(3), np.eye(4), np.empty((0, 2), dtype=int), np.random.default_rng(0))
