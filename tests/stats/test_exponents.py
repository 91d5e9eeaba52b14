from __future__ import annotations

import math

import numpy as np
import pytest

from platorep.core.errors import DataError
from platorep.stats.exponents import exponent


SIZES = np.logspace(6, 10, 24)


def test_an_exact_power_law_is_found_with_an_interval_of_no_width():
    families = np.repeat([f"f{i}" for i in range(6)], 4)
    found = exponent(SIZES, 3 * SIZES**0.4, families)
    assert (found.value, found.low, found.high) == pytest.approx((0.4, 0.4, 0.4))
    assert 10**found.intercept == pytest.approx(3)
    assert found.sentence == "exponent 0.40 [0.40, 0.40] over 24 models of 6 families"


def test_families_that_differ_widen_the_interval_and_four_families_have_none():
    rng, families = np.random.default_rng(0), np.repeat(np.arange(6), 4)
    shuffled = rng.permutation(SIZES)
    values = shuffled**0.4 * 10 ** (0.3 * rng.normal(size=6)[families])
    found = exponent(shuffled, values, families)
    assert found.low < found.value < found.high
    few = exponent(shuffled, values, np.minimum(families, 3))
    assert math.isnan(few.low)
    assert few.sentence == f"exponent {few.value:.2f} over 24 models; 4 families are too few for an interval"


def test_a_count_of_zero_and_a_single_size_are_refused():
    with pytest.raises(DataError, match="needs positive finite sizes and values"):
        exponent(np.array([1e6, 1e7]), np.array([0, 3]), np.array(["a", "b"]))
    with pytest.raises(DataError, match="needs models of two sizes; got 1"):
        exponent(np.array([1e6, 1e6]), np.array([2, 3]), np.array(["a", "b"]))
