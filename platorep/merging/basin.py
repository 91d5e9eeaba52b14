"""Whether trained networks lie in one basin: lines between them before and after matching, forks, soups, kernels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import torch
from threadpoolctl import threadpool_limits

from platorep.core.errors import FeatureError
from platorep.core.version import __version__
from platorep.maps.layers import kernel_score
from platorep.merging.paths import (
    Moments,
    logits,
    mixed,
    moments,
    permuted_moments,
    repaired,
    score,
    with_weights,
)
from platorep.merging.permutations import (
    Match,
    State,
    chain,
    match_activations,
    match_weights,
    permuted,
    random_orders,
)
from platorep.merging.soups import soups
from platorep.metrics.base import Geometry, Metric
from platorep.results.basin import BasinTable
from platorep.training.networks import Network, pooled
from platorep.training.pictures import Labelled


NONE, RANDOM, WEIGHTS, ACTIVATIONS, REPAIR, ENSEMBLE = "none", "random", "weights", "activations", "+repair", "ensemble"
"""Methods: how y's units are ordered, whether activations are repaired, and the mean of the logits."""

SEEDS, FORK, HALVES, COPY = "seeds", "fork", "halves", "copy"
"""Relations of two networks: other seeds, a shared start, disjoint halves of the pictures, the same units permuted."""

Progress = Callable[[int, int, str], object]


@dataclass(frozen=True)
class Pictures:
    """The pictures of an experiment, no two of which are the same.

    Attributes:
        fit: training pictures, for matching, repair and the training loss.
        held: pictures for choices.
        test: pictures for the results.
        near: number of test pictures whose neighbours are compared.
    """

    fit: Labelled
    held: Labelled
    test: Labelled
    near: int = 2000


