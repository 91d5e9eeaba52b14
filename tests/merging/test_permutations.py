"""Permutations leave functions as they are, planted ones are found, and moments are repaired; negatives beside each."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from platorep.core.errors import SpecError
from platorep.merging.paths import logits, mixed, moments, permuted_moments, repaired, score, with_weights
from platorep.merging.permutations import (
    chain,
    correlations,
    match_activations,
    match_weights,
    permuted,
    random_orders,
)
from platorep.training.networks import build


PICTURES = torch.rand(200, 1, 28, 28, generator=torch.Generator().manual_seed(0))


def network(architecture, seed=0):
    torch.manual_seed(seed)
    net = build(architecture, side=28, channels=1, classes=10).eval().requires_grad_(False)
    for name, value in net.named_parameters():
        if name.endswith("bias"):
            value.normal_(std=0.1)
    return net


def activations(net):
    states = net.layers(PICTURES)
    return [(s.transpose(0, 1).flatten(1) if s.ndim > 2 else s.T).T.numpy() for s in states]


@pytest.mark.parametrize("architecture", ["mlp-20", "conv-6"])
def test_no_permutation_of_hidden_units_changes_the_function(architecture):
    net = network(architecture)
    state, layers = net.state_dict(), chain(net)
    for seed in range(3):
        moved = with_weights(net, permuted(state, layers, random_orders(state, layers, seed)))
        assert (logits(moved, PICTURES) - logits(net, PICTURES)).abs().max() < 1e-5


def test_a_permutation_that_the_next_layer_does_not_follow_changes_it():
    net = network("mlp-20")
    state, layers = net.state_dict(), chain(net)
    order = torch.randperm(20, generator=torch.Generator().manual_seed(0))
    broken = state | {f"{layers[0]}.weight": state[f"{layers[0]}.weight"][order]}
    assert (logits(with_weights(net, broken), PICTURES) - logits(net, PICTURES)).abs().max() > 0.1


@pytest.mark.parametrize("architecture", ["mlp-32", "mlp-128", "conv-8"])
@pytest.mark.parametrize("seed", range(3))
def test_a_planted_permutation_is_found_and_has_no_barrier(architecture, seed):
    net = network(architecture, seed)
    state, layers = net.state_dict(), chain(net)
    planted = random_orders(state, layers, seed)
    copy = permuted(state, layers, planted)
    found = match_weights(state, copy, layers, seed)
    assert found.missed < 5
    for order, back in zip(planted, found.orders, strict=True):
        assert np.array_equal(order[back], np.arange(len(order)))
    assert all(torch.equal(value, state[name]) for name, value in permuted(copy, layers, found.orders).items())
    by_activity = match_activations(activations(net), activations(with_weights(net, copy)))
    alive = [(values > 0).mean(axis=0) > 0.1 for values in activations(net)]  # two that fire once alike are as one
    for order, back, lives in zip(planted, by_activity.orders, alive, strict=True):
        assert np.array_equal(order[back][lives], np.arange(len(order))[lives])


def test_coordinate_descent_is_no_worse_than_what_it_starts_from_and_at_a_local_optimum():
    a, b = network("mlp-4", 1), network("mlp-4", 2)
    layers, ours, theirs = chain(a), a.state_dict(), b.state_dict()
    found = match_weights(ours, theirs, layers)

    def inner(orders):
        moved = permuted(theirs, layers, orders)
        return sum(float((ours[name].double() * moved[name].double()).sum()) for name in ours)

    assert found.score == pytest.approx(inner(found.orders), rel=1e-6)
    assert found.score > inner([np.arange(4)] * 3)
    for place in range(3):  # no other order of one layer is better, by trying all of them
        for order in itertools.permutations(range(4)):
            other = [np.array(order) if i == place else o for i, o in enumerate(found.orders)]
            assert inner(other) <= found.score + 1e-6


def test_correlations_are_those_of_numpy_and_0_for_dead_units():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((50, 3)), rng.standard_normal((50, 4))
    y[:, 2] = 7.0
    expected = np.corrcoef(np.delete(y, 2, 1).T, x.T)[3:, :3]
    assert correlations(x, y)[:, [0, 1, 3]] == pytest.approx(expected)
    assert (correlations(x, y)[:, 2] == 0).all()


def test_the_transformer_is_refused():
    with pytest.raises(SpecError, match="units of a transformer are not matched here"):
        chain(build("vit-16", side=28, channels=1, classes=10))


@pytest.mark.parametrize("architecture", ["mlp-20", "conv-6"])
def test_repair_sets_the_moments_and_leaves_an_end_as_it_is(architecture):
    a, b = network(architecture, 1), network(architecture, 2)
    ends = moments(a, PICTURES), moments(b, PICTURES)
    middle = with_weights(a, mixed([a.state_dict(), b.state_dict()], [0.5, 0.5]))
    fixed = moments(repaired(middle, ends, 0.5, PICTURES), PICTURES)
    for first, second, got, before in zip(*ends, fixed, moments(middle, PICTURES), strict=True):
        wanted = 0.5 * (first.spread + second.spread)
        live = before.spread > 1e-6
        assert torch.allclose(got.spread[live], wanted[live], rtol=1e-3, atol=1e-5)
        assert torch.allclose(got.mean, 0.5 * (first.mean + second.mean), atol=1e-4)
        assert not torch.allclose(before.spread, wanted, rtol=0.05)  # there was something to repair
    same = repaired(a, ends, 1.0, PICTURES)
    assert (logits(same, PICTURES) - logits(a, PICTURES)).abs().max() < 1e-4


def test_moments_are_those_before_the_relu_and_follow_a_permutation():
    net = network("conv-6")
    state, layers = net.state_dict(), chain(net)
    before = net.stages[0].affine(PICTURES)
    found = moments(net, PICTURES)
    assert torch.allclose(found[0].mean, before.mean((0, 2, 3)), atol=1e-5)
    assert torch.allclose(found[0].spread, before.std((0, 2, 3), correction=0), atol=1e-5)
    orders = random_orders(state, layers, 0)
    moved = moments(with_weights(net, permuted(state, layers, orders)), PICTURES)
    for one, other in zip(permuted_moments(found, orders), moved, strict=True):
        assert torch.allclose(one.mean, other.mean, atol=1e-5)
        assert torch.allclose(one.spread, other.spread, atol=1e-5)


def test_ends_of_a_path_are_the_networks_and_scores_are_means():
    a, b = network("mlp-8", 1), network("mlp-8", 2)
    states = [a.state_dict(), b.state_dict()]
    assert all(torch.equal(value, states[0][name]) for name, value in mixed(states, [1.0, 0.0]).items())
    values, labels = torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 0])
    expected = (np.log1p(np.exp(-2)) + np.log1p(np.exp(1))) / 2
    assert score(values, labels) == pytest.approx((expected, 0.5))
