"""CKNNA, bounded and as released: the released scores, the formulas in float64, limits in k, null moments, refusals."""

from __future__ import annotations

import itertools
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from platorep.core.errors import FeatureError, SpecError
from platorep.metrics import centred, cknna, masked, reference
from platorep.metrics.base import Geometry
from platorep.metrics.cknna import CKNNA, CKNNAPRH
from platorep.metrics.reference import kernels
from platorep.metrics.registry import parse
from tests.metrics.conditions import check_declared, layers, normal, numpy, related, score, score_all
from tests.metrics.golden import cases, golden


ALL = [kind(k=5, similarity=similarity) for kind in (CKNNA, CKNNAPRH) for similarity in ("cosine", "euclidean")]
each = pytest.mark.parametrize("metric", ALL, ids=lambda m: m.id)


@cases
@pytest.mark.parametrize("k", [5, 10])
@pytest.mark.filterwarnings("ignore:cknna_prh with k")
def test_the_released_variant_equals_the_released_scores(name, rule, k):
    g = golden(name, rule)
    ours = score_all(CKNNAPRH(k=k), g.xs, g.ys)
    torch.testing.assert_close(ours, torch.from_numpy(g.scores[f"cknna@k={k}"]), atol=1e-6, rtol=0)
    assert (score_all(CKNNA(k=k), g.xs, g.ys) - ours).abs().max() > 1e-3  # masking before centring is another score


@each
@pytest.mark.filterwarnings("ignore:cknna_prh with k")
@settings(max_examples=25, deadline=None)
@given(pair=layers(least=7, narrowest=3), data=st.data())
def test_fast_equals_reference(metric, pair, data):
    """Up to k = n - 1. Rows that tie are told apart by rounding alone, here and there: both sides have none twice."""
    x, y = (z + 1e-2 * normal(8, *z.shape) for z in pair)
    metric = type(metric)(k=data.draw(st.integers(3, len(x) - 1)), similarity=metric.similarity)
    slow = reference.cknna if type(metric) is CKNNA else reference.cknna_prh
    if slow is reference.cknna_prh and min(released_own(z, metric) for z in (x, y)) <= 0:
        with pytest.raises(FeatureError, match="unbiased HSIC with itself is .* so that cknna_prh"):
            score(metric, x, y)
    else:
        expected = slow(numpy(x), numpy(y), k=metric.k, similarity=metric.similarity)
        assert score(metric, x, y) == pytest.approx(expected, abs=1e-5)


def released_own(x: torch.Tensor, metric: CKNNAPRH) -> float:
    masked = kernels.kernel_matrix(numpy(x), similarity=metric.similarity) * kernels.neighbour_mask(
        numpy(x), metric.k, metric.similarity
    )
    return kernels.hsic_unbiased(masked, masked)


@pytest.mark.parametrize("kind", [CKNNA, CKNNAPRH])
@pytest.mark.parametrize("k", [2, 20, 199])
@pytest.mark.filterwarnings("ignore:cknna_prh with k")
def test_sparse_and_dense_products_agree(k, kind, monkeypatch):
    xs, ys = zip(*[related(seed, n=200) for seed in range(3)], strict=True)
    scores = []
    for dense in (0, 10**9):
        monkeypatch.setattr(cknna, "_DENSE" if kind is CKNNA else "_WHOLE", dense)
        scores.append(score_all(kind(k=k), xs, ys[:2]))
        for module in (cknna, masked):  # two layers a time, where it is tables
            monkeypatch.setattr(module, "TABLE", 2 * 200**2)
        scores.append(score_all(kind(k=k), xs, ys[:2]))
    for other in scores[1:]:
        torch.testing.assert_close(scores[0], other, atol=1e-6, rtol=0)


@pytest.mark.parametrize("k", [1, 4, 29])
def test_mutual_neighbours_by_table_are_those_by_search(k, monkeypatch):
    columns = Geometry(related(5, n=30)[0]).neighbours(k).sort(dim=1).values
    expected = [[i in columns[j].tolist() for j in row] for i, row in enumerate(columns.tolist())]
    for dense in (0, 10**9):
        monkeypatch.setattr(cknna, "_DENSE", dense)
        assert cknna._mutual(columns).tolist() == expected


