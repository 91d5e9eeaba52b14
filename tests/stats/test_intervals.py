from __future__ import annotations

import numpy as np
import pytest
import torch

from platorep.core.errors import FeatureError, SpecError
from platorep.metrics import registry
from platorep.metrics.base import Geometry
from platorep.stats.intervals import blocks, jackknife, linearised, mutual_knn_leave_out, overlap_terms, query_bootstrap

from .worlds import layers


K = 4


def pair(seed: int, n: int, noise: float = 0.7):
    rng = np.random.default_rng(seed)
    latent = rng.normal(size=(n, 4))
    return layers(rng, latent, 2, noise)


def score(x: Geometry, y: Geometry, k: int = K) -> float:
    a, b = x.neighbours(k).tolist(), y.neighbours(k).tolist()
    return sum(len(set(p) & set(q)) for p, q in zip(a, b, strict=True)) / (len(a) * k)


@pytest.mark.parametrize("n", [K + 3, 30])
def test_leave_one_out_equals_searching_again_without_the_sample(n):
    x, y = pair(0, n)
    fast = mutual_knn_leave_out(x.neighbours(K + 1), y.neighbours(K + 1), K)
    kept = [[i for i in range(n) if i != j] for j in range(n)]
    slow = [score(Geometry(x.x[rows]), Geometry(y.x[rows])) for rows in kept]
    np.testing.assert_allclose(fast, slow, atol=1e-12)
    assert np.ptp(fast) > 0


def test_leave_one_out_needs_the_next_neighbour():
    x, y = pair(0, 20)
    with pytest.raises(FeatureError, match=r"k \+ 1 = 5"):
        mutual_knn_leave_out(x.neighbours(K), y.neighbours(K), K)
    with pytest.raises(FeatureError, match="same samples"):
        overlap_terms(x.neighbours(K + 1), pair(0, 21)[1].neighbours(K + 1), K)


def test_linearised_score_is_the_score_and_does_not_depend_on_the_side():
    x, y = pair(1, 50)
    terms = overlap_terms(x.neighbours(K + 1), y.neighbours(K + 1), K)
    assert terms.score == pytest.approx(score(x, y))
    swapped = linearised(overlap_terms(y.neighbours(K + 1), x.neighbours(K + 1), K))
    assert linearised(terms).standard_error == pytest.approx(swapped.standard_error)


def test_linearised_variance_equals_a_dense_evaluation_of_the_formula():
    x, y = pair(2, 40)
    n, a, b = 40, np.zeros((40, 40)), np.zeros((40, 40))
    nx, ny = x.neighbours(K + 1).numpy(), y.neighbours(K + 1).numpy()
    for i in range(n):
        a[i, nx[i, :K]] = b[i, ny[i, :K]] = 1
    p_x = np.mean([[b[i, nx[i, r]] for r in (K - 1, K)] for i in range(n)])
    p_y = np.mean([[a[i, ny[i, r]] for r in (K - 1, K)] for i in range(n)])
    h = a * b - p_x * a - p_y * b
    s = h + h.T
    expected = np.var(s.sum(1) / K, ddof=1) / n - sum(s[i, j] ** 2 for i in range(n) for j in range(i)) / (n * K) ** 2
    assert linearised(overlap_terms(torch.from_numpy(nx), torch.from_numpy(ny), K)).standard_error == pytest.approx(
        expected**0.5
    )


def test_standard_errors_against_the_spread_over_fresh_samples():
    """The linearised error equals the spread over draws of all samples; query bootstrap: smaller, jackknife: larger."""
    rng = np.random.default_rng(0)
    maps = [rng.normal(size=(4, 12)) for _ in range(2)]
    scores, errors = [], []
    for _ in range(60):
        latent = rng.normal(size=(150, 4))
        x, y = (Geometry(torch.from_numpy(latent @ m + 1.5 * rng.normal(size=(150, 12))).float()) for m in maps)
        graph_x, graph_y = x.neighbours(K + 1), y.neighbours(K + 1)
        terms = overlap_terms(graph_x, graph_y, K)
        found = (
            query_bootstrap(terms, resamples=200),
            linearised(terms),
            jackknife(terms.score, mutual_knn_leave_out(graph_x, graph_y, K)),
        )
        scores.append(terms.score)
        errors.append([interval.standard_error for interval in found])
    query, linear, jack = np.mean(errors, axis=0) / np.std(scores)
    assert linear == pytest.approx(1, abs=0.25)
    assert query < 0.95 * linear
    assert jack > 1.2 * linear


