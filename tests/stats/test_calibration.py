from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from platorep.core.errors import SpecError
from platorep.metrics import registry
from platorep.metrics.base import Geometry
from platorep.stats.calibration import calibrated, chance_corrected, skewed_p
from platorep.stats.nulls import max_null_prepared

from .worlds import layers


def test_chance_corrected_mutual_knn_is_r_nx():
    n, k, s = 1024, 10, 0.148
    assert chance_corrected(s, k / (n - 1)) == pytest.approx(((n - 1) * s - k) / (n - 1 - k))
    assert chance_corrected(k / (n - 1), k / (n - 1)) == 0
    assert chance_corrected(1.0, 0.3) == 1
    assert chance_corrected(0.1, 0.3) < 0  # below chance is shown, not clipped


def test_calibrated_score_by_hand():
    # 20 values with the observed one; the ceil(.95 * 20) = 19th smallest is the threshold.
    null = np.arange(1, 20)[None] / 100
    high, low = calibrated(np.array([0.5]), null), calibrated(np.array([0.05]), null)
    assert high.threshold == 0.19  # 1..19 and 50: the 19th is 19
    assert high.score == pytest.approx((0.5 - 0.19) / (1 - 0.19))
    assert high.p == 0.05
    assert low.threshold == 0.18  # the observed value takes a place among the 20
    assert (low.score, low.p) == (0, pytest.approx(16 / 20))


def test_threshold_is_not_lost_to_rounding_of_alpha():
    null = np.arange(1, 1000)[None] / 1000
    for alpha in (0.05, 0.1, 0.01, 0.3, 0.07):
        found = calibrated(np.array([2.0]), null, alpha=alpha, best=3.0).threshold
        assert found == pytest.approx(round((1 - alpha) * 1000) / 1000)


def test_score_is_positive_exactly_where_p_is_at_most_alpha():
    rng = np.random.default_rng(0)
    draws = rng.normal(size=(2000, 100))
    result = calibrated(draws[:, 0], draws[:, 1:], best=10.0)
    np.testing.assert_array_equal(result.score > 0, result.p <= 0.05)
    assert 0.035 < (result.score > 0).mean() < 0.065


def test_a_threshold_at_the_maximum_gives_zero_rather_than_a_division_by_zero():
    assert calibrated(np.array([1.0]), np.ones((1, 40))).score == 0


def test_unbounded_metrics_and_too_few_permutations_are_refused():
    null = np.zeros((1, 18))
    with pytest.raises(SpecError, match="cknna_prh"):
        calibrated(np.array([0.5]), null, best=np.inf)
    with pytest.raises(SpecError, match="cknna_prh"):
        chance_corrected(0.5, 0.1, best=np.inf)
    with pytest.raises(SpecError, match="at least 19 are needed"):
        calibrated(np.array([0.5]), null)
    with pytest.raises(SpecError, match="alpha"):
        calibrated(np.array([0.5]), null, alpha=5)
    with pytest.raises(SpecError, match="reaches the metric's maximum"):
        chance_corrected(0.5, 1.0)
    with pytest.raises(SpecError, match=r"\(P, K\)"):
        calibrated(np.array([0.5, 0.4]), null)


def test_skewness_of_ckas_null_is_that_of_relabelled_scores_and_makes_tail_probabilities_right():
    rng = np.random.default_rng(0)
    metric = registry.build("cka")
    x, y = ([metric.prepare(layers(rng, rng.normal(size=(60, 3)), 1, 0.2)[0])] for _ in range(2))
    draws = max_null_prepared(metric, {"x": x, "y": y}, [("x", "y")], permutations=4000).null[0]
    skewness = metric.null(x, y).skewness.item()
    assert skewness > 0.5  # few dimensions
    assert stats.skew(draws) == pytest.approx(skewness, rel=0.35)
    z = draws / metric.null(x, y).sd.item()
    beyond = np.quantile(z, 0.99)
    assert skewed_p(beyond, skewness) == pytest.approx(0.01, rel=0.4)
    assert stats.norm.sf(beyond) < 0.006  # the Gaussian law calls it rarer than it is
    assert skewed_p(1.7, 0.0) == pytest.approx(stats.norm.sf(1.7))


def test_many_dimensions_leave_no_skewness():
    x = torch.randn(200, 2000, generator=torch.Generator().manual_seed(0))
    assert abs(registry.build("cka").prepare(Geometry(x)).skewness) < 0.1


def test_skewness_of_features_is_that_of_the_kernel_matrix(monkeypatch):
    x = Geometry(torch.randn(400, 3, generator=torch.Generator().manual_seed(0)))
    of_matrix = registry.build("cka").prepare(x).skewness
    monkeypatch.setattr("platorep.metrics.centred.GRAM_ROWS", 10)
    of_features = registry.build("cka").prepare(x)
    assert of_features.features is not None
    assert of_features.skewness == pytest.approx(of_matrix, rel=0.02)
