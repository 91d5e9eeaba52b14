from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from platorep.core.errors import DataError, FeatureError, SpecError, UnknownNameError
from platorep.metrics import registry
from platorep.metrics.base import Geometry
from platorep.stats.nulls import MaxNull, max_null, max_null_prepared
from platorep.stats.permutations import Permutations, quantile_bins
from platorep.stats.relabel import relabel

from .worlds import graphs, layers


N, K = 60, 5
SMALL = {"k": K, "components": 4}


def small(name: str) -> dict[str, int]:
    """Parameters of a metric that fit N samples."""
    fields = {field.name for field in dataclasses.fields(registry.metric_class(name))}
    return {key: value for key, value in SMALL.items() if key in fields}


@pytest.fixture
def world():
    rng = np.random.default_rng(0)
    latent = rng.normal(size=(N, 4))
    return {"a": layers(rng, latent, 3, 0.5), "b": layers(rng, latent, 2, 0.5), "c": layers(rng, latent, 4, np.inf)}


@pytest.fixture
def neighbours(world):
    return {name: graphs(side, K) for name, side in world.items()}


def naive_scores(x: torch.Tensor, y: torch.Tensor, order: np.ndarray) -> np.ndarray:
    """Mutual k-NN of each layer pair, with sample i of x paired with sample order[i] of y, by sets, index by index."""
    place = np.argsort(order)
    out = np.zeros((len(x), len(y)))
    for i, gx in enumerate(x.tolist()):
        for j, gy in enumerate(y.tolist()):
            out[i, j] = sum(len(set(gx[s]) & {place[t] for t in gy[order[s]]}) for s in range(len(gx))) / (N * K)
    return out


def test_fast_maxima_equal_a_naive_relabelling_of_sets(neighbours):
    result = max_null(neighbours, [("a", "b"), ("a", "c"), ("b", "c")], permutations=6, seed=3)
    for row, (x, y) in enumerate(result.pairs):
        observed = naive_scores(neighbours[x], neighbours[y], np.arange(N))
        assert result.observed[row] == pytest.approx(observed.max(), abs=1e-12)
        assert tuple(result.layers[row]) == np.unravel_index(observed.argmax(), observed.shape)
        expected = [naive_scores(neighbours[x], neighbours[y], order).max() for order in result.permutations.order]
        np.testing.assert_allclose(result.null[row], expected, atol=1e-12)


def test_a_relabelled_graph_is_the_graph_of_the_relabelled_samples(world):
    order = np.random.default_rng(1).permutation(N)
    recomputed = {"a": graphs(world["a"], K), "b": graphs([Geometry(g.x[order]) for g in world["b"]], K)}
    null = max_null({"a": recomputed["a"], "b": graphs(world["b"], K)}, [("a", "b")], permutations=1, seed=0)
    moved = naive_scores(recomputed["a"], recomputed["b"], np.arange(N)).max()
    assert naive_scores(recomputed["a"], graphs(world["b"], K), order).max() == pytest.approx(moved)
    assert null.observed[0] != pytest.approx(moved)  # the relabelling did something


@pytest.mark.parametrize("name", sorted(registry.METRICS))
def test_relabelling_a_prepared_layer_equals_preparing_relabelled_features(world, name):
    metric = registry.build(name, **small(name))
    order = torch.from_numpy(np.random.default_rng(2).permutation(N))
    xs = [metric.prepare(layer) for layer in world["a"]]
    ys = [metric.prepare(layer) for layer in world["b"]]
    fresh = [metric.prepare(Geometry(layer.x[order])) for layer in world["b"]]
    moved = metric.score_all(xs, relabel(ys, order))
    torch.testing.assert_close(moved, metric.score_all(xs, fresh), atol=2e-5, rtol=0)
    assert (moved - metric.score_all(xs, ys)).abs().max() > 1e-3


def test_relabelling_features_of_many_samples_moves_them_too(world, monkeypatch):
    monkeypatch.setattr("platorep.metrics.centred.GRAM_ROWS", 10)
    metric = registry.build("cka", hsic="biased")
    order = torch.from_numpy(np.random.default_rng(2).permutation(N))
    ys = [metric.prepare(layer) for layer in world["b"]]
    assert ys[0].features is not None
    fresh = [metric.prepare(Geometry(layer.x[order])) for layer in world["b"]]
    xs = [metric.prepare(layer) for layer in world["a"]]
    torch.testing.assert_close(metric.score_all(xs, relabel(ys, order)), metric.score_all(xs, fresh), atol=1e-6, rtol=0)


