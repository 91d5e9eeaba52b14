from __future__ import annotations

import numpy as np
import pytest

from platorep.core.errors import FeatureError, SpecError
from platorep.stats.queries import query_scores


OVERLAPS = np.random.default_rng(0).binomial(10, 0.2, size=(2, 3, 400))


def test_the_score_is_the_mean_share_and_the_interval_brackets_it():
    found = query_scores(OVERLAPS, 10, 5000)
    np.testing.assert_allclose(found.score, OVERLAPS.mean(axis=-1) / 10, rtol=1e-15)
    np.testing.assert_allclose(found.score - found.low, found.high - found.score, rtol=1e-9)
    assert (found.low < found.score).all()
    wider = query_scores(OVERLAPS, 10, 5000, level=0.99)
    assert (wider.low < found.low).all()


def test_in_a_gallery_far_larger_than_the_queries_the_error_is_that_of_a_bootstrap_of_the_queries():
    rng = np.random.default_rng(1)
    draws = [OVERLAPS[0, 0][rng.integers(400, size=400)].mean() / 10 for _ in range(4000)]
    assert query_scores(OVERLAPS, 10, 10**9).standard_error[0, 0] == pytest.approx(np.std(draws), rel=0.05)


def test_where_the_queries_are_the_gallery_the_error_grows_by_what_they_may_share_with_each_other():
    few, all_of_it = query_scores(OVERLAPS, 10, 10**9), query_scores(OVERLAPS, 10, 400)
    share = OVERLAPS.mean(axis=-1) / 10
    more = (share**2 + (1 - share) ** 2) * OVERLAPS.sum(axis=-1) / 10**2 / 400**2
    np.testing.assert_allclose(all_of_it.standard_error**2 - few.standard_error**2, more, rtol=1e-4)


def test_small_integers_do_not_overflow():
    found = query_scores(np.full((1, 300), 255, dtype=np.uint8), 255, 1000)
    assert found.score[0] == 1
    assert found.standard_error[0] == pytest.approx((300 * 299 / 999 / 255) ** 0.5 / 300)


def test_one_query_more_queries_than_samples_and_a_level_that_is_none_are_refused():
    with pytest.raises(FeatureError, match="needs at least 2, all of them in the gallery; got 1 queries"):
        query_scores(OVERLAPS[..., :1], 10, 100)
    with pytest.raises(FeatureError, match="got 400 queries and a gallery of 399"):
        query_scores(OVERLAPS, 10, 399)
    with pytest.raises(SpecError, match="level is a coverage between 0 and 1"):
        query_scores(OVERLAPS, 10, 500, level=95)
