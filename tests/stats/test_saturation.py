"""The law of saturating scores on curves whose constants are known."""

from __future__ import annotations

import numpy as np
import pytest

from platorep.core.errors import FeatureError
from platorep.stats.saturation import saturation


COUNTS = np.arange(1, 9)


def curves(rng, items: int, noise: float, *, limit=0.4, amplitude=0.15, exponent=0.8) -> np.ndarray:
    """Scores of items around the law; an item lies above or below it at all counts, and has noise at each."""
    law = limit - amplitude * COUNTS**-exponent
    return law + noise * (rng.normal(size=(items, 1)) + 0.2 * rng.normal(size=(items, len(COUNTS))))


@pytest.mark.parametrize("exponent", [0.3, 0.8, 2.0])
def test_a_curve_that_is_the_law_gives_its_constants(exponent):
    law = saturation(COUNTS, curves(np.random.default_rng(0), 20, 0.0, exponent=exponent), resamples=9)
    assert law.exponent.score == pytest.approx(exponent, rel=0.006)  # half a step of the exponents
    assert law.limit.score == pytest.approx(0.4, abs=0.005)
    assert law.amplitude.score == pytest.approx(0.15, abs=0.005)
    assert law.explained == pytest.approx(1, abs=1e-4)


def test_a_falling_curve_has_a_negative_amplitude():
    law = saturation(COUNTS, curves(np.random.default_rng(0), 20, 0.0, amplitude=-0.2), resamples=9)
    assert law.amplitude.score == pytest.approx(-0.2, abs=0.005)


def test_intervals_cover_the_constants_as_often_as_they_say():
    rng = np.random.default_rng(1)
    laws = [saturation(COUNTS, curves(rng, 200, 0.1), resamples=149) for _ in range(40)]
    for name, truth in (("limit", 0.4), ("amplitude", 0.15), ("exponent", 0.8)):
        bounds = [getattr(law, name) for law in laws]
        assert np.mean([each.low <= truth <= each.high for each in bounds]) >= 0.84  # 3 standard errors below .95


def test_scores_without_a_law_say_so():
    rng = np.random.default_rng(2)
    law = saturation(COUNTS, 0.1 + 0.1 * rng.normal(size=(200, len(COUNTS))))
    assert law.explained < 0.9
    assert law.amplitude.low < 0 < law.amplitude.high


def test_the_law_needs_four_counts():
    with pytest.raises(FeatureError, match=r"at 4 or more numbers of views, shape \(items, m\); got \(5, 3\) scores"):
        saturation([1, 2, 3], np.zeros((5, 3)))
