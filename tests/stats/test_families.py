from __future__ import annotations

import numpy as np
import pytest

from platorep.stats.families import family_interval, family_lines


def test_family_lines_is_wider_than_one_that_takes_models_for_independent():
    random = np.random.default_rng(1)
    families = np.repeat(np.arange(5), 6)
    x = random.normal(size=5)[families] + 0.05 * random.normal(size=30)
    y = x + random.normal(size=5)[families] + 0.05 * random.normal(size=30)
    by_family, _ = family_lines(x, y, families, np.array([0.0]))
    by_model, _ = family_lines(x, y, np.arange(30), np.array([0.0]))
    assert np.std(by_family) > 1.5 * np.std(by_model)


def test_family_lines_survives_draws_without_a_slope():
    slopes, lines = family_lines(np.arange(3.0), 2 * np.arange(3.0), np.array(["a", "b", "c"]), np.array([0.0, 1.0]))
    assert slopes == pytest.approx(np.full(2000, 2.0))
    assert np.allclose(lines, [0.0, 2.0])


def test_family_interval_covers_the_true_slope_at_about_its_level():
    random = np.random.default_rng(0)
    covered = 0
    for _ in range(300):
        families = np.repeat(np.arange(7), 3)
        x = random.normal(size=7)[families] + random.normal(size=21)
        y = x + random.normal(size=7)[families] + 0.5 * random.normal(size=21)
        slopes, _ = family_lines(x, y, families, np.array([0.0]), draws=500)
        low, high = family_interval(np.polyfit(x, y, 1)[0], slopes, 7)
        covered += low < 1 < high
    assert 0.9 * 300 <= covered <= 0.99 * 300