def test_the_general_null_gives_the_fast_one_draw_by_draw(world, neighbours):
    metric = registry.build("mutual_knn", k=K)
    prepared = {name: [metric.prepare(layer) for layer in side] for name, side in world.items()}
    pairs = [("a", "b"), ("c", "b")]
    fast, general = max_null(neighbours, pairs, 20, seed=5), max_null_prepared(metric, prepared, pairs, 20, seed=5)
    np.testing.assert_allclose(fast.null, general.null, atol=1e-12)
    np.testing.assert_array_equal(fast.layers, general.layers)
    np.testing.assert_allclose(fast.p, general.p)


@pytest.mark.parametrize(
    ("name", "params"), [("mutual_knn", {"k": K}), ("cka", {}), ("cka", {"hsic": "biased"}), ("cknna", {"k": K})]
)
def test_permuted_mean_and_spread_of_one_layer_pair_agree_with_the_closed_form(world, name, params):
    metric = registry.build(name, **params)
    x, y = [metric.prepare(world["a"][0])], [metric.prepare(world["c"][0])]
    draws = max_null_prepared(metric, {"x": x, "y": y}, [("x", "y")], permutations=1500, seed=0).null[0]
    exact = metric.null(x, y)
    mean, sd = exact.mean.item(), exact.sd.item()
    assert draws.mean() == pytest.approx(mean, abs=4 * sd / 1500**0.5)
    assert draws.std() == pytest.approx(sd, rel=0.1)


def test_related_models_are_found_and_unrelated_ones_are_not(neighbours):
    result = max_null(neighbours, [("a", "b"), ("a", "c"), ("b", "c")], permutations=199, seed=0)
    related = np.array([True, False, False])
    for values in (result.p, result.p_family, result.q):
        assert (values[related] <= 0.02).all()
        assert (values[~related] > 0.05).all()
    assert result.p[0] == result.permutations.floor == 1 / 200


def test_p_does_not_depend_on_the_order_of_layers(neighbours):
    flipped = {"a": neighbours["a"].flip(0), "c": neighbours["c"][[2, 0, 3, 1]]}
    before, after = (max_null(g, [("a", "c")], 50, seed=1) for g in (neighbours, flipped))
    np.testing.assert_array_equal(before.null, after.null)
    assert before.p == after.p


def test_a_further_layer_can_only_raise_the_null(neighbours):
    fewer = max_null({"a": neighbours["a"][:1], "c": neighbours["c"][:1]}, [("a", "c")], 50, seed=1)
    more = max_null(neighbours, [("a", "c")], 50, seed=1)
    assert (more.null >= fewer.null).all()
    assert more.null.mean() > fewer.null.mean()


def test_null_of_a_pair_does_not_depend_on_the_other_pairs_or_on_threads(neighbours):
    alone = max_null(neighbours, [("a", "c")], 30, seed=4)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        among = max_null(neighbours, [("a", "b"), ("b", "a"), ("a", "c")], 30, seed=4)
    finally:
        torch.set_num_threads(threads)
    np.testing.assert_array_equal(alone.null[0], among.null[2])


def test_swapping_sides_gives_the_inverse_relabellings(neighbours):
    result = max_null(neighbours, [("a", "b"), ("b", "a")], 200, seed=0)
    assert result.observed[0] == result.observed[1]
    assert result.null[0].mean() == pytest.approx(result.null[1].mean(), rel=0.05)


def test_max_t_is_at_least_each_pairs_own_p_and_counts_the_observed_draw():
    rng = np.random.default_rng(0)
    null = rng.normal(size=(5, 99))
    drawn = Permutations.draw(10, 99, 0)
    result = MaxNull(
        tuple(("x", str(i)) for i in range(5)), np.array([0.0, 1.0, 2.0, 3.0, 9.0]), np.zeros((5, 2), int), null, drawn
    )
    assert (result.p_family >= result.p).all()
    assert result.p[4] == result.p_family[4] == 0.01
    hand = (1 + (null >= result.observed[:, None]).sum(axis=1)) / 100
    np.testing.assert_array_equal(result.p, hand)


def test_constant_scores_are_never_significant():
    drawn = Permutations.draw(10, 19, 0)
    result = MaxNull((("x", "y"),), np.array([0.5]), np.zeros((1, 2), int), np.full((1, 19), 0.5), drawn)
    assert result.p == result.p_family == 1


