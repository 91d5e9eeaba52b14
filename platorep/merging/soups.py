"""Soups: means of the weights of several networks (Wortsman et al. 2022, arXiv 2203.05482)."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from platorep.merging.paths import logits, mixed, score, with_weights
from platorep.merging.permutations import State
from platorep.training.networks import Network
from platorep.training.pictures import Labelled


def uniform_soup(states: Sequence[State]) -> State:
    """The mean of all weights."""
    return mixed(states, [1 / len(states)] * len(states))


def greedy_soup(network: Network, states: Sequence[State], held: Labelled) -> tuple[State, list[int]]:
    """The mean of the networks that raise the held-out accuracy of the mean, tried from the best on.

    Args:
        network: of the architecture.
        states: the networks' weights.
        held: pictures for the choice, on which no network was trained, and which are not those of the test.

    Returns:
        The mean, and the places of the networks in it, in the order in which they entered.
    """
    alone = [_accuracy(network, state, held) for state in states]
    order = sorted(range(len(states)), key=lambda place: (-alone[place], place))
    chosen, best = [order[0]], alone[order[0]]
    for place in order[1:]:
        accuracy = _accuracy(network, uniform_soup([states[i] for i in (*chosen, place)]), held)
        if accuracy > best:
            chosen.append(place)
            best = accuracy
    return uniform_soup([states[i] for i in chosen]), chosen


def soups(network: Network, states: Sequence[State], held: Labelled, test: Labelled) -> dict[str, float]:
    """Test accuracy of the best network by held-out accuracy, of both soups, and of the mean of the logits."""
    greedy, chosen = greedy_soup(network, states, held)  # the best one enters first
    candidates = {"best": states[chosen[0]], "uniform": uniform_soup(states), "greedy": greedy}
    accuracy = {name: _accuracy(network, state, test) for name, state in candidates.items()}
    values = torch.stack([logits(with_weights(network, state), test.inputs) for state in states])
    accuracy["ensemble"] = score(values.mean(0), test.labels).accuracy
    return accuracy


def _accuracy(network: Network, state: State, data: Labelled) -> float:
    return score(logits(with_weights(network, state), data.inputs), data.labels).accuracy