@each
def test_the_score_does_not_depend_on_the_row_blocks(metric, monkeypatch):
    (x, y), (z, _) = related(1, n=101), related(2, n=101)
    whole = score_all(metric, [x, z], [y])
    for module in (cknna, masked):
        monkeypatch.setattr(module, "TABLE", 7 * 101)
    torch.testing.assert_close(score_all(metric, [x, z], [y]), whole, atol=1e-6, rtol=0)


def test_from_features_equals_from_the_matrix(monkeypatch):
    x, y = related(1, n=300)
    before = score(CKNNA(), x, y)
    monkeypatch.setattr(centred, "GRAM_ROWS", 100)
    assert score(CKNNA(), x, y) == pytest.approx(before, abs=1e-6)


def test_with_all_neighbours_it_is_the_cosine_of_the_centred_kernels_off_the_diagonal():
    x, y = related(4, n=30)
    h = torch.eye(30, dtype=torch.float64) - 1 / 30
    k, m = (h @ (z @ z.T) @ h for z in (torch.nn.functional.normalize(w.double(), dim=1) for w in (x, y)))
    off = ~torch.eye(30, dtype=torch.bool)
    assert score(CKNNA(k=29), x, y) == pytest.approx(torch.cosine_similarity(k[off], m[off], dim=0).item(), abs=1e-6)


def test_bounded_at_every_k_where_the_released_variant_passes_one():
    x, y = (z + 5 for z in related(2, n=60, width_x=20, width_y=25))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="cknna_prh with k")
        pairs = [(score(CKNNA(k=k), x, y), score(CKNNAPRH(k=k), x, y)) for k in range(3, 60, 4)]
    assert all(abs(bounded) <= 1 + 1e-6 for bounded, _ in pairs)
    assert max(released for _, released in pairs) > 1.01


@pytest.mark.parametrize("k", [1, 2, 4])
def test_null_moments_equal_those_of_all_permutations(k):
    n, metric = 5, CKNNA(k=k)
    xs, ys = [normal(1, n, 4), normal(2, n, 9) + 1], [normal(3, n, 5), normal(4, n, 3)]
    orders = list(itertools.permutations(range(n)))
    every = score_all(metric, xs, [y[list(order)] for order in orders for y in ys]).view(len(xs), len(orders), len(ys))
    null = metric.null(*([metric.prepare(Geometry(z)) for z in side] for side in (xs, ys)))
    torch.testing.assert_close(every.mean(1), null.mean, atol=1e-6, rtol=0)
    torch.testing.assert_close(every.std(1, correction=0), null.sd, atol=1e-6, rtol=0)


@each
def test_declared_properties_hold_and_undeclared_ones_do_not(metric):
    check_declared(metric, scale=0.02)  # small enough for the released variant's constant to matter


@each
def test_a_layer_with_itself_scores_one(metric):
    x, _ = related(3, n=60)
    assert score(metric, x, x) == pytest.approx(
        1, abs=1e-3 if metric.name == "cknna_prh" else 1e-6
    )  # 1e-6 in its denominator


def test_large_k_warns_for_the_released_variant_alone():
    with pytest.warns(UserWarning, match=r"k = 11 of 100 samples: above k = n / 10"):
        CKNNAPRH(k=11).check(100)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        CKNNAPRH(k=10).check(100)
        CKNNA(k=11).check(100)


@each
def test_more_neighbours_than_others_are_refused(metric):
    with pytest.raises(FeatureError, match="k = 5 neighbours of 5 samples: k must be at least 1 and at most n - 1 = 4"):
        metric.prepare(Geometry(normal(0, 5, 3), metric.similarity))


@each
def test_layers_of_different_samples_are_refused(metric):
    with pytest.raises(FeatureError, match=r"different numbers of samples .* \[60, 61\]"):
        score(metric, normal(0, 60, 5), normal(0, 61, 5))


def test_too_small_k_is_refused():
    with pytest.raises(SpecError, match="cknna: k is 0; expected at least 1"):
        CKNNA(k=0)
    with pytest.raises(SpecError, match="cknna_prh: k is 1; expected at least 2"):
        CKNNAPRH(k=1)


def test_samples_that_are_all_equal_are_refused():
    with pytest.raises(FeatureError, match="all samples have the same features"):
        CKNNA(k=3).prepare(Geometry(torch.full((8, 5), 0.3)))


@each
def test_the_id_names_the_same_metric(metric):
    assert parse(metric.id) == metric
