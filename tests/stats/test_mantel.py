from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from platorep.core.errors import DataError
from platorep.stats.mantel import mantel


def alike(rng: np.random.Generator, models: int, noise: float) -> tuple[np.ndarray, np.ndarray]:
    """Similarities of models in a plane, seen twice with noise."""
    places = rng.normal(size=(models, 2))
    distance = np.linalg.norm(places[:, None] - places, axis=2)
    made = []
    for _ in range(2):
        error = noise * rng.normal(size=distance.shape)
        made.append(-distance + error + error.T)
    return made[0], made[1]


def test_the_value_is_spearmans_over_pairs_and_ignores_the_diagonal():
    a, b = alike(np.random.default_rng(0), 8, 0.3)
    low = np.tril_indices(8, -1)
    expected = spearmanr(a[low], b[low]).statistic
    assert mantel(a, b, symmetric=True, permutations=9).value == pytest.approx(expected)
    assert mantel(a + 99 * np.eye(8), b, symmetric=True, permutations=9).value == pytest.approx(expected)
    cross = mantel(a[:5, 5:], b[:5, 5:], symmetric=False, permutations=9)
    assert cross.value == pytest.approx(spearmanr(a[:5, 5:].ravel(), b[:5, 5:].ravel()).statistic)


def test_p_is_a_count_over_permuted_models():
    a, b = alike(np.random.default_rng(1), 7, 2.0)
    found = mantel(a, b, symmetric=True, permutations=49, seed=3)
    rng, low, count = np.random.default_rng(3), np.tril_indices(7, -1), 1
    for _ in range(49):
        order = rng.permutation(7)
        count += spearmanr(a[order][:, order][low], b[low]).statistic >= found.value - 1e-12
    assert found.p == pytest.approx(count / 50)


def test_equal_matrices_agree_and_unrelated_ones_do_not_although_their_pairs_share_models():
    rng = np.random.default_rng(2)
    a, _ = alike(rng, 10, 0.1)
    same = mantel(a, a, symmetric=True, permutations=199)
    assert (same.value, same.p) == (pytest.approx(1.0), 0.005)
    rejected, naive, inside = 0, 0, 0
    for seed in range(80):
        rng = np.random.default_rng(100 + seed)
        good = rng.normal(size=(2, 10))  # how well each model agrees with any other, on either dataset
        a, b = (g[:, None] + g + 0.1 * np.abs(rng.normal(size=(10, 10))) for g in good)
        a, b = a + a.T, b + b.T
        found = mantel(a, b, symmetric=True, permutations=99)
        rejected += found.p <= 0.05
        low = np.tril_indices(10, -1)
        naive += spearmanr(a[low], b[low], alternative="greater").pvalue <= 0.05
        inside += found.low <= 0 <= found.high
    assert rejected <= 9  # 10 of 80 at 5 %: 1 %
    assert naive > 15  # pairs taken as independent
    assert inside >= 68


def test_two_views_of_the_same_models_are_within_the_interval_of_the_relation():
    found = mantel(*alike(np.random.default_rng(4), 12, 0.2), symmetric=True, permutations=199)
    assert found.null_low < 0 < found.null_high < found.low < found.value < found.high


def test_matrices_that_cannot_be_compared_are_refused():
    with pytest.raises(DataError, match=r"got \(3, 3\) and \(4, 4\)"):
        mantel(np.eye(3), np.eye(4), symmetric=True)
    with pytest.raises(DataError, match=r"needs 4 of them, and two on either side; got \(1, 5\)"):
        mantel(np.ones((1, 5)), np.ones((1, 5)), symmetric=False)
