"""Two models compared unit by unit: observed partners, permuted samples, rotated bases, halves of the samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch

from platorep.core.digest import text_digest
from platorep.core.errors import FeatureError, SpecError, unknown_name
from platorep.core.features import Features
from platorep.core.resources import DEFAULT, Resources, pick_device
from platorep.stats.permutations import Permutations
from platorep.units.correlations import Arrangement, Strongest, strongest, tiles
from platorep.units.reading import ModelUnits, RotatedUnits


RULES = {"best_buddies": 1, "released": 5}
"""Rules of a match with the best partner: the unit must be among this many best partners of its partner."""

KEPT = 5
"""Partners kept for every unit with unpermuted samples, for the second best and for the rank back."""

SPLITS = 10
"""Number of splits of the samples into random halves, for the interval of a share."""

LEAST_SAMPLES = 8
"""Least number of samples; with fewer, correlations are meaningless."""


@dataclass(frozen=True, kw_only=True)
class Matching:
    """How units are matched and tested.

    Args:
        rule: "best_buddies", or "released", which needs a unit among the 5 best of its partner, as in the code of
            Rosetta neurons.
        permutations: number of permutations of the samples for the null; 0 leaves out the measures that need it.
        rotations: number of rotations of each layer's basis; 0 leaves out the measure that needs them.
        layers: indices of the layers by model key; models without an entry use all layers.
        seed: seed of permutations and rotations.
        strata: labels; samples are only permuted within a label.
        strata_name: name of the labels, for the table.
        partial: name of the covariates that are removed from every unit; empty for none.
        covariates: values of the covariates, shape (n, q), or None.

    Raises:
        UnknownNameError: the rule does not exist.
        SpecError: a number is negative.
    """

    rule: str = "best_buddies"
    permutations: int = 99
    rotations: int = 5
    layers: Mapping[str, Sequence[int]] = field(default_factory=dict)
    seed: int = 0
    strata: Sequence[Any] | None = None
    strata_name: str = ""
    partial: str = ""
    covariates: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise unknown_name("rule of matches", self.rule, RULES)
        if min(self.permutations, self.rotations) < 0:
            raise SpecError(
                f"units need permutations and rotations of 0 or more; got {self.permutations} and {self.rotations}."
            )

    @property
    def best(self) -> int:
        """Number of best partners among which the unit must be."""
        return RULES[self.rule]

    def chosen(self, features: Features) -> list[int]:
        """Indices of the layers of a model that are compared."""
        return list(self.layers.get(features.key, range(len(features.layers))))

    def identity(self, x: Features, y: Features) -> list[Any]:
        """Everything that determines the comparison of two models, besides their features, as JSON values."""
        settings = [self.rule, self.permutations, self.rotations, self.seed, self.strata_name, self.partial]
        return [*settings, self.chosen(x), self.chosen(y)]

    def units(self, features: Features) -> ModelUnits:
        """The units of a model after removal of the covariates.

        Raises:
            FeatureError: there are too few samples.
        """
        if features.n < LEAST_SAMPLES:
            raise FeatureError(
                f"{features.name} has {features.n} samples; correlations of units need {LEAST_SAMPLES} or more."
            )
        columns = None if self.covariates is None else orthonormal(self.covariates)
        return ModelUnits(features, self.chosen(features), columns)


class Seen(NamedTuple):
    """The score of every unit with its partner in one direction, under one or several arrangements.

    Attributes:
        score: highest correlation of every unit of x, shape (..., units of x).
        partner: index of the partner in y, same shape.
        matched: whether the two are a match by the rule, same shape.
    """

    score: np.ndarray
    partner: np.ndarray
    matched: np.ndarray


@dataclass(frozen=True)
class Direction:
    """Units of x and their partners in y.

    Attributes:
        x: units of x.
        y: units of y.
        observed: shapes (units of x,).
        second: second highest correlation, shape (units of x,); NaN where y has one unit.
        rank_back: rank of the unit among the correlations of its partner, 1 to `KEPT`, NaN beyond.
        permuted: shapes (permutations, units of x).
        rotated: shapes (rotations, units of x), with the bases of y rotated.
        halves: shapes (2 splits, units of x), both halves of each split of the samples in turn; no rows where a half
            would have fewer than `LEAST_SAMPLES`.
    """

    x: ModelUnits
    y: ModelUnits
    observed: Seen
    second: np.ndarray
    rank_back: np.ndarray
    permuted: Seen
    rotated: Seen
    halves: Seen


def compare(
    x: Features,
    y: Features,
    matching: Matching,
    *,
    resources: Resources = DEFAULT,
    progress: Callable[[int, int, str], object] | None = None,
) -> tuple[Direction, Direction]:
    """Compares two models, or a model with itself, in both directions.

    Args:
        x: one model.
        y: another model on the same samples.
        matching: rule, null and layers.
        resources: memory for blocks of units and a tile of correlations, and the device of products; the CPU is used if
            the device does not support float64.
        progress: called with (tiles done, tiles to do, names of the models).

    Raises:
        FeatureError: there are too few samples, a value is not finite, or no unit of a model varies.
        DataError: the strata cannot be permuted.
        SpecError: there is too little memory.

    Cost: (11 + permutations + 2 rotations) products of n d_x d_y multiplications.
    """
    a, b = matching.units(x), matching.units(y)
    for side in (a, b):
        if not len(side.dead.layer) < len(side.dead.layer) + side.count:
            raise FeatureError(
                f"{side.features.name} has no unit that varies over the samples: there is nothing to match."
            )
    n, orders, halves = x.n, _orders(x.n, matching), _halves(x.n, matching.seed)
    memory, device = resources.memory, pick_device(resources.device)
    total = tiles(a.count, b.count, n, memory) * (1 + len(orders) + len(halves) + 2 * matching.rotations)
    done, names = 0, f"{x.name} × {y.name}"

    def step() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total, names)

    more: dict[str, Any] = {"memory": memory, "device": "cpu" if device.type == "mps" else device, "progress": step}
    in_order = strongest(a, b, keep=KEPT, **more)[0]
    permuted = strongest(a, b, orders, keep=matching.best, **more) if orders else []
    halved = strongest(a, b, halves, keep=matching.best, **more) if halves else []
    turned = [
        # the rotated side comes first, because its blocks are read, and therefore rotated, only once
        [
            _swapped(
                strongest(RotatedUnits(side, seeds(matching.seed, draw, side)), other, keep=matching.best, **more)[0]
            )
            for draw in range(matching.rotations)
        ]
        for side, other in ((b, a), (a, b))
    ]
    swapped = [[_swapped(result) for result in some] for some in ([in_order], permuted, halved)]
    return (
        _direction(a, b, in_order, (permuted, turned[0], halved), matching.best),
        _direction(b, a, swapped[0][0], (swapped[1], turned[1], swapped[2]), matching.best),
    )


def orthonormal(covariates: np.ndarray) -> torch.Tensor:
    """Centred orthonormal columns that span the same space, shape (n, rank) float64.

    Raises:
        FeatureError: values are not finite.
    """
    columns = np.asarray(covariates, dtype=np.float64).reshape(len(covariates), -1)
    if not np.isfinite(columns).all():
        raise FeatureError("what is removed from the units has values that are NaN or infinite.")
    u, s, _ = np.linalg.svd(columns - columns.mean(axis=0), full_matrices=False)
    return torch.from_numpy(u[:, s > 1e-12 * max(s.max(), 1e-300)])


def seeds(seed: int, draw: int, units: ModelUnits) -> list[int]:
    """Seeds of one rotation of a model's layers. They do not depend on the other model."""
    return [seed, draw, int(text_digest(units.features.key), 16)]


