"""One layer of one model in one split: the data on which maps are fitted and tested."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from platorep.maps.anchors import Anchors, narrowed, spanned, spanned_anchors
from platorep.maps.heads import Head, Labels, head, prototypes
from platorep.maps.relative import MOST_ENTRIES, normalised, relative, sharpened
from platorep.maps.ridge import STRENGTHS
from platorep.maps.splits import Split


ASIF_POWER = 8
"""Exponent of the map "asif"; with exponent 1 and all entries it is the map "relative"."""


@dataclass(frozen=True)
class Parts:
    """Representations of the samples of a split, each shape (samples, d) float64."""

    fit: np.ndarray
    select: np.ndarray
    test: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray, split: Split) -> Parts:
        """The rows of each part."""
        return cls(values[split.fit], values[split.select], values[split.test])


@dataclass(frozen=True)
class Targets:
    """The vectors with which queries are compared in a common space.

    Attributes:
        answers: normalised test samples, shape (n_test, c).
        centres: mean of the normalised samples of fit of each class, shape (classes, c); None without classes.
    """

    answers: np.ndarray
    centres: np.ndarray | None

    @classmethod
    def of(cls, test: np.ndarray, fit: np.ndarray, labels: Labels | None) -> Targets:
        """Builds the targets from samples of fit and test, shapes (n_fit, c) and (n_test, c)."""
        return cls(normalised(test), None if labels is None else prototypes(fit, labels.fit, len(labels.names)))

    def reordered(self, order: np.ndarray | None) -> Targets:
        """The targets with their dimensions in another order; those of relative representations are anchors."""
        if order is None:
            return self
        return Targets(self.answers[:, order], None if self.centres is None else self.centres[:, order])


@dataclass
class Side:
    """One layer in one split.

    Attributes:
        values: features of all samples, clamped at a threshold of fit, shape (n, d).
        split: split of the samples.
        labels: classes of the samples; None if the dataset has none.
    """

    values: np.ndarray
    split: Split
    labels: Labels | None
    at: dict[int, Relations] = field(default_factory=dict)

    @property
    def width(self) -> int:
        """Number of dimensions of the layer."""
        return self.values.shape[1]

    @cached_property
    def units(self) -> Parts:
        """The features in the axes of the model, for permutations of units."""
        return Parts.of(np.asarray(self.values, dtype=np.float64), self.split)

    @cached_property
    def narrow(self) -> Parts:
        """The features in at most n dimensions with the same inner products, for all maps that ignore the axes."""
        return self.units if self.width <= len(self.values) else Parts.of(narrowed(self.values), self.split)

    @cached_property
    def head(self) -> Head:
        """A classifier of the features, centred by the mean of fit."""
        mean = self.narrow.fit.mean(axis=0)
        return head(self.narrow.fit - mean, self.narrow.select - mean, self.labels)  # type: ignore[arg-type]

    @cached_property
    def accuracy(self) -> float:
        """Share of the test samples that this head classifies correctly."""
        predicted = self.head.predict(self.narrow.test - self.narrow.fit.mean(axis=0))
        return float((predicted == self.labels.test).mean())  # type: ignore[union-attr]

    def relations(self, count: int) -> Relations:
        """The computations that maps from the first `count` anchors share; cached until `forget`."""
        if count not in self.at:
            self.at[count] = Relations(self, count)
        return self.at[count]

    def forget(self) -> None:
        """Empties the cache of `relations`."""
        self.at.clear()


@dataclass
class Relations:
    """A layer and its first m anchors. Samples are in the coordinates that the anchors span (`anchors.spanned`)."""

    side: Side
    count: int

    @cached_property
    def narrow(self) -> Anchors:
        """The anchors in the layer's narrow coordinates."""
        return Anchors(self.side.narrow.fit[: self.count])

    @cached_property
    def anchors(self) -> Anchors:
        """The anchors in the coordinates that they span."""
        return spanned_anchors(self.narrow)

    @cached_property
    def parts(self) -> Parts:
        """All samples in these coordinates, each shape (samples, r + 1)."""
        whole = self.side.narrow
        return Parts(*(spanned(part, self.narrow) for part in (whole.fit, whole.select, whole.test)))

    @cached_property
    def targets(self) -> Targets:
        """The targets of predictions."""
        return Targets.of(self.parts.test, self.parts.fit, self.side.labels)

    @cached_property
    def seen_head(self) -> Head:
        """The head of the layer as a function of coordinates in the span."""
        return self.side.head.moved(self.narrow.factors.right, self.narrow.mean - self.side.narrow.fit.mean(axis=0))

    def classified(self, predictions: np.ndarray) -> np.ndarray:
        """Classes that the head of the layer assigns to predictions of its samples, int64.

        Args:
            predictions: coordinates in the span of the anchors, shape (n, r + 1); the last one is 0.
        """
        return self.seen_head.predict(predictions[:, :-1])

    @cached_property
    def relative(self) -> Parts:
        """All samples relative to the anchors, each shape (samples, m)."""
        parts, anchors = self.parts, self.anchors
        return Parts(*(relative(part, anchors) for part in (parts.fit, parts.select, parts.test)))

    @cached_property
    def relative_targets(self) -> Targets:
        """The targets of relative queries."""
        return Targets.of(self.relative.test, self.relative.fit, self.side.labels)

    @cached_property
    def sharp(self) -> np.ndarray:
        """Test samples relative to the anchors in the form of ASIF, shape (n_test, m)."""
        return sharpened(self.relative.test, ASIF_POWER, MOST_ENTRIES)

    @cached_property
    def sharp_targets(self) -> Targets:
        """The targets of ASIF's queries."""
        fit = sharpened(self.relative.fit, ASIF_POWER, MOST_ENTRIES)
        return Targets.of(self.sharp, fit, self.side.labels)

    @cached_property
    def head(self) -> Head:
        """A classifier of relative representations."""
        return head(self.relative.fit, self.relative.select, self.side.labels)  # type: ignore[arg-type]

    @cached_property
    def accuracy(self) -> float:
        """Share of the test samples that this head classifies correctly."""
        return float((self.head.predict(self.relative.test) == self.side.labels.test).mean())  # type: ignore[union-attr]

    def prepare(self) -> None:
        """Computes everything that all pairs of the layer share."""
        _ = self.targets, self.relative_targets, self.sharp_targets
        _ = self.anchors.left_out(STRENGTHS), self.anchors.products
        if self.side.labels is not None:
            _ = self.side.accuracy, self.accuracy, self.seen_head