def test_restricted_permutation_finds_nothing_beyond_a_label_that_explains_all():
    rng = np.random.default_rng(1)
    label = np.repeat(np.arange(6), 20)
    centres = rng.normal(size=(6, 8)) * 4

    def see():
        return [Geometry(torch.from_numpy(centres[label] + rng.normal(size=(120, 8))).float()) for _ in range(2)]

    g = {"a": graphs(see(), 5), "b": graphs(see(), 5)}
    assert max_null(g, [("a", "b")], 99, seed=0).p[0] == 0.01
    assert max_null(g, [("a", "b")], 99, seed=0, strata=label).p[0] > 0.05


def test_the_frame_records_how_it_was_drawn(neighbours):
    frame = max_null(neighbours, [("a", "b")], 19, seed=7, strata=np.arange(N) % 3).frame()
    row = frame.iloc[0]
    assert (row.permutations, row.seed, row.restricted, row.p_floor) == (19, 7, True, 0.05)
    assert list(frame.x_model) == ["a"]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda g: {**g, "b": g["b"][:, :, :3]}, FeatureError, "must share n and k"),
        (lambda g: {**g, "b": g["b"].float()}, FeatureError, "must be integers"),
        (lambda g: {**g, "b": g["b"] + N}, FeatureError, f"indices outside its {N} samples"),
        (
            lambda g: {**g, "b": torch.arange(N).view(1, N, 1).expand(1, N, K).clone()},
            FeatureError,
            "their own neighbours",
        ),
        (lambda g: {"a": g["a"], "bb": g["b"]}, UnknownNameError, "unknown model 'b'"),
    ],
)
def test_graphs_that_do_not_fit_are_refused(neighbours, change, error, message):
    with pytest.raises(error, match=message):
        max_null(change(neighbours), [("a", "b")], 5)


def test_layers_of_different_samples_are_refused(world):
    metric = registry.build("cka")
    prepared = {"a": [metric.prepare(world["a"][0])], "b": [metric.prepare(Geometry(world["b"][0].x[:40]))]}
    with pytest.raises(FeatureError, match="one number of samples"):
        max_null_prepared(metric, prepared, [("a", "b")], 5)
    with pytest.raises(SpecError, match="no pairs"):
        max_null_prepared(metric, prepared, [], 5)


class TestPermutations:
    def test_seeded_and_longer_draws_begin_with_shorter_ones(self):
        for strata in (None, np.arange(20) % 3):
            short, long = Permutations.draw(20, 3, 1, strata), Permutations.draw(20, 8, 1, strata)
            np.testing.assert_array_equal(short.order, long.order[:3])
            assert not np.array_equal(short.order, Permutations.draw(20, 3, 2, strata).order)

    def test_stay_within_strata_and_reach_every_arrangement_equally_often(self):
        strata = np.array(["b", "a", "b", "a", "b"])
        order = Permutations.draw(5, 6000, 0, strata).order
        assert (np.sort(order, axis=1) == np.arange(5)).all()
        assert (strata[order] == strata).all()
        seen = np.unique(order, axis=0, return_counts=True)[1]
        assert len(seen) == 12  # 3! x 2!
        assert ((seen - 500) ** 2 / 500).sum() < 31.3  # chi-squared, 11 degrees of freedom, p = .001

    def test_floor_is_set_by_the_draws_or_by_the_arrangements(self):
        assert Permutations.draw(50, 99, 0).floor == 0.01
        assert Permutations.draw(4, 999, 0, [0, 0, 1, 1]).floor == pytest.approx(1 / 4)

    @pytest.mark.parametrize(
        ("strata", "message"),
        [
            ([1, 2, 3, 4], "nothing to permute"),
            ([1, 1, 2], "one label for each of the 4"),
            ([1.0, 1.0, np.nan, 2.0], "sample 2 has no stratum"),
        ],
    )
    def test_strata_that_cannot_serve_are_refused(self, strata, message):
        with pytest.raises(DataError, match=message):
            Permutations.draw(4, 5, 0, strata)

    def test_too_few_samples_are_refused(self):
        with pytest.raises(SpecError, match="n = 1"):
            Permutations.draw(1, 5, 0)


def test_quantile_bins_fill_equally_and_keep_ties_together():
    lengths = np.random.default_rng(0).permutation(100)
    assert (np.bincount(quantile_bins(lengths, 5)) == 20).all()
    assert len(set(quantile_bins([7] * 50 + [9] * 3, 4)[:50])) == 1
    with pytest.raises(DataError, match="not finite"):
        quantile_bins([1.0, np.nan])
