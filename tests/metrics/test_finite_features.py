"""CKA for finite features: its formula in float64, no bias from few features or samples, exact null, refusals."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from platorep.core.errors import FeatureError
from platorep.metrics import centred, reference
from platorep.metrics.base import Geometry
from platorep.metrics.finite_features import FiniteFeatureCKA
from platorep.metrics.kernels import CKA
from tests.metrics.conditions import check_declared, normal, numpy, related, score, score_all


ALL = [FiniteFeatureCKA(similarity=similarity) for similarity in ("cosine", "euclidean")]
each = pytest.mark.parametrize("metric", ALL, ids=lambda m: m.id)


@each
def test_fast_equals_reference(metric):
    x, y = related(1, n=25)
    expected = reference.cka_finite(numpy(x), numpy(y), similarity=metric.similarity)
    assert score(metric, x, y) == pytest.approx(expected, abs=2e-6)


@each
def test_layers_kept_as_features_score_the_same(metric, monkeypatch):
    x, y = related(2, n=60)
    whole = score(metric, x, y)
    monkeypatch.setattr(centred, "GRAM_ROWS", 50)
    assert score(metric, x, y) == pytest.approx(whole, abs=1e-5)


def test_few_features_do_not_bias_it_and_bias_cka():
    """Two populations of features that read the same 3 latents with noise: CKA of all features is known, 1.

    The noise of infinitely many features adds a diagonal to the kernel, which the unbiased estimator leaves out.
    """
    rng = np.random.default_rng(0)
    scores: dict[str, list[float]] = {"finite": [], "cka": []}
    for _ in range(60):
        latent = rng.normal(size=(100, 3))
        sides = [latent @ rng.normal(size=(3, 30)) + rng.normal(size=(100, 30)) for _ in "xy"]
        x, y = (torch.from_numpy(side).float() for side in sides)
        scores["finite"].append(score(FiniteFeatureCKA(similarity="euclidean"), x, y))
        scores["cka"].append(score(CKA(similarity="euclidean"), x, y))
    assert np.mean(scores["finite"]) == pytest.approx(1, abs=0.04)  # a ratio of unbiased terms keeps a small bias
    assert np.mean(scores["cka"]) == pytest.approx(0.84, abs=0.04)


@each
def test_null_moments_equal_those_of_all_permutations(metric):
    n = 5
    x, y = related(1, n)
    orders = list(itertools.permutations(range(n)))
    every = score_all(metric, [x], [y[list(order)] for order in orders])
    null = metric.null(*([metric.prepare(Geometry(z, metric.similarity))] for z in (x, y)))
    assert every.mean().item() == pytest.approx(0, abs=1e-5)
    assert every.std(correction=0).item() == pytest.approx(null.sd.item(), rel=1e-4)


@each
@pytest.mark.parametrize("width", [8, 60])
def test_leaving_blocks_out_equals_scoring_what_is_left(metric, width):
    n = 33
    x, y = related(1, n, width_y=width)
    blocks = torch.randperm(n, generator=torch.Generator().manual_seed(0)).split(7)
    states = ([metric.prepare(Geometry(z, metric.similarity))] for z in (x, y))
    fast = metric.leave_block_out(*states, blocks)
    for left, block in zip(fast, blocks, strict=True):
        keep = torch.ones(n, dtype=torch.bool).index_fill(0, block, False)
        assert left.item() == pytest.approx(score(metric, x[keep], y[keep]), abs=1e-5)


@each
def test_declared_properties_hold_and_undeclared_ones_do_not(metric):
    check_declared(metric)


def test_what_it_cannot_correct_is_refused():
    with pytest.raises(FeatureError, match="needs at least 2 features, to compare different ones; got 1"):
        FiniteFeatureCKA(similarity="euclidean").prepare(Geometry(normal(0, 20, 1), "euclidean"))
    orthogonal = torch.linalg.qr(normal(0, 40, 30) - normal(0, 40, 30).mean(0)).Q
    with pytest.raises(FeatureError, match="self-term is not above 0"):
        FiniteFeatureCKA(similarity="euclidean").prepare(Geometry(orthogonal, "euclidean"))
