"""Permutations of hidden units that leave a network's function as it is, and the search for those that match another.

A hidden layer may be permuted if the next layer reads its units in the same order. The layers of the perceptron and of
the convolutional network (`platorep.training.networks`) form a chain: one permutation per hidden layer, of the units of
one and of the channels of the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

from platorep.core.errors import SpecError
from platorep.training.networks import Network
from platorep.units.reading import standardised


ROUNDS = 100
"""Largest number of rounds of coordinate descent."""

STARTS = 5
"""Starts of the descent."""

GAIN = 1e-12
"""Least gain of a round, relative to the objective, after which another one follows."""

State = dict[str, torch.Tensor]
"""Weights by name, as in `Network.state_dict`."""


def chain(network: Network) -> list[str]:
    """Names of a network's linear layers in order; each but the last is followed by a ReLU.

    Raises:
        SpecError: its layers are no chain, as in a transformer, whose residual stream has one permutation for all.
    """
    if network.kind == "vit":
        raise SpecError("units of a transformer are not matched here; expected networks mlp-W or conv-W.")
    return [*(f"stages.{number}.affine" for number in range(len(network.stages))), "head"]


def permuted(state: State, layers: Sequence[str], orders: Sequence[np.ndarray]) -> State:
    """The weights with hidden units in another order. The function stays the same, up to the order of sums.

    Args:
        state: weights of a network.
        layers: its layers, from `chain`.
        orders: one order per hidden layer: unit i of the result is unit order[i].
    """
    moved = dict(state)
    for number, order in enumerate(orders):
        places = torch.from_numpy(np.asarray(order, dtype=np.int64))
        layer, after = layers[number], layers[number + 1]
        moved[f"{layer}.weight"] = moved[f"{layer}.weight"][places]
        moved[f"{layer}.bias"] = moved[f"{layer}.bias"][places]
        moved[f"{after}.weight"] = moved[f"{after}.weight"][:, places]
    return moved


@dataclass(frozen=True)
class Match:
    """Permutations that bring one network's units to those of another.

    Attributes:
        orders: one order per hidden layer, as `permuted` takes them.
        score: the objective.
        missed: starts of the search that ended at a lower objective.
    """

    orders: list[np.ndarray]
    score: float
    missed: int = 0


def match_weights(a: State, b: State, layers: Sequence[str], seed: int = 0) -> Match:
    """Permutations of b's units that maximise the inner product of its weights with those of a.

    Maximises sum_l <W_l^A, P_l W_l^B P_{l-1}'> + <b_l^A, P_l b_l^B> by coordinate descent: a visit to a layer solves a
    linear assignment over all weights that carry its permutation, and the descent ends when a round of visits gains
    nothing (Ainsworth, Hayase and Srinivasa 2023, arXiv 2209.04836, section 3.2). Its optimum is local. It is therefore
    started several times, once with visits from the input upwards and then in random order, and the best objective is
    kept; no loss is looked at.

    Args:
        a: weights of the network that stays.
        b: weights of the network that is permuted.
        layers: of both, from `chain`.
        seed: of the order of visits.

    Cost: per visit, d^2 times the fan-in and fan-out, and up to d^3 for the assignment; float64.
    """
    ours, theirs = ({name: value.detach().double().numpy() for name, value in state.items()} for state in (a, b))
    rng, hidden = np.random.default_rng(seed), len(layers) - 1
    matches = []
    for start in range(STARTS):
        visits = (np.arange(hidden) if start == 0 else rng.permutation(hidden) for _ in range(ROUNDS))
        matches.append(_descent(ours, theirs, layers, visits))
    best = max(matches, key=lambda match: match.score)
    missed = sum(match.score < best.score - GAIN * abs(best.score) for match in matches)
    return Match(best.orders, best.score, missed)


def _descent(
    ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray], layers: Sequence[str], visits: Iterable[np.ndarray]
) -> Match:
    """Coordinate descent from the identity, one round for each order of visits."""
    orders, score = [np.arange(len(ours[f"{layer}.bias"])) for layer in layers[:-1]], -np.inf
    for numbers in visits:
        for number in numbers:
            rows, columns = linear_sum_assignment(_gains(ours, theirs, layers, orders, number), maximize=True)
            orders[number] = columns[np.argsort(rows)]
        before, score = score, _inner(ours, theirs, layers, orders)
        if score - before <= GAIN * abs(score):
            break
    return Match(orders, float(score))


def match_activations(a: Sequence[np.ndarray], b: Sequence[np.ndarray]) -> Match:
    """Permutations of b's units that maximise the sum of correlations with those of a, layer by layer.

    Units without variation correlate 0 with all others; among equal sums the first in order is taken.

    Args:
        a: activations of the network that stays, one array (samples, units) per hidden layer.
        b: those of the network that is permuted, on the same samples.

    Cost: samples x d^2 per layer, and up to d^3 for the assignment.
    """
    orders, score = [], 0.0
    for ours, theirs in zip(a, b, strict=True):
        shared = correlations(ours, theirs)
        rows, columns = linear_sum_assignment(shared, maximize=True)
        orders.append(columns[np.argsort(rows)])
        score += float(shared[rows, columns].sum())
    return Match(orders, score)


def correlations(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Pearson correlations of the columns of x with those of y, float64; 0 where a column does not vary."""
    ours, theirs = (standardised(torch.from_numpy(values)) for values in (x, y))
    return (ours.T @ theirs).numpy()


def random_orders(state: State, layers: Sequence[str], seed: int) -> list[np.ndarray]:
    """Uniformly random orders of all hidden layers."""
    rng = np.random.default_rng(seed)
    return [rng.permutation(len(state[f"{layer}.bias"])) for layer in layers[:-1]]


def _gains(
    ours: dict[str, np.ndarray],
    theirs: dict[str, np.ndarray],
    layers: Sequence[str],
    orders: Sequence[np.ndarray],
    number: int,
) -> np.ndarray:
    """The objective's part of each pair of units of a layer, with the neighbouring layers in their present order."""
    layer, after = layers[number], layers[number + 1]
    incoming = theirs[f"{layer}.weight"]
    if number > 0:
        incoming = incoming[:, orders[number - 1]]
    gains = _rows(ours[f"{layer}.weight"]) @ _rows(incoming).T
    gains += np.outer(ours[f"{layer}.bias"], theirs[f"{layer}.bias"])
    outgoing = theirs[f"{after}.weight"]
    if number + 1 < len(orders):
        outgoing = outgoing[orders[number + 1]]
    return gains + _rows(ours[f"{after}.weight"].swapaxes(0, 1)) @ _rows(outgoing.swapaxes(0, 1)).T


def _inner(
    ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray], layers: Sequence[str], orders: Sequence[np.ndarray]
) -> float:
    tensors = {name: torch.from_numpy(value) for name, value in theirs.items()}
    moved = permuted(tensors, layers, orders)
    return float(sum((ours[f"{n}.{p}"] * moved[f"{n}.{p}"].numpy()).sum() for n in layers for p in ("weight", "bias")))


def _rows(weight: np.ndarray) -> np.ndarray:
    return weight.reshape(len(weight), -1)
