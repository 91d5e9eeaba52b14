"""Linear classifiers that are trained on the representations of one encoder and used unchanged on those of another.

A head sees one sample at a time. Its input is normalised by the length of the sample and by the means of `fit`, never
by statistics of the samples to classify. Standardising by the evaluated batch would remove the mismatch in shift and
scale that zero-shot stitching claims to survive, so no function here takes the statistics of a batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from platorep.core.errors import DataError
from platorep.maps.anchors import Anchors
from platorep.maps.relative import normalised
from platorep.maps.ridge import STRENGTHS


@dataclass(frozen=True)
class Labels:
    """Classes of the samples of a split, as indices into `names`, int64.

    Attributes:
        names: names of the classes, in order.
        fit: shape (n_fit,).
        select: shape (n_select,).
        test: shape (n_test,).
    """

    names: list[str]
    fit: np.ndarray
    select: np.ndarray
    test: np.ndarray

    @property
    def majority(self) -> float:
        """Share of the test samples that belong to the most frequent class of fit: the best accuracy without input."""
        return float((self.test == np.bincount(self.fit, minlength=len(self.names)).argmax()).mean())


@dataclass(frozen=True)
class Head:
    """A linear classifier of vectors v = origin + input basis: the largest entry of v weights / ||v|| + intercept.

    Attributes:
        weights: basis times the weights of v, shape (d, classes).
        intercept: shape (classes,).
        constant: origin times the weights of v, shape (classes,).
        slant: basis times origin, shape (d,); None for an origin of 0.
        distance: squared length of the origin.
    """

    weights: np.ndarray
    intercept: np.ndarray
    constant: np.ndarray | float = 0.0
    slant: np.ndarray | None = None
    distance: float = 0.0

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Class of each sample, int64. It does not depend on the other samples.

        Args:
            features: inputs of shape (n, d).
        """
        squares = np.einsum("ij,ij->i", features, features) + self.distance
        if self.slant is not None:
            squares += 2 * features @ self.slant
        length = np.sqrt(np.maximum(squares, 0.0))[:, None]
        return (features @ self.weights + self.constant + length * self.intercept).argmax(axis=1)

    def moved(self, basis: np.ndarray, origin: np.ndarray) -> Head:
        """The same classifier applied to vectors origin + input basis.

        Args:
            basis: orthonormal rows, shape (r, d).
            origin: shape (d,).
        """
        constant, slant = origin @ self.weights, basis @ origin
        return Head(basis @ self.weights, self.intercept, constant, slant, float(origin @ origin))


def head(fit: np.ndarray, select: np.ndarray, labels: Labels) -> Head:
    """Ridge regression to class indicators, with the strength that has the highest accuracy on `select`.

    Args:
        fit: features of the samples of fit, shape (n_fit, d); rows are normalised to length 1.
        select: features of the samples of select, shape (n_select, d).
        labels: their classes.

    Raises:
        DataError: the numbers of samples differ.

    Cost: one decomposition of `fit`.
    """
    if len(fit) != len(labels.fit) or len(select) != len(labels.select):
        raise DataError(
            f"a head got {len(fit)} and {len(select)} samples for {len(labels.fit)} and {len(labels.select)} labels."
        )
    inputs, indicators = Anchors(normalised(fit)), np.eye(len(labels.names))[labels.fit]
    left, values, right = inputs.factors
    shared = left.T @ (indicators - indicators.mean(axis=0))
    moved = (normalised(select) - inputs.mean) @ right.T
    best, weights = -1.0, np.zeros((inputs.width, len(labels.names)))
    for strength in STRENGTHS[::-1] * ((values**2).mean() if len(values) else 1.0):  # ties go to the strongest
        candidate = (values / (values**2 + strength))[:, None] * shared
        right_answers = (moved @ candidate + indicators.mean(axis=0)).argmax(axis=1) == labels.select
        if right_answers.mean() > best:
            best, weights = right_answers.mean(), right.T @ candidate
    return Head(weights, indicators.mean(axis=0) - inputs.mean @ weights)


def weighted_f1(truth: np.ndarray, predicted: np.ndarray, classes: int) -> float:
    """F1 averaged over classes, weighted by their numbers of samples; 0 for a class without a correct prediction."""
    support, claimed = np.bincount(truth, minlength=classes), np.bincount(predicted, minlength=classes)
    right = np.bincount(truth[truth == predicted], minlength=classes)
    total = support + claimed
    return float((support * 2 * right / np.where(total > 0, total, 1)).sum() / len(truth))


def prototypes(features: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """Mean of the normalised features of each class, shape (classes, d); zeros for a class without samples."""
    indicators = np.eye(classes)[labels]
    return indicators.T @ normalised(features) / np.maximum(indicators.sum(axis=0), 1)[:, None]
