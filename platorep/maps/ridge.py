"""Ridge regression from one representation to another, with a strength chosen by leave-one-out on the anchors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from platorep.maps.anchors import Anchors, check_paired
from platorep.maps.linear import LinearMap


STRENGTHS = 10.0 ** np.array([-4, -3, -2, -1, -0.5, 0, 0.5, 1, 1.5, 2])
"""Candidates for the strength, in units of the mean of the squared singular values of the centred anchors.

They are dense in the range that related models need; the small ones are for copies."""


@dataclass(frozen=True)
class RidgeMap(LinearMap):
    """A ridge regression.

    Attributes:
        strength: the penalty lambda.
        freedom: effective degrees of freedom tr(X (X'X + lambda I)^-1 X'), without the intercept.
    """

    strength: float
    freedom: float


def ridge(x: Anchors, y: Anchors) -> RidgeMap:
    """W = (X'X + lambda I)^-1 X'Y on centred anchors, with the lambda that has the smallest leave-one-out error.

    If the map and the means are fitted on all other anchors, the residual of anchor i is e_i / (1 - h_i) in closed
    form, where e are the residuals of the full fit and h_i = 1/m + [X (X'X + lambda I)^-1 X']_ii. One lambda for all
    outputs minimises sum_i ||e_i||^2 / (1 - h_i)^2 over `STRENGTHS`; ties go to the largest lambda.

    Args:
        x: anchors of the translated model, shape (m, d_x).
        y: the same anchors of the target model, shape (m, d_y).

    Raises:
        FeatureError: the numbers of anchors differ.

    Cost: one decomposition and m^3 per candidate for each side, which all its maps share; then m^2 per candidate, and r
    d_x d_y for the map, where r is the rank of x.
    """
    check_paired(x, y)
    left, values, right = x.factors
    if not len(values):
        return RidgeMap(np.zeros((x.width, y.width)), x.mean, y.mean, strength=np.inf, freedom=0.0)
    errors = np.array([np.vdot(form, y.products) for form in x.left_out(STRENGTHS)])
    best = len(errors) - 1 - int(np.argmin(errors[::-1]))
    strength = STRENGTHS[best] * float((values**2).mean())
    matrix = (right.T * (values / (values**2 + strength))) @ (left.T @ y.centred)
    return RidgeMap(matrix, x.mean, y.mean, strength, float((values**2 / (values**2 + strength)).sum()))
