"""The score of a pair of layers has the same bytes whatever other pairs are scored in the same call."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from platorep.metrics import centred, exact, masked
from platorep.metrics.base import Geometry
from platorep.metrics.registry import METRICS, build
from platorep.stats.relabel import relabel


pytestmark = pytest.mark.filterwarnings("ignore:cknna_prh with k")  # its formula holds for a large k, too

VARIANTS = [(name, {}) for name in METRICS] + [
    ("cka", {"hsic": "biased"}),
    ("cka", {"kernel": "rbf"}),
    ("distance_correlation", {"estimator": "biased"}),
    ("rsa", {"correlation": "pearson"}),
    ("cknna", {"k": 20}),  # as tables
    ("cknna_prh", {"k": 20}),
    ("cycle_knn", {"direction": "yx"}),
    ("information_imbalance", {"direction": "yx"}),
]
N = 110


def made(name: str, params: dict) -> object:
    metric = build(name, **params)
    if metric.neighbourhood and "k" not in params:
        metric = build(name, **params, k=6)
    return build(name, components=4) if name in ("svcca", "pwcca") else metric


def layers(seed: int, count: int) -> list[torch.Tensor]:
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=(N, 5))
    return [
        torch.from_numpy(shared @ rng.normal(size=(5, d)) + rng.normal(size=(N, d))).float()
        for d in rng.integers(6, 200, count)
    ]


@pytest.fixture(scope="module", params=VARIANTS, ids=lambda variant: f"{variant[0]}{variant[1] or ''}")
def prepared(request):
    metric = made(*request.param)
    return metric, *([metric.prepare(Geometry(z)) for z in layers(seed, 7)] for seed in (0, 1))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_part_of_the_layers_gives_the_bytes_of_the_whole(prepared, data):
    metric, xs, ys = prepared
    whole, null = metric.score_all(xs, ys), metric.null(xs, ys)
    rows, columns = (
        data.draw(st.permutations(range(7)).flatmap(lambda p: st.integers(1, 7).map(lambda k: p[:k]))) for _ in "xy"
    )
    some = [xs[i] for i in rows], [ys[j] for j in columns]
    at = np.ix_(rows, columns)
    assert metric.score_all(*some).numpy().tobytes() == np.ascontiguousarray(whole.numpy()[at]).tobytes()
    if null is not None:
        for part, all_of_it in zip(metric.null(*some), null, strict=True):
            if part is not None:
                assert part.numpy().tobytes() == np.ascontiguousarray(all_of_it.numpy()[at]).tobytes()


def test_the_order_of_the_sums_changes_no_byte(prepared, monkeypatch):
    """Other tiles, other threads: exact sums have no order. Only what adds by halves keeps its tiles."""
    metric, xs, ys = prepared
    if metric.name == "procrustes":
        pytest.skip("singular values of one product, which threads may add up otherwise: no sum of this kind")
    before, threads = metric.score_all(xs, ys), torch.get_num_threads()
    monkeypatch.setattr(exact, "TILES", {"cpu": 97})
    monkeypatch.setattr(masked, "TABLE", masked.TABLE if metric.name == "cknna_prh" else 3 * N)
    try:
        torch.set_num_threads(3)
        assert metric.score_all(xs, ys).numpy().tobytes() == before.numpy().tobytes()
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("name", ["cka", "distance_correlation", "rsa"])
def test_a_relabelled_layer_scores_with_the_bytes_of_the_layer_where_both_sides_move(name):
    metric = build(name)
    xs, ys = ([metric.prepare(Geometry(z)) for z in layers(seed, 3)] for seed in (0, 1))
    order = torch.randperm(N, generator=torch.Generator().manual_seed(0))
    moved = metric.score_all(relabel(xs, order), relabel(ys, order))
    assert moved.numpy().tobytes() == metric.score_all(xs, ys).numpy().tobytes()


@pytest.mark.parametrize("hsic", ["biased", "unbiased"])
@pytest.mark.parametrize("side", [16, 512])
def test_kernels_kept_as_features_have_the_same_bytes_in_any_company(hsic, side, monkeypatch):
    monkeypatch.setattr(centred, "GRAM_ROWS", 50)
    monkeypatch.setattr(centred, "_SIDE", side)
    metric = build("cka", hsic=hsic)
    xs, ys = ([metric.prepare(Geometry(z)) for z in layers(seed, 6)] for seed in (0, 1))
    assert xs[0].features is not None
    whole = metric.score_all(xs, ys)
    for i, x in enumerate(xs):
        for j, y in enumerate(ys):
            assert metric.score(x, y) == whole[i, j].item()
    for i, j in ((2, 3), (1, 5)):
        assert torch.equal(metric.score_all(xs[i:], ys[:j]), whole[i:, :j])
    monkeypatch.setattr(centred, "GRAM_ROWS", 8192)
    dense = metric.score_all(*([metric.prepare(Geometry(z)) for z in layers(seed, 6)] for seed in (0, 1)))
    assert (whole - dense).abs().max() < 2e-6


def test_a_layer_agrees_with_itself_in_full():
    for name, params in VARIANTS:
        metric = made(name, params)
        if name in ("cycle_knn", "cknna_prh", "cka_finite"):
            continue  # a sample need not be a neighbour of its neighbours; 1e-6 in the denominator
        state = metric.prepare(Geometry(layers(0, 1)[0]))
        assert metric.score(state, state) == pytest.approx(
            metric.bounds[1], abs=1e-6 if name == "procrustes" else 1e-12
        )


def test_vectors_on_the_grid_have_their_products_to_the_last_bit():
    rng = np.random.default_rng(0)
    x, y = (rng.normal(size=5000) for _ in range(2))
    a, b = (exact.on_grid(torch.from_numpy(v / np.linalg.norm(v)).float()) for v in (x, y))
    whole = sum(
        int(p) * int(q) for p, q in zip((a.double() * 2**26).tolist(), (b.double() * 2**26).tolist(), strict=True)
    )
    assert exact.products([a], [b]).item() == whole / 2**52
    assert exact.products([a], [b]).item() == pytest.approx((x @ y) / np.linalg.norm(x) / np.linalg.norm(y), abs=3e-8)
    big = torch.from_numpy(x).float() * 1e12
    assert exact.split_products([big], [b])[0, 0].item() == pytest.approx((big.double() @ b.double()).item(), rel=1e-9)
    assert exact.tree_sum(torch.arange(1001.0), 0) == 500500
