"""RSA and distance correlation: the formulas in float64, exact moments under chance, invariances, refusals."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from platorep.core.errors import FeatureError, SpecError
from platorep.metrics import reference
from platorep.metrics.base import Geometry
from platorep.metrics.distances import RSA, DistanceCorrelation
from platorep.metrics.reference import kernels
from platorep.metrics.registry import parse
from tests.metrics.conditions import check_declared, layers, normal, numpy, related, score, score_all


ALL = [
    metric
    for similarity in ("cosine", "euclidean")
    for metric in (
        RSA(correlation="pearson", similarity=similarity),
        RSA(correlation="spearman", similarity=similarity),
        DistanceCorrelation(estimator="unbiased", similarity=similarity),
        DistanceCorrelation(estimator="biased", similarity=similarity),
    )
]
each = pytest.mark.parametrize("metric", ALL, ids=lambda m: m.id)


def slow(metric, x: torch.Tensor, y: torch.Tensor) -> float:
    if metric.name == "rsa":
        return reference.rsa(numpy(x), numpy(y), correlation=metric.correlation, similarity=metric.similarity)
    return reference.distance_correlation(numpy(x), numpy(y), estimator=metric.estimator, similarity=metric.similarity)


def told_apart(x: torch.Tensor, similarity: str) -> bool:
    """Whether no two distances are so near each other that float32 may exchange them."""
    squared = kernels.squared_distances(kernels.rows(numpy(x), similarity))
    return np.diff(np.sort(squared[np.triu_indices(len(x), 1)])).min() > 1e-6 * squared.max()


@each
@settings(max_examples=20, deadline=None)
@given(pair=layers(least=5, narrowest=2))
def test_fast_equals_reference(metric, pair):
    x, y = pair
    if metric.id.startswith(
        "rsa(correlation=spearman"
    ):  # equal distances are told apart by rounding: no row twice, see below
        x, y = (z + 1e-2 * normal(8, *z.shape) for z in (x, y))
        assume(all(told_apart(z, metric.similarity) for z in (x, y)))
    # A duplicate's distance is rounding's root, 3e-4, where it should be 0: a few parts in 10^4 of one of few pairs.
    assert score(metric, x, y) == pytest.approx(slow(metric, x, y), abs=3e-4)


@each
def test_fast_equals_reference_to_five_digits_without_duplicates(metric):
    x, y = related(1, n=60)
    assert score(metric, x, y) == pytest.approx(slow(metric, x, y), abs=1e-5)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(5, 30))
def test_tied_distances_share_their_mean_rank(seed, n):
    """Whole-numbered features have exact distances, most of them tied."""
    draw = torch.Generator().manual_seed(seed)
    x, y = (torch.randint(0, 3, (n, 4), generator=draw).float() for _ in range(2))
    x[0], y[0] = 9.0, 7.0  # not all equal
    metric = RSA(similarity="euclidean")
    assert score(metric, x, y) == pytest.approx(slow(metric, x, y), abs=1e-6)


@pytest.mark.parametrize("metric", [m for m in ALL if m.name == "rsa"], ids=lambda m: m.id)
def test_null_moments_equal_those_of_all_permutations(metric):
    n = 5
    xs, ys = [normal(1, n, 4), normal(2, n, 9) + 1], [normal(3, n, 5), normal(4, n, 3) * torch.tensor([5.0, 1.0, 1.0])]
    orders = list(itertools.permutations(range(n)))
    every = score_all(metric, xs, [y[list(order)] for order in orders for y in ys]).view(len(xs), len(orders), len(ys))
    null = metric.null(*([metric.prepare(Geometry(z, metric.similarity)) for z in side] for side in (xs, ys)))
    torch.testing.assert_close(every.mean(1), null.mean, atol=1e-6, rtol=0)
    torch.testing.assert_close(every.std(1, correction=0), null.sd, atol=1e-6, rtol=0)


def test_no_null_is_claimed_for_the_root():
    state = DistanceCorrelation(estimator="biased").prepare(Geometry(normal(0, 10, 4)))
    assert DistanceCorrelation(estimator="biased").null([state], [state]) is None


def test_distance_correlation_sees_what_rsa_and_cka_of_one_dimension_miss():
    """y = x^2 is uncorrelated with x but depends on it."""
    x = normal(0, 400, 1)
    dependent = score(DistanceCorrelation(similarity="euclidean"), x, x.square())
    independent = score(DistanceCorrelation(similarity="euclidean"), x, normal(1, 400, 1).square())
    assert dependent > 0.1
    assert abs(independent) < 5 * (2 / (400 * 397)) ** 0.5


def test_biased_distance_correlation_is_above_zero_by_chance_and_the_unbiased_one_is_not():
    x, y = normal(0, 100, 300), normal(1, 100, 300)
    assert score(DistanceCorrelation(estimator="biased"), x, y) > 0.5
    assert abs(score(DistanceCorrelation(), x, y)) < 5 * (2 / (100 * 97)) ** 0.5


@pytest.mark.parametrize("estimator", ["unbiased", "biased"])
def test_leaving_blocks_out_equals_scoring_what_is_left(estimator):
    n, metric = 33, DistanceCorrelation(estimator=estimator)
    x, y = related(1, n)
    blocks = torch.randperm(n, generator=torch.Generator().manual_seed(0)).split(7)
    fast = metric.leave_block_out([metric.prepare(Geometry(x))], [metric.prepare(Geometry(y))], blocks)
    for scores, block in zip(fast, blocks, strict=True):
        keep = torch.ones(n, dtype=torch.bool).index_fill(0, block, False)
        assert scores.item() == pytest.approx(score(metric, x[keep], y[keep]), abs=1e-6)
    assert fast.std(0).min() > 1e-3  # the blocks matter


@each
def test_declared_properties_hold_and_undeclared_ones_do_not(metric):
    check_declared(metric)


@each
def test_a_layer_with_itself_scores_one(metric):
    x, _ = related(3)
    assert score(metric, x, x) == pytest.approx(1, abs=1e-6)


@each
def test_samples_that_are_all_equal_are_refused(metric):
    with pytest.raises(FeatureError, match="all samples have the same features"):
        metric.prepare(Geometry(torch.full((8, 5), 0.3), metric.similarity))


@each
def test_samples_all_equally_far_apart_are_refused(metric):
    with pytest.raises(FeatureError, match="all dissimilarities are equal|similarity of every two samples is the same"):
        metric.prepare(Geometry(torch.eye(8), metric.similarity))


@each
def test_too_few_samples_are_refused(metric):
    with pytest.raises(FeatureError, match=f"{metric.name} needs at least 4 samples; got 3"):
        metric.prepare(Geometry(normal(0, 3, 5), metric.similarity))


def test_unknown_parameters_are_refused():
    with pytest.raises(SpecError, match="rsa correlation is 'kendall'; expected 'pearson' or 'spearman'"):
        RSA(correlation="kendall")
    with pytest.raises(SpecError, match="distance_correlation estimator is 'exact'; expected 'unbiased' or 'biased'"):
        DistanceCorrelation(estimator="exact")


@each
def test_the_id_names_the_same_metric(metric):
    assert parse(metric.id) == metric
