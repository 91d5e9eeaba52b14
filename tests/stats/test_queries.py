from __future__ import annotations

import numpy as np
import pytest

from platorep.core.errors import FeatureError, SpecError
from platorep.stats.queries import query_scores


OVERLAPS = np.random.default_rng(0).binomial(10, 0.2, size=(2, 3, 400))


def test_the_score_is_the_mean_share_and_the_interval_brackets_it():
    clumped = 2 * np.random.default_rng(2).binomial(5, 0.2, size=(2, 3, 400))  # neighbours that are shared two by two
    found = query_scores(clumped, 10, 5000)
    np.testing.assert_allclose(found.score, clumped.mean(axis=-1) / 10, rtol=1e-15)
    reach = 1.966 * found.standard_error  # t of 399 degrees of freedom
    np.testing.assert_allclose(found.high - found.low, 2 * reach, rtol=0.01)
    np.testing.assert_allclose((found.low + found.high) / 2, found.score, atol=0.002)
    assert ((found.low < found.score) & (found.score < found.high)).all()
    wider = query_scores(clumped, 10, 5000, level=0.99)
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


def test_few_shared_neighbours_have_an_interval_that_reaches_further_up_and_never_below_0():
    found = query_scores(np.eye(1, 400, dtype=int)[0], 10, 5000)  # one shared neighbour of 4,000
    assert 0 < found.low < found.score < found.high
    assert found.high - found.score > 3 * (found.score - found.low)


@pytest.mark.parametrize("value", [0, 10])
def test_where_none_or_all_are_shared_the_interval_is_that_of_as_many_trials_as_there_are_neighbours(value):
    found = query_scores(np.full(400, value), 10, 10**9)
    edge = 1.966**2 / 4000 / (1 + 1.966**2 / 4000)
    assert (found.low, found.high) == pytest.approx((0, edge) if value == 0 else (1 - edge, 1), abs=1e-6)


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
