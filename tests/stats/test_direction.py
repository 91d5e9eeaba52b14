from __future__ import annotations

import numpy as np
import pytest
import torch

from platorep.core.errors import FeatureError
from platorep.metrics.moments import graph_sums
from platorep.metrics.neighbours import CycleKNN, Neighbours
from platorep.stats import items
from platorep.stats.direction import cycles, flipped_means, relabelled_cycles
from platorep.stats.draws import against


def random_graph(rng: np.random.Generator, n: int, k: int) -> np.ndarray:
    return np.argsort(rng.normal(size=(n, n)) + 99 * np.eye(n), axis=1)[:, :k]


def stars(rng: np.random.Generator, count: int = 20, k: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """In y every leaf points to its centre, in x the centres point to their leaves; everything else is random."""
    n = count * (k + 1)
    x, y = random_graph(rng, n, k), random_graph(rng, n, k)
    for start in range(0, n, k + 1):
        x[start] = np.arange(start + 1, start + k + 1)
        y[start + 1 : start + k + 1, 0] = start
    return x, y


def near(x: np.ndarray, k: int = 10) -> np.ndarray:
    distance = np.square(x[:, None] - x).sum(axis=2) + 1e9 * np.eye(len(x))
    return np.argsort(distance, axis=1)[:, :k]


def test_cycles_are_those_of_a_loop_and_of_the_metric():
    rng = np.random.default_rng(0)
    x, y = random_graph(rng, 25, 4), random_graph(rng, 25, 4)
    found = cycles(x, y)
    assert [any(i in x[j] for j in y[i]) for i in range(25)] == found.back_through_x.tolist()
    assert [any(i in y[j] for j in x[i]) for i in range(25)] == found.back_through_y.tolist()
    sides = []
    for graph in (x, y):
        graph = torch.from_numpy(graph)
        sides.append(Neighbours(graph.int(), graph_sums(graph), graph[:, 0].int(), 0.0))
    for direction, way in zip(("xy", "yx"), found, strict=True):
        assert CycleKNN(k=4, direction=direction).score(*sides) == pytest.approx(way.mean())


def test_relabelling_moves_the_samples_of_y():
    rng = np.random.default_rng(1)
    x, y, order = random_graph(rng, 15, 3), random_graph(rng, 15, 3), rng.permutation(15)
    place = {int(sample): new for new, sample in enumerate(order)}
    moved = np.array([[place[int(j)] for j in y[order[i]]] for i in range(15)])
    assert relabelled_cycles(x, y, order[None])[0].tolist() == [way.mean() for way in cycles(x, moved)]


def test_a_dependence_in_one_direction_is_found_and_turns_with_the_sides():
    x, y = stars(np.random.default_rng(2))
    found = cycles(x, y)
    assert found.back_through_x.mean() > 0.9
    assert found.back_through_y.mean() < 0.6
    differences = found.back_through_x.astype(float) - found.back_through_y
    assert against(differences.mean(), flipped_means(differences, 199, 0), two_sided=True).p_value == 0.005
    turned = cycles(y, x)
    assert (turned.back_through_x == found.back_through_y).all()
    assert (turned.back_through_y == found.back_through_x).all()


def test_copies_with_noise_have_no_direction():
    rejected = 0
    for seed in range(40):
        rng = np.random.default_rng(100 + seed)
        latent = rng.normal(size=(150, 4))
        found = cycles(*(near(latent + 0.8 * rng.normal(size=latent.shape)) for _ in range(2)))
        differences = found.back_through_x.astype(float) - found.back_through_y
        rejected += against(differences.mean(), flipped_means(differences, 99, seed), two_sided=True).p_value <= 0.05
        assert items.mean(differences).low < 0.12
    assert rejected <= 6  # 7 of 40 at 5 %: 0.3 %


def test_pairs_of_samples_on_cycles_are_equally_many_both_ways():
    rng = np.random.default_rng(3)
    x, y = stars(rng)
    through_x = {(i, int(j)) for i in range(len(x)) for j in y[i] if i in x[j]}
    through_y = {(int(j), i) for i in range(len(x)) for j in x[i] if i in y[j]}
    assert through_x == through_y


def test_graphs_of_different_samples_are_refused():
    with pytest.raises(FeatureError, match=r"got \(3, 1\) and \(4, 1\)"):
        cycles(np.zeros((3, 1), int), np.zeros((4, 1), int))
