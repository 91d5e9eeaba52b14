from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import t

from platorep.stats.pair_means import pair_mean, reach


def test_the_error_is_the_jackknife_over_models():
    scores = np.array([[0, 0.1, 0.4], [0.1, 0, 0.7], [0.4, 0.7, 0]])
    mean, error = pair_mean(scores)
    assert mean == pytest.approx(0.4)
    assert error == pytest.approx(np.sqrt(2 / 3 * np.sum((np.array([0.7, 0.4, 0.1]) - 0.4) ** 2)))
    assert np.isnan(pair_mean(scores[:2, :2])[1])
    assert np.isnan(pair_mean(scores[:1, :1])[0])


def test_jackknife_over_models_covers_where_an_error_over_pairs_does_not():
    random = np.random.default_rng(0)
    covered = {"models": 0, "pairs": 0}
    for _ in range(300):  # score of a pair = mean of two models' own levels, true mean 0: pairs share models
        level = random.normal(size=12)
        scores = (level[:, None] + level) / 2
        upper = scores[np.triu_indices(12, 1)]
        mean, error = pair_mean(scores)
        covered["models"] += abs(mean) < 2.2 * error
        covered["pairs"] += abs(mean) < 2.0 * upper.std(ddof=1) / np.sqrt(len(upper))
    assert covered["models"] > 0.92 * 300
    assert covered["pairs"] < 0.7 * 300


def test_reach_is_half_a_t_interval():
    assert reach(0.1, 9) == pytest.approx(0.1 * t.ppf(0.975, 8))
