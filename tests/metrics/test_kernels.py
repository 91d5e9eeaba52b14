"""CKA: the released scores, the formula in float64, exact moments under chance, invariances, refusals."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import assume, given, settings

from platorep.core.errors import FeatureError, SpecError
from platorep.metrics import centred, reference
from platorep.metrics.base import Geometry
from platorep.metrics.distances import DistanceCorrelation
from platorep.metrics.kernels import CKA
from platorep.metrics.registry import parse
from tests.metrics.conditions import check_declared, layers, normal, numpy, related, score, score_all
from tests.metrics.golden import cases, golden


ALL = [
    CKA(kernel=kernel, hsic=hsic, sigma=sigma, similarity=similarity)
    for kernel, sigma in (("linear", "median"), ("rbf", "median"), ("rbf", 8.0))
    for hsic in ("unbiased", "biased")
    for similarity in ("cosine", "euclidean")
]
each = pytest.mark.parametrize("metric", ALL, ids=lambda m: m.id)


@cases
@pytest.mark.parametrize(
    ("metric", "column"), [(CKA(hsic="biased"), "cka"), (CKA(kernel="rbf", sigma=1.0, hsic="biased"), "cka_rbf_sigma1")]
)
def test_biased_equals_the_released_scores(name, rule, metric, column):
    g = golden(name, rule)
    torch.testing.assert_close(score_all(metric, g.xs, g.ys), torch.from_numpy(g.scores[column]), atol=1e-5, rtol=0)


def released_unbiased(x: torch.Tensor, y: torch.Tensor, stabiliser: float) -> float:
    """Song et al. 2012 Eq. 5 in the order and the precision of the features, as the released code evaluates it."""

    def hsic(k: torch.Tensor, m: torch.Tensor) -> torch.Tensor:
        n = len(k)
        k, m = k.clone().fill_diagonal_(0), m.clone().fill_diagonal_(0)
        return ((k * m.T).sum() + k.sum() * m.sum() / ((n - 1) * (n - 2)) - 2 * (k @ m).sum() / (n - 2)) / (n * (n - 3))

    x, y = (z / torch.linalg.vector_norm(z, dim=1, keepdim=True) for z in (x, y))
    k, m = x @ x.T, y @ y.T
    return (hsic(k, m) / ((hsic(k, k) * hsic(m, m)).sqrt() + stabiliser)).item()


@cases
def test_unbiased_equals_the_released_scores_less_their_stabiliser_and_their_rounding(name, rule):
    """The released code adds 1e-6 to a denominator that may be 6e-4, and cancels in float32: its scores are reproduced
    that way, and ours equal the same formula in float64 without that constant."""
    g = golden(name, rule)
    ours = score_all(CKA(), g.xs, g.ys)
    for (i, x), (j, y) in itertools.product(enumerate(g.xs), enumerate(g.ys)):
        assert released_unbiased(x, y, 1e-6) == pytest.approx(g.scores["unbiased_cka"][i, j], abs=1e-5)
        assert released_unbiased(x.double(), y.double(), 0.0) == pytest.approx(ours[i, j].item(), abs=1e-5)


@each
@settings(max_examples=15, deadline=None)
@given(pair=layers(least=5))
def test_fast_equals_reference(metric, pair):
    x, y = pair
    expected = reference.cka(
        numpy(x), numpy(y), kernel=metric.kernel, hsic=metric.hsic, sigma=metric.sigma, similarity=metric.similarity
    )
    assert score(metric, x, y) == pytest.approx(expected, abs=2e-5)


@pytest.mark.parametrize("hsic", ["unbiased", "biased"])
@pytest.mark.parametrize(("width", "many"), [(3, 1), (60, 4)])
def test_from_features_equals_from_matrices(hsic, width, many, monkeypatch):
    """Many samples: by feature products (narrow) and by matrices made in tiles (wide)."""
    metric = CKA(hsic=hsic)
    xs, ys = zip(*[related(seed, n=700, width_x=width, width_y=width + 2) for seed in range(many)], strict=True)
    from_matrices = score_all(metric, list(xs), list(ys))
    monkeypatch.setattr(centred, "GRAM_ROWS", 100)
    state = metric.prepare(Geometry(xs[0]))
    assert state.upper is None
    assert state.features.shape == xs[0].shape
    torch.testing.assert_close(score_all(metric, list(xs), list(ys)), from_matrices, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    "metric", [CKA(), CKA(hsic="biased"), CKA(kernel="rbf", hsic="biased"), DistanceCorrelation()], ids=lambda m: m.id
)
def test_null_moments_equal_those_of_all_permutations(metric):
    n = 5
    xs, ys = [normal(1, n, 4), normal(2, n, 9) + 1], [normal(3, n, 5), normal(4, n, 3) * torch.tensor([5.0, 1.0, 1.0])]
    orders = list(itertools.permutations(range(n)))
    every = (
        score_all(metric, xs, [y[list(order)] for order in orders for y in ys])
        .view(len(xs), len(orders), len(ys))
        .transpose(0, 1)
    )
    null = metric.null(*([metric.prepare(Geometry(z)) for z in side] for side in (xs, ys)))
    torch.testing.assert_close(every.mean(0), null.mean, atol=1e-6, rtol=0)
    torch.testing.assert_close(every.std(0, correction=0), null.sd, atol=1e-6, rtol=0)


def test_null_of_the_unbiased_score_does_not_depend_on_the_features():
    states = [CKA().prepare(Geometry(z)) for z in (normal(0, 50, 3), normal(1, 50, 400) + 2)]
    null = CKA().null(states, states)
    assert (null.mean == 0).all()
    torch.testing.assert_close(null.sd, torch.full((2, 2), (2 / (50 * 47)) ** 0.5, dtype=torch.float64))


def test_null_mean_of_the_biased_score_grows_with_the_width():
    """About d / (d + n) for independent normal features of width d, where the unbiased score stays at 0."""
    n = 200
    for d in (20, 200, 2000):
        x, y = normal(1, n, d), normal(2, n, d)
        state = [CKA(similarity="euclidean").prepare(Geometry(z, "euclidean")) for z in (x, y)]
        null = CKA(hsic="biased", similarity="euclidean").null(state[:1], state[1:])
        assert null.mean.item() == pytest.approx(d / (d + n), abs=0.02)
        assert abs(score(CKA(hsic="biased", similarity="euclidean"), x, y) - null.mean.item()) < 5 * null.sd.item()
        assert abs(score(CKA(similarity="euclidean"), x, y)) < 5 * (2 / (n * (n - 3))) ** 0.5


@each
def test_declared_properties_hold_and_undeclared_ones_do_not(metric):
    check_declared(metric)


@each
def test_a_layer_with_itself_scores_one(metric):
    x, _ = related(3)
    assert score(metric, x, x) == pytest.approx(1, abs=1e-6)


def test_linear_cka_keeps_its_digits_far_from_the_origin():
    """A common direction thousands of times the variation: a float32 Gram matrix loses it, centred rows do not."""
    x, y = related(5)
    far = x + 3000 * normal(9, x.shape[1])
    expected = reference.cka(numpy(far), numpy(y))
    gram = centred.centre(Geometry(far).gram)
    naive = centred.scores([gram], [CKA().prepare(Geometry(y))], "unbiased").item()
    assert abs(naive - expected) > 1e-3
    assert score(CKA(), far, y) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("rows", [8192, 4], ids=["matrix", "features"])
@pytest.mark.parametrize(
    "metric", [CKA(), CKA(hsic="biased"), CKA(similarity="euclidean"), CKA(kernel="rbf", sigma=1.0)], ids=lambda m: m.id
)
def test_leaving_blocks_out_equals_scoring_what_is_left(metric, rows, monkeypatch):
    monkeypatch.setattr(centred, "GRAM_ROWS", rows)
    n = 33
    (x, y), (z, _) = related(1, n), related(2, n)
    blocks = torch.randperm(n, generator=torch.Generator().manual_seed(0)).split(7)
    fast = metric.leave_block_out(
        *([metric.prepare(Geometry(layer, metric.similarity)) for layer in side] for side in ([x, z], [y])), blocks
    )
    for scores, block in zip(fast, blocks, strict=True):
        keep = torch.ones(n, dtype=torch.bool).index_fill(0, block, False)
        torch.testing.assert_close(scores, score_all(metric, [x[keep], z[keep]], [y[keep]]), atol=1e-6, rtol=0)
    assert fast.std(0).min() > 1e-3  # the blocks matter


def test_too_few_samples_are_refused():
    with pytest.raises(FeatureError, match="cka needs at least 4 samples; got 3"):
        score(CKA(), normal(0, 3, 5), normal(1, 3, 5))


@each
def test_samples_that_are_all_equal_are_refused(metric):
    with pytest.raises(FeatureError, match=r"all samples have the same features"):
        metric.prepare(Geometry(torch.full((8, 5), 0.3), metric.similarity))


def test_samples_all_equally_alike_are_refused():
    with pytest.raises(FeatureError, match="similarity of every two samples is the same"):
        CKA().prepare(Geometry(torch.eye(8)))


def test_a_median_distance_of_zero_is_refused():
    x = torch.cat([torch.ones(8, 3), normal(0, 1, 3)])
    with pytest.raises(FeatureError, match="median distance is 0"):
        CKA(kernel="rbf").prepare(Geometry(x))


def test_layers_of_different_samples_are_refused():
    with pytest.raises(FeatureError, match=r"different numbers of samples .* \[10, 11\]"):
        score(CKA(), normal(0, 10, 5), normal(0, 11, 5))


def test_a_block_that_leaves_too_little_is_refused():
    state = CKA().prepare(Geometry(normal(0, 8, 5)))
    with pytest.raises(FeatureError, match="a block of 5 of 8 samples leaves fewer than 4"):
        CKA().leave_block_out([state], [state], [torch.arange(5)])


@pytest.mark.parametrize("wrong", [{"kernel": "poly"}, {"hsic": "song"}, {"sigma": 0.0}, {"sigma": "mean"}])
def test_unknown_parameters_are_refused(wrong):
    with pytest.raises(SpecError, match=f"cka {next(iter(wrong))} is {next(iter(wrong.values()))!r}; expected"):
        CKA(**wrong)


@each
def test_the_id_names_the_same_metric(metric):
    assert parse(metric.id) == metric


@settings(max_examples=10, deadline=None)
@given(pair=layers(least=5))
def test_the_unbiased_score_never_leaves_its_bounds(pair):
    x, y = pair
    assume(x.shape[1] > 1)
    assert abs(score(CKA(), x, y)) <= 1 + 1e-6