def _swapped(result: Strongest) -> Strongest:
    """The same comparison with the sides exchanged."""
    return Strongest(result.y, result.x)


def _orders(n: int, matching: Matching) -> list[Arrangement]:
    if not matching.permutations:
        return []
    drawn = Permutations.draw(n, matching.permutations, matching.seed, matching.strata)
    return [Arrangement(None, torch.from_numpy(order).long()) for order in drawn.order]


def _halves(n: int, seed: int) -> list[Arrangement]:
    if n < 2 * LEAST_SAMPLES:
        return []
    rng = np.random.default_rng(seed)
    halves = [half for _ in range(SPLITS) for half in torch.from_numpy(rng.permutation(n)).tensor_split(2)]
    return [Arrangement(half, half) for half in halves]


def _direction(
    x: ModelUnits, y: ModelUnits, in_order: Strongest, more: Sequence[Sequence[Strongest]], best: int
) -> Direction:
    """The results of one direction, in which partners of the units of x are searched in y."""
    partner = in_order.x.unit[:, 0]
    back = in_order.y.unit[partner] == np.arange(x.count)[:, None]
    rank = np.where(back.any(axis=1), back.argmax(axis=1) + 1.0, np.nan)
    second = in_order.x.score[:, 1] if y.count > 1 else np.full(x.count, np.nan)
    observed = Seen(in_order.x.score[:, 0], partner, back[:, :best].any(axis=1))
    permuted, rotated, halves = (_stacked([_seen(result) for result in some], x.count) for some in more)
    return Direction(x, y, observed, second, rank, permuted, rotated, halves)


def _seen(result: Strongest) -> Seen:
    """The result of one arrangement. A unit is matched if it is among the kept partners of its partner."""
    partner = result.x.unit[:, 0]
    matched = (result.y.unit[partner] == np.arange(len(partner))[:, None]).any(axis=1)
    return Seen(result.x.score[:, 0], partner, matched)


def _stacked(seen: Sequence[Seen], count: int) -> Seen:
    if not seen:
        return Seen(np.empty((0, count)), np.empty((0, count), dtype=np.int64), np.empty((0, count), dtype=bool))
    return Seen(*(np.stack(column) for column in zip(*seen, strict=True)))
