"""Information imbalance: its formula in float64, its exact null, known imbalances, blocks left out, refusals."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from platorep.core.errors import FeatureError, SpecError
from platorep.metrics import reference
from platorep.metrics.base import Geometry
from platorep.metrics.imbalance import InformationImbalance
from platorep.metrics.reference.imbalance import imbalance
from tests.metrics.conditions import check_declared, normal, numpy, related, score, score_all


ALL = [
    InformationImbalance(k=k, direction=direction, similarity=similarity)
    for k, direction, similarity in itertools.product((1, 4), ("xy", "yx"), ("cosine", "euclidean"))
]
each = pytest.mark.parametrize("metric", ALL, ids=lambda m: m.id)


@each
def test_fast_equals_reference(metric):
    x, y = related(1, n=60)
    options = {"k": metric.k, "similarity": metric.similarity}
    expected = reference.information_imbalance(numpy(x), numpy(y), direction=metric.direction, **options)
    assert score(metric, x, y) == pytest.approx(expected, abs=1e-12)
    sides = (x, y) if metric.direction == "xy" else (y, x)
    delta = imbalance(*map(numpy, sides), **options)
    assert metric.imbalance(score(metric, x, y), 60) == pytest.approx(delta, abs=1e-12)


@each
def test_null_moments_equal_those_of_all_permutations(metric):
    n = 6
    xs, ys = [normal(1, n, 4), normal(2, n, 9) + 1], [normal(3, n, 5), normal(4, n, 3)]
    orders = list(itertools.permutations(range(n)))
    every = score_all(metric, xs, [y[list(order)] for order in orders for y in ys]).view(len(xs), len(orders), len(ys))
    null = metric.null(*([metric.prepare(Geometry(z, metric.similarity)) for z in side] for side in (xs, ys)))
    torch.testing.assert_close(every.mean(1), null.mean, atol=1e-12, rtol=0)
    torch.testing.assert_close(every.std(1, correction=0), null.sd, atol=1e-12, rtol=0)


@each
def test_leaving_blocks_out_equals_scoring_what_is_left(metric):
    n = 33
    x, y = related(1, n)
    blocks = torch.randperm(n, generator=torch.Generator().manual_seed(0)).split(7)
    states = ([metric.prepare(Geometry(z, metric.similarity))] for z in (x, y))
    fast = metric.leave_block_out(*states, blocks)
    for left, block in zip(fast, blocks, strict=True):
        keep = torch.ones(n, dtype=torch.bool).index_fill(0, block, False)
        assert left.item() == pytest.approx(score(metric, x[keep], y[keep]), abs=1e-12)
    assert fast.std(0).min() > 1e-3  # the blocks matter


def test_samples_contribute_their_mean():
    metric = InformationImbalance(k=3, direction="yx")
    x, y = (metric.prepare(Geometry(z)) for z in related(2))
    assert metric.per_sample(x, y).mean().item() == pytest.approx(metric.score(x, y), abs=1e-12)


@each
def test_declared_properties_hold_and_undeclared_ones_do_not(metric):
    check_declared(metric)


def test_more_features_predict_fewer_and_not_the_reverse():
    """The planes of Glielmo et al.: three Gaussian features hold two of them, two do not hold three."""
    x = normal(0, 1000, 3)
    full, part = (Geometry(z, "euclidean") for z in (x, x[:, :2]))
    there, back = (
        metric.imbalance(metric.score(*map(metric.prepare, (full, part))), 1000)
        for metric in (InformationImbalance(direction=d, similarity="euclidean") for d in ("xy", "yx"))
    )
    assert there < 0.05
    assert back > 2 * there


def test_a_folded_line_predicts_in_one_direction():
    """x uniform on [-1, 1], y = |x|: Delta(x -> y) is 0 and Delta(y -> x) = 2/3, both in the limit.

    Half of y's nearest neighbours are on x's other side, 2|x| away. Of all samples (|x| + min(|x|, (1 - |x|) / 2)) are
    nearer than that, 2/3 in the mean over x.
    """
    x = torch.rand(1000, 1, generator=torch.Generator().manual_seed(1)) * 2 - 1
    metrics = [InformationImbalance(direction=d, similarity="euclidean") for d in ("xy", "yx")]
    a, b = (metrics[0].prepare(Geometry(side, "euclidean")) for side in (x, x.abs()))
    there, back = (metric.imbalance(metric.score(a, b), 1000) for metric in metrics)
    assert there < 0.01
    assert back == pytest.approx(2 / 3, abs=0.05)  # 2.5 standard errors of 1,000 samples


def test_unrelated_layers_are_at_chance_within_the_exact_spread():
    metric = InformationImbalance(k=2)
    a, b = (metric.prepare(Geometry(normal(seed, 500, 5))) for seed in (0, 1))
    null = metric.null([a], [b])
    assert abs(metric.score(a, b)) < 4 * null.sd.item()


def test_what_it_does_not_take_is_refused():
    with pytest.raises(SpecError, match="direction is 'both'; expected 'xy' or 'yx'"):
        InformationImbalance(direction="both")
    with pytest.raises(FeatureError, match="k = 3 of 4 samples; expected at most n - 2 = 2"):
        InformationImbalance(k=3).prepare(Geometry(normal(0, 4, 3)))


def test_ranks_of_ties_are_drawn_apart_for_two_layers():
    codes = torch.eye(5).repeat(40, 1)
    metric = InformationImbalance()
    rng = np.random.default_rng(0)
    others = codes[torch.from_numpy(rng.permutation(200))]
    a, b = (metric.prepare(Geometry(z, seed=seed)) for seed, z in enumerate((codes, others)))
    assert metric.tied(a) == 1
    assert abs(metric.score(a, b)) < 4 * metric.null([a], [b]).sd.item()
