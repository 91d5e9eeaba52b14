"""Basins of small networks: copies have no barrier once matched, seeds do, convex models never, forks little."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from platorep.core.specs import ModelSpec
from platorep.merging.basin import COPY, FORK, SEEDS, Pictures, Trainee, Two, basin
from platorep.merging.paths import mixed, score, with_weights
from platorep.merging.soups import greedy_soup, soups, uniform_soup
from platorep.metrics.registry import build as metric
from platorep.results.basin import BasinTable
from platorep.training.networks import Network
from platorep.training.pictures import Labelled, labelled_pictures, split
from platorep.training.trainer import train_all
from tests.training.small_suite import DIGITS, TRAINING


@pytest.fixture(scope="module")
def setting(tmp_path_factory):
    """Digits, three seeds of a perceptron and one late fork of the first."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLATOREP_CACHE", str(tmp_path_factory.mktemp("cache")))
        data = labelled_pictures(DIGITS, 8, 1)
        trainings = [TRAINING] * 3 + [TRAINING.replace(shared=5, order=1)]
        specs = [
            ModelSpec(name=f"m{i}", modality="vision", source="trained", id="mlp-64", seed=i % 3, training=training)
            for i, training in enumerate(trainings)
        ]
        networks = train_all(specs, threads=1)
    fit, held = split(len(data))
    pictures = Pictures(data.part(fit[:500]), data.part(held), data.part(fit[500:900]), near=200)
    return pictures, [Trainee(f"m{i}", net, 64, 10, pictures) for i, net in enumerate(networks)]


@pytest.fixture(scope="module")
def table(setting):
    _, (a, b, c, fork) = setting
    pairs = [Two(a, b), Two(a, c), Two(b, c), Two(a, fork, FORK, 5)]
    groups = [(SEEDS, 0, [a, b, c]), (FORK, 5, [a, fork])]
    return basin(pairs, groups, metric("mutual_knn"), points=5, threads=2, dataset="digits")


def barrier(table, relation, method, quantity="test_loss"):
    found = table.means(quantity)
    return found[(found.relation == relation) & (found.method == method)].iloc[0]


def test_a_permuted_copy_has_a_barrier_until_it_is_matched(table):
    for method in ("none", "random"):
        assert barrier(table, COPY, method).barrier > 0.3
    for method in ("weights", "activations"):
        assert barrier(table, COPY, method).barrier == pytest.approx(0, abs=1e-5)
        assert barrier(table, COPY, f"{method}+repair").barrier == pytest.approx(0, abs=1e-4)


def test_matching_lowers_the_barrier_of_seeds_and_a_random_order_does_not(table):
    naive = barrier(table, SEEDS, "none").barrier
    assert naive > 0.2
    assert barrier(table, SEEDS, "random").barrier > 0.5 * naive
    assert barrier(table, SEEDS, "weights+repair").barrier < 0.5 * naive
    assert barrier(table, SEEDS, "activations+repair").barrier < 0.5 * naive
    assert barrier(table, FORK, "none").barrier < 0.2 * naive
    assert barrier(table, SEEDS, "ensemble").barrier < 1e-9  # a mean of logits: cross-entropy is convex in them


def test_kernels_do_not_see_permutations(table):
    scores = table.kernels().set_index("relation")
    assert scores.value[COPY] == pytest.approx(1)
    assert scores.value[SEEDS].mean() > 5 * scores.chance[SEEDS].mean()


def test_intervals_are_over_networks(table):
    seeds = barrier(table, SEEDS, "none")
    assert (seeds.pairs, seeds.networks) == (3, 3)
    assert seeds.low < seeds.barrier < seeds.high
    assert np.isnan(barrier(table, FORK, "none").low)


def test_soups_of_independent_networks_fail_and_of_forks_do_not(table):
    rows = table.frame[table.frame.experiment == "soup"].set_index(["relation", "method"]).value
    assert rows[SEEDS, "uniform"] < rows[SEEDS, "best"] - 0.2
    assert rows[SEEDS, "matched uniform"] > rows[SEEDS, "uniform"]
    assert rows[FORK, "uniform"] > rows[FORK, "best"] - 0.03
    assert rows[SEEDS, "ensemble"] > rows[SEEDS, "best"] - 0.03


def test_threads_change_nothing(setting, table):
    _, (a, b, c, fork) = setting
    pairs = [Two(a, b), Two(a, c), Two(b, c), Two(a, fork, FORK, 5)]
    again = basin(
        pairs, [(SEEDS, 0, [a, b, c]), (FORK, 5, [a, fork])], metric("mutual_knn"), points=5, dataset="digits"
    )
    assert again.frame.equals(table.frame)


def test_a_convex_model_has_no_barrier_whatever_its_weights(setting):
    """Linear softmax: no point of the path lies above the chord."""
    pictures, _ = setting
    head = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    model = Network("mlp", [], head)
    for seed in range(3):
        torch.manual_seed(seed)
        ends = [{name: torch.randn_like(value) for name, value in model.state_dict().items()} for _ in range(2)]
        losses = []
        for share in np.linspace(0, 1, 11):
            with torch.inference_mode():
                net = with_weights(model, mixed(ends, [share, 1 - share]))
                losses.append(score(net(pictures.test.inputs), pictures.test.labels).loss)
        chord = np.linspace(losses[0], losses[-1], 11)
        assert np.max(np.array(losses) - chord) < 1e-6


def test_greedy_soup_takes_only_what_raises_the_held_out_accuracy(setting):
    pictures, (a, b, c, fork) = setting
    states = [trainee.state for trainee in (a, b, c, fork)]
    _, chosen = greedy_soup(a.network, states, pictures.held)
    found = soups(a.network, states, pictures.held, pictures.test)
    assert not {1, 2} <= set(chosen)  # not two other seeds together
    assert found["greedy"] > found["uniform"]
    one, places = greedy_soup(a.network, [a.state, a.state], pictures.held)
    assert places == [0]
    assert all(torch.equal(one[name], a.state[name]) for name in one)
    assert all(torch.allclose(v, a.state[n]) for n, v in uniform_soup([a.state, a.state]).items())


def test_barriers_are_against_the_chord_and_not_the_mean_of_the_ends():
    import pandas as pd

    facts = {"experiment": "path", "dataset": "d", "architecture": "mlp", "width": 2, "epoch": 1, "relation": SEEDS}
    facts |= {"shared": 0, "x_model": "a", "y_model": "b", "method": "none", "layer": -1, "chance": np.nan}
    facts |= {"metric": "", "n": 1, "seed": 0, "version": "1", "quantity": "test_loss"}
    straight = [facts | {"share": s, "value": 1 + s} for s in (0.0, 0.5, 1.0)]
    bent = [facts | {"x_model": "c", "share": s, "value": v} for s, v in ((0.0, 1.0), (0.25, 2.0), (1.0, 2.0))]
    found = BasinTable.from_frame(pd.DataFrame([*straight, *bent])).barriers().set_index("x_model").barrier
    assert found["a"] == 0.0  # the maximum less the mean of the ends would be 0.5
    assert found["c"] == pytest.approx(0.75)


def test_pictures_of_a_soup_are_disjoint(setting):
    pictures, _ = setting
    seen = [set(map(bytes, part.inputs.numpy().reshape(len(part), -1))) for part in (pictures.fit, pictures.held)]
    assert not seen[0] & seen[1]
    assert isinstance(pictures.fit, Labelled)