def test_query_bootstrap_is_the_error_of_a_mean_with_reciprocal_pairs_and_says_that_it_is_conditional():
    x, y = pair(4, 300)
    terms = overlap_terms(x.neighbours(K + 1), y.neighbours(K + 1), K)
    interval = query_bootstrap(terms, seed=1)
    assert interval.conditional
    h = terms.terms.toarray()
    overlaps = np.array(
        [len(set(p) & set(q)) / K for p, q in zip(x.neighbours(K).tolist(), y.neighbours(K).tolist(), strict=True)]
    )
    expected = overlaps.var() / 300 + (h * h.T).sum() / (300 * K) ** 2
    assert interval.standard_error == pytest.approx(expected**0.5, rel=0.06)
    assert interval.standard_error > 1.05 * overlaps.std() / 300**0.5
    assert interval.low < terms.score < interval.high
    assert interval == query_bootstrap(terms, seed=1)
    assert interval != query_bootstrap(terms, seed=2)


def test_a_model_differs_from_itself_by_nothing_and_pairing_narrows_the_interval():
    rng = np.random.default_rng(3)
    latent = rng.normal(size=(200, 4))
    x, y, other = layers(rng, latent, 3, 0.4)
    z = Geometry(y.x + 0.05 * torch.randn(y.x.shape, generator=torch.Generator().manual_seed(0)))  # almost y
    graphs = {name: layer.neighbours(K + 1) for name, layer in {"x": x, "y": y, "z": z, "o": other}.items()}
    terms = {name: overlap_terms(graphs["x"], graphs[name], K) for name in "yzo"}
    same = linearised(terms["y"], minus=terms["y"])
    assert (same.low, same.high) == (0, 0)
    near, alone = linearised(terms["y"], minus=terms["z"]).standard_error, linearised(terms["y"]).standard_error
    assert near < alone
    far = linearised(terms["y"], minus=terms["o"]).standard_error
    assert near < far
    assert query_bootstrap(terms["y"], minus=terms["y"]).high == 0
    with pytest.raises(FeatureError, match="one n and one k"):
        linearised(terms["y"], minus=overlap_terms(graphs["x"], graphs["y"], K - 1))


def test_jackknife_of_a_mean_is_the_textbook_error():
    values = np.random.default_rng(0).normal(size=60)
    without = (values.sum() - values) / 59
    interval = jackknife(values.mean(), without)
    assert interval.standard_error == pytest.approx(values.std(ddof=1) / 60**0.5)
    assert not interval.conditional
    with pytest.raises(FeatureError, match="at least 2"):
        jackknife(0.5, np.array([0.5]))
    with pytest.raises(SpecError, match="level"):
        jackknife(0.5, without, level=95)


def test_block_jackknife_of_cka_finds_the_spread_over_fresh_samples():
    metric = registry.build("cka")
    rng = np.random.default_rng(1)
    maps = [rng.normal(size=(4, 12)) for _ in range(2)]
    found = []
    for seed in range(50):
        latent = rng.normal(size=(120, 4))
        x, y = (
            [metric.prepare(Geometry(torch.from_numpy(latent @ m + rng.normal(size=(120, 12))).float()))] for m in maps
        )
        without = metric.leave_block_out(x, y, blocks(120, 40, seed))[:, 0, 0].numpy()
        interval = jackknife(metric.score_all(x, y).item(), without)
        found.append((interval.estimate, interval.standard_error))
    estimates, errors = np.array(found).T
    assert errors.mean() == pytest.approx(estimates.std(), rel=0.3)


def test_blocks_partition_the_samples_evenly_and_by_seed():
    parts = blocks(103, 10, seed=1)
    assert sorted(torch.cat(parts).tolist()) == list(range(103))
    assert {len(p) for p in parts} == {10, 11}
    assert not torch.equal(parts[0], blocks(103, 10, seed=2)[0])
    with pytest.raises(SpecError, match="at most n = 5"):
        blocks(5, 6)
