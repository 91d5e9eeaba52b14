from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from platorep.core.clamp import NONE, Clamp
from platorep.core.errors import FeatureError
from platorep.metrics.preprocess import _within, clip, clip_threshold, order_statistic


def layers(seed: int, widths: list[int], n: int, kind: str) -> list[torch.Tensor]:
    made = torch.Generator().manual_seed(seed)
    found = [torch.randn(n, width, generator=made) for width in widths]
    if kind == "heavy":
        return [x.pow(5) for x in found]
    if kind == "tied":
        return [(2 * x).round() for x in found]
    if kind == "constant":
        return [torch.full_like(x, -3) for x in found]
    return [x.to(torch.bfloat16) for x in found] if kind == "bfloat16" else found


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 1000),
    st.lists(st.integers(1, 90), min_size=1, max_size=4),
    st.integers(1, 60),
    st.sampled_from(["normal", "heavy", "tied", "constant", "bfloat16"]),
    st.floats(0.01, 0.999),
)
def test_exact_rule_is_the_sorted_values_at_the_index(seed, widths, n, kind, quantile):
    xs = layers(seed, widths, n, kind)
    every = np.sort(np.concatenate([x.float().abs().numpy().ravel() for x in xs]))
    expected = every[int(quantile * len(every))]
    assert clip_threshold(xs, n, Clamp("exact", quantile)) == expected
    assert clip_threshold([x.__getitem__ for x in xs], n, Clamp("exact", quantile)) == expected


@pytest.mark.parametrize("kind", ["normal", "heavy", "tied", "bfloat16"])
def test_exact_rule_over_many_pieces(kind):
    xs = layers(1, [700, 900], 512, kind)
    every = torch.cat([x.float().abs().flatten() for x in xs]).sort().values
    for quantile in (0.5, 0.95, 0.9999):
        assert clip_threshold(xs, 512, Clamp("exact", quantile)) == every[int(quantile * len(every))]


def test_a_sample_that_misleads_costs_time_and_not_exactness():
    x = torch.arange(200_000, dtype=torch.float32)
    x[::997] = 0  # the strided sample sees nothing but zeros
    expected = x.sort().values[150_000].item()
    assert _within(lambda: [x], 150_000, 0.0, 0.0) is None
    assert order_statistic(lambda: [x], lambda count: 150_000) == expected


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 1000),
    st.lists(st.integers(1, 40), min_size=1, max_size=3),
    st.integers(1, 50),
    st.floats(0.01, 0.99),
)
def test_approximate_rule_is_the_mean_of_the_samples_quantiles(seed, widths, n, quantile):
    xs = layers(seed, widths, n, "normal")
    expected = np.quantile(
        np.concatenate([np.abs(x.numpy()) for x in xs], axis=1).astype(np.float64), quantile, axis=1
    ).mean()
    assert clip_threshold(xs, n, Clamp("approximate", quantile)) == pytest.approx(expected, rel=1e-5)


def test_the_two_rules_differ_and_none_clips_nothing():
    xs = layers(0, [30, 60], 40, "heavy")
    exact, approximate = (clip_threshold(xs, 40, Clamp(rule)) for rule in ("exact", "approximate"))
    assert exact != approximate
    assert clip_threshold(xs, 40, NONE) is None
    assert clip(xs[0], None) is xs[0]
    cut = clip(xs[0], exact)
    assert cut.abs().max() == exact
    assert torch.equal(cut[xs[0].abs() <= exact], xs[0][xs[0].abs() <= exact])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("rule", ["exact", "approximate"])
def test_values_that_are_not_finite_are_refused(value, rule):
    x = torch.randn(30, 50)
    x[11, 3] = value
    with pytest.raises(FeatureError, match="not finite"):
        clip_threshold([torch.randn(30, 20), x], 30, Clamp(rule, 0.95))
