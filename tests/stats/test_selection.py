from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch

from platorep.core.errors import FeatureError, SpecError
from platorep.metrics import registry
from platorep.metrics.base import Geometry
from platorep.stats.selection import halves, held_out, held_out_layers, nearest_layer, relative_depths, subset

from .worlds import layers


def test_depth_of_layers_and_the_nearest_to_a_depth():
    assert relative_depths(5).tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert relative_depths(1).tolist() == [1]
    five, three = relative_depths(5), relative_depths(3)
    assert [nearest_layer(five, depth) for depth in (0.0, 0.3, 0.5, 1.0)] == [0, 1, 2, 4]
    assert nearest_layer(three, 0.25) == 0  # halfway: the shallower
    assert nearest_layer(relative_depths(4), 0.5) == 1
    assert nearest_layer([0.0, 0.5], 1.0) == 1  # the last of those that take part
    with pytest.raises(SpecError, match="relative depth"):
        nearest_layer(five, 1.5)


@pytest.mark.parametrize("layers", range(1, 30))
def test_the_nearest_layer_is_that_of_exact_fractions(layers):
    depths = relative_depths(layers)
    for asked in [Fraction(i, 24) for i in range(25)]:
        exact = [abs(Fraction(i, layers - 1) - asked) if layers > 1 else 0 for i in range(layers)]
        assert nearest_layer(depths, float(asked)) == exact.index(min(exact))


def test_ties_go_to_the_lower_layers():
    assert held_out(torch.ones(2, 2, 3, 4))[:2] == (0, 0)


def test_held_out_scores_the_other_folds_choice():
    scores = torch.tensor(
        [[[[0.1, 0.9], [0.2, 0.3]], [[0.5, 0.4], [0.6, 0.2]]]]
    )  # one split: fold 0 chooses (0, 1), fold 1 (1, 0)
    result = held_out(scores)
    assert result.fold_scores.tolist() == [[pytest.approx(0.2), pytest.approx(0.4)]]
    assert result.chosen.tolist() == [[[1, 0], [0, 1]]]
    assert result.score == pytest.approx(0.3)
    assert result.stability == 0.5


def test_held_out_choice_removes_the_bias_of_the_maximum():
    rng = np.random.default_rng(0)
    noise = torch.from_numpy(rng.normal(size=(200, 2, 6, 6)))
    assert abs(held_out(noise).fold_scores.mean()) < 0.15
    assert noise.amax((2, 3)).mean() > 1.5


def test_halves_are_disjoint_seeded_and_even():
    split = halves(21, splits=3, seed=1)
    assert split.shape == (3, 2, 10)
    for first, second in split:
        assert not set(first) & set(second)
    assert len({tuple(first) for first, _ in split}) == 3
    np.testing.assert_array_equal(split, halves(21, splits=3, seed=1))


@pytest.mark.parametrize("dense", [8192, 10])
@pytest.mark.parametrize("similarity", ["cosine", "euclidean"])
def test_neighbours_of_a_fold_are_those_of_its_samples_alone(similarity, dense, monkeypatch):
    monkeypatch.setattr("platorep.stats.selection.DENSE", dense)
    x = torch.randn(40, 6, generator=torch.Generator().manual_seed(0))
    layer, rows = Geometry(x, similarity), halves(40, 1)[0, 0]
    part, fresh = subset(layer, rows), Geometry(x[torch.from_numpy(rows)], similarity)
    torch.testing.assert_close(part.gram, fresh.gram)
    torch.testing.assert_close(part.x, fresh.x)
    assert torch.equal(part.neighbours(3), fresh.neighbours(3))
    assert part.neighbours(3).max() < 20


def test_k_stays_in_proportion_and_other_metrics_stay_as_they_are():
    assert registry.build("mutual_knn", k=10).on_fold(1024, 512).k == 5
    assert registry.build("mutual_knn", k=1).on_fold(1024, 512).k == 1
    assert registry.build("cknna_prh", k=2).on_fold(1024, 512).k == 2
    assert registry.build("cka").on_fold(1024, 512) == registry.build("cka")


@pytest.mark.parametrize(("name", "params"), [("mutual_knn", {"k": 6}), ("cka", {})])
def test_held_out_layers_finds_the_related_pair_and_is_no_higher_than_the_maximum(name, params):
    rng = np.random.default_rng(2)
    latent = rng.normal(size=(120, 4))
    blind = [layers(rng, latent, 2, np.inf) for _ in range(2)]
    seeing = layers(rng, latent, 2, 0.3)
    xs, ys = [*blind[0], seeing[0]], [blind[1][0], seeing[1], blind[1][1]]
    metric = registry.build(name, **params)
    result = held_out_layers(metric, xs, ys, splits=4, seed=0)
    assert result[:2] == (2, 1)
    assert result.stability == 1
    scores = metric.score_all([metric.prepare(x) for x in xs], [metric.prepare(y) for y in ys])
    assert divmod(int(scores.argmax()), 3) == (2, 1)
    assert result.score == pytest.approx(scores.max().item(), abs=0.1)
    again = held_out_layers(metric, xs, ys, splits=4, seed=0)
    np.testing.assert_array_equal(again.fold_scores, result.fold_scores)


def test_what_cannot_be_chosen_from_is_refused():
    with pytest.raises(FeatureError, match="splits, 2"):
        held_out(torch.ones(2, 3, 3))
    with pytest.raises(SpecError, match="splits >= 1"):
        halves(20, 0)
    rng = np.random.default_rng(0)
    a, b = (layers(rng, rng.normal(size=(n, 4)), 1, 0.5) for n in (20, 22))
    with pytest.raises(FeatureError, match="one number of samples"):
        held_out_layers(registry.build("cka"), a, b)
    with pytest.raises(FeatureError, match="k = 10"):
        held_out_layers(registry.build("mutual_knn", k=19), a, a)
