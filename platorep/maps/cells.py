"""All maps between two layers from the same anchors, in both directions, with their scores."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from platorep.maps.anchors import Anchors
from platorep.maps.linear import LinearMap, Rotation, permutation
from platorep.maps.measures import Measure, Scene, measures, stitched
from platorep.maps.ridge import RidgeMap, ridge
from platorep.maps.sides import Relations, Targets


FORWARD, BACKWARD = "x to y", "y to x"

MOST_UNITS = 2048
"""Largest width for which units are permuted. An assignment of 4,096 units takes half a minute, and there are many."""


@dataclass(frozen=True)
class Cell:
    """Scores of one map in one direction.

    Attributes:
        experiment: translation or stitching.
        map: name of the class of maps.
        direction: "x to y" or "y to x".
        scores: scores by measure.
        strength: penalty of a ridge; NaN for other maps.
        freedom: effective degrees of freedom of a ridge; NaN for other maps.
    """

    experiment: str
    map: str
    direction: str
    scores: dict[str, Measure]
    strength: float = float("nan")
    freedom: float = float("nan")


@dataclass(frozen=True)
class Pairing:
    """Two layers with the same anchors.

    Attributes:
        x: a layer and its anchors.
        y: another and its anchors.
        order: the anchors of x are paired with those of y in this order; None keeps the true pairing.
    """

    x: Relations
    y: Relations
    order: np.ndarray | None = None

    def cells(self, scene: Scene, directions: tuple[str, ...] = (FORWARD, BACKWARD)) -> Iterator[Cell]:
        """Scores of every class of maps and of the relative representations, in each direction.

        Layers with different widths, or with more than `MOST_UNITS` units, have no permutation.
        """
        x = self.x.anchors if self.order is None else self.x.anchors.reordered(self.order)
        rotation = Rotation(x, self.y.anchors)
        for direction in directions:
            if self.x.side.width == self.y.side.width <= MOST_UNITS:
                yield Cell("translation", "permutation", direction, self._permuted(direction, scene))
            ahead = direction == FORWARD
            yield from self._linear("orthogonal", direction, rotation.forward if ahead else rotation.backward, scene)
            yield from self._linear("ridge", direction, ridge(x, rotation.y) if ahead else ridge(rotation.y, x), scene)
            yield from self._relative(direction, scene)

    def _sides(self, direction: str) -> tuple[Relations, Relations]:
        """The layer that is translated, and the one that it is translated into."""
        return (self.x, self.y) if direction == FORWARD else (self.y, self.x)

    def _linear(self, name: str, direction: str, fitted: LinearMap, scene: Scene) -> Iterator[Cell]:
        source, target = self._sides(direction)
        queries = fitted.source(source.parts.test)
        facts = {"strength": fitted.strength, "freedom": fitted.freedom} if isinstance(fitted, RidgeMap) else {}
        scores = measures(queries, target.targets, scene, truth=target.parts.test)
        yield Cell("translation", name, direction, scores, **facts)
        if scene.labels is not None:
            scores = stitched(target.classified(queries), source.side.accuracy, scene.labels)
            yield Cell("stitching", name, direction, scores, **facts)

    def _permuted(self, direction: str, scene: Scene) -> dict[str, Measure]:
        """Scores of a permutation of units, in the original axes of the models."""
        source, target = (relations.side.units for relations in self._sides(direction))
        x, y = (relations.side.units.fit[: relations.count] for relations in (self.x, self.y))
        anchors = Anchors(x if self.order is None else x[self.order]), Anchors(y)
        fitted = permutation(*(anchors if direction == FORWARD else anchors[::-1]))
        truth = fitted.target(target.test)
        targets = Targets.of(truth, fitted.target(target.fit), scene.labels)
        return measures(fitted.source(source.test), targets, scene, truth=truth)

    def _relative(self, direction: str, scene: Scene) -> Iterator[Cell]:
        source, target = self._sides(direction)
        # the anchors of x in the order of those of y, or those of y in the order of those of x
        to_y = self.order
        to_x = None if self.order is None else np.argsort(self.order)
        order = to_y if direction == FORWARD else to_x
        columns = slice(None) if order is None else order
        queries = source.relative.test[:, columns]
        yield Cell("translation", "relative", direction, measures(queries, target.relative_targets, scene))
        yield Cell("translation", "asif", direction, measures(source.sharp[:, columns], target.sharp_targets, scene))
        if scene.labels is not None:
            yield Cell(
                "stitching",
                "relative",
                direction,
                stitched(target.head.predict(queries), source.accuracy, scene.labels),
            )