class Trainee:
    """A trained network, with what is measured of it once.

    Args:
        name: of the model.
        network: it.
        width: of its architecture.
        epoch: of training.
        pictures: those of the experiment.
    """

    def __init__(self, name: str, network: Network, width: int, epoch: int, pictures: Pictures) -> None:
        self.name, self.network, self.width, self.epoch, self.pictures = name, network, width, epoch, pictures

    @property
    def state(self) -> State:
        """Its weights."""
        return self.network.state_dict()

    @cached_property
    def logits(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Its logits of the pictures of fit and of test."""
        return logits(self.network, self.pictures.fit.inputs), logits(self.network, self.pictures.test.inputs)

    @cached_property
    def moments(self) -> list[Moments]:
        """Moments of its hidden units before the ReLU, on the pictures of fit."""
        return moments(self.network, self.pictures.fit.inputs)

    @cached_property
    def activations(self) -> list[np.ndarray]:
        """Outputs of its hidden units on the pictures of fit, (pictures, units); of maps, at one position a picture.

        The position is drawn at random for each picture and layer, the same for all networks.
        """
        with torch.inference_mode():
            layers = self.network.layers(self.pictures.fit.inputs)
        outputs = []
        for number, states in enumerate(layers):
            if states.ndim > 2:
                flat = states.flatten(2)
                places = np.random.default_rng(number).integers(0, flat.shape[2], len(flat))
                states = flat[torch.arange(len(flat)), :, torch.from_numpy(places)]
            outputs.append(states.numpy())
        return outputs

    @cached_property
    def geometries(self) -> list[Geometry | None]:
        """Its layers, as means over positions, on the first test pictures; None where a picture is all 0."""
        with torch.inference_mode():
            states = self.network.layers(self.pictures.test.inputs[: self.pictures.near])
        return [_geometry(pooled(state)) for state in states]


@dataclass(frozen=True)
class Two:
    """Two networks of one architecture, and how they are related.

    Attributes:
        x, y: the networks.
        relation: seeds, fork or halves.
        shared: epochs that a fork shares.
    """

    x: Trainee
    y: Trainee
    relation: str = SEEDS
    shared: int = 0


def basin(
    pairs: Sequence[Two],
    groups: Sequence[tuple[str, int, Sequence[Trainee]]],
    metric: Metric,
    *,
    points: int = 11,
    seed: int = 0,
    threads: int = 1,
    dataset: str = "",
    progress: Progress | None = None,
) -> BasinTable:
    """Lines between networks, with the kernel scores of the same layers, and soups of groups of networks.

    For each pair: the line of weights as they are, after a random permutation of y's units, after weight matching and
    after activation matching, both also with REPAIR, and the mean of the logits of both. Each is scored on training and
    test pictures at `points` places. For each relation of the table, the first x is also paired with a copy of itself
    whose units are permuted at random.

    Args:
        pairs: pairs of networks.
        groups: relation, shared epochs and networks of each soup.
        metric: kernel score of the same layer of both networks.
        points: places on a line, with both ends.
        seed: of random permutations and of visits of the weight matching.
        threads: pairs at a time; results do not depend on it.
        dataset: name of the test pictures.
        progress: called after each pair.

    Raises:
        SpecError: a network is a transformer.

    Cost: per pair, 6 x (points - 2) forward passes over the pictures of fit and test.
    """
    everything = [*pairs, *_copies(pairs, seed)]
    rows: list[dict[str, Any]] = []
    with ThreadPoolExecutor(threads) as pool, threadpool_limits(1):
        results = pool.map(lambda two: list(_rows_of_pair(two, metric, points, seed)), everything)
        for number, result in enumerate(results):
            rows += result
            if progress is not None:
                progress(number + 1, len(everything), f"{everything[number].x.name} × {everything[number].y.name}")
        for result in pool.map(lambda group: list(_rows_of_soup(group[0], group[1], group[2], seed)), groups):
            rows += result
    common = {"dataset": dataset, "seed": seed, "version": __version__}
    empty = {"layer": -1, "share": np.nan, "chance": np.nan, "metric": "", "y_model": ""}
    return BasinTable.from_frame(pd.DataFrame([{**empty, **common, **row} for row in rows]))


def _copies(pairs: Sequence[Two], seed: int) -> list[Two]:
    """The first network of each architecture with a copy of itself whose units are permuted."""
    copies = {}
    for two in pairs:
        x = two.x
        if two.relation == SEEDS and (key := (x.network.kind, x.width)) not in copies:
            layers = chain(x.network)
            moved = with_weights(x.network, permuted(x.state, layers, random_orders(x.state, layers, seed + 1)))
            copies[key] = Two(x, Trainee(f"{x.name} permuted", moved, x.width, x.epoch, x.pictures), COPY)
    return list(copies.values())


def _facts(two: Two) -> dict[str, Any]:
    x = two.x
    facts = {"architecture": x.network.kind, "width": x.width, "epoch": x.epoch, "relation": two.relation}
    return facts | {"shared": two.shared, "x_model": x.name, "y_model": two.y.name}


def _rows_of_pair(two: Two, metric: Metric, points: int, seed: int) -> Iterator[dict[str, Any]]:
    x, y, facts = two.x, two.y, _facts(two)
    layers = chain(x.network)
    by_weights = match_weights(x.state, y.state, layers, seed)
    by_activations = match_activations(x.activations, y.activations)
    matches = {
        NONE: None,
        RANDOM: random_orders(y.state, layers, seed),
        WEIGHTS: by_weights.orders,
        ACTIVATIONS: by_activations.orders,
    }
    for method, orders in matches.items():
        yield from _rows_of_line(two, method, orders, points)
    yield from _ensemble(two, points)
    yield from _rows_of_match(two, by_weights)
    for number, (a, b) in enumerate(zip(x.geometries, y.geometries, strict=True)):
        value, chance = (np.nan, np.nan) if a is None or b is None else kernel_score(a, b, metric)
        more = {"experiment": "kernel", "method": "", "layer": number, "quantity": "kernel", "value": value}
        yield facts | more | {"chance": chance, "metric": metric.id, "n": x.pictures.near}


def _rows_of_line(two: Two, method: str, orders: Sequence[np.ndarray] | None, points: int) -> Iterator[dict[str, Any]]:
    """Scores of one line, and of the same line after REPAIR where units were matched."""
    x, y = two.x, two.y
    state = y.state if orders is None else permuted(y.state, chain(y.network), orders)
    ends = x.moments, y.moments if orders is None else permuted_moments(y.moments, orders)
    for share in np.linspace(0, 1, points):
        if share in (0.0, 1.0):  # the ends are networks as they are
            values = (x if share == 1.0 else y).logits
            yield from _scores(two, method, share, values)
            if method in (WEIGHTS, ACTIVATIONS):
                yield from _scores(two, method + REPAIR, share, values)
            continue
        between = with_weights(x.network, mixed([x.state, state], [share, 1 - share]))
        yield from _scores(two, method, share, _logits(between, x.pictures))
        if method in (WEIGHTS, ACTIVATIONS):
            fixed = repaired(between, ends, float(share), x.pictures.fit.inputs)
            yield from _scores(two, method + REPAIR, share, _logits(fixed, x.pictures))


def _ensemble(two: Two, points: int) -> Iterator[dict[str, Any]]:
    for share in np.linspace(0, 1, points):
        both = zip(two.x.logits, two.y.logits, strict=True)
        fit, test = (share * a + (1 - share) * b for a, b in both)
        yield from _scores(two, ENSEMBLE, share, (fit, test))


def _logits(network: Network, pictures: Pictures) -> tuple[torch.Tensor, torch.Tensor]:
    return logits(network, pictures.fit.inputs), logits(network, pictures.test.inputs)


def _scores(two: Two, method: str, share: float, values: tuple[torch.Tensor, torch.Tensor]) -> Iterator[dict[str, Any]]:
    facts = _facts(two) | {"experiment": "path", "method": method, "share": float(share)}
    pictures = two.x.pictures
    for part, name, logits_of in ((pictures.fit, "train", values[0]), (pictures.test, "test", values[1])):
        scores = score(logits_of, part.labels)
        for quantity, value in zip(("loss", "accuracy"), scores, strict=True):
            yield facts | {"quantity": f"{name}_{quantity}", "value": value, "n": len(part)}


def _rows_of_match(two: Two, by_weights: Match) -> Iterator[dict[str, Any]]:
    """Starts of the weight matching that ended lower, and units that never vary."""
    facts = _facts(two) | {"experiment": "match", "n": len(two.x.pictures.fit)}
    yield facts | {"method": WEIGHTS, "quantity": "missed_starts", "value": float(by_weights.missed)}
    dead = sum(int((values.std(axis=0) == 0).sum()) for values in two.x.activations)
    yield facts | {"method": ACTIVATIONS, "quantity": "dead_units", "value": float(dead)}


def _rows_of_soup(relation: str, shared: int, members: Sequence[Trainee], seed: int) -> Iterator[dict[str, Any]]:
    """Soups of networks as they are and, of other seeds, after weight matching to the first."""
    first = members[0]
    layers, states = chain(first.network), [member.state for member in members]
    groups = {"": states}
    if relation == SEEDS:
        matched = [permuted(s, layers, match_weights(states[0], s, layers, seed).orders) for s in states[1:]]
        groups["matched "] = [states[0], *matched]
    facts = {"experiment": "soup", "architecture": first.network.kind, "width": first.width, "epoch": first.epoch}
    facts |= {"relation": relation, "shared": shared, "x_model": first.name, "n": len(first.pictures.test)}
    for prefix, group in groups.items():
        for name, value in soups(first.network, group, first.pictures.held, first.pictures.test).items():
            if not prefix or name in ("uniform", "greedy"):
                yield facts | {"method": prefix + name, "quantity": "test_accuracy", "value": value}


def _geometry(x: torch.Tensor) -> Geometry | None:
    try:
        return Geometry(x)
    except FeatureError:
        return None
