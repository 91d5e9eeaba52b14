"""Ridge regression from one representation to another, with its strength chosen by leave-one-out within the anchors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from platorep.maps.anchors import Anchors, check_paired
from platorep.maps.linear import LinearMap


STRENGTHS = 10.0 ** np.array([-4, -3, -2, -1, -0.5, 0, 0.5, 1, 1.5, 2])
"""Candidates for the strength, in units of the mean of the squared singular values of the centred anchors.

They are dense where related models need them; the small ones are for copies."""


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
    """W = (X'X + lambda I)^-1 X'Y on centred anchors, with the lambda whose leave-one-out error is the smallest.

    The prediction of anchor i by a map fitted on all others, means included, has in closed form the residual
    e_i / (1 - h_i), where e are the residuals of the fit and h_i = 1/m + [X (X'X + lambda I)^-1 X']_ii. One lambda for
    all outputs minimises sum_i ||e_i||^2 / (1 - h_i)^2 over `STRENGTHS`; of equals the largest is taken.

    Args:
        x: anchors of the model that is translated, shape (m, d_x).
        y: the same samples of the other model, shape (m, d_y).

    Raises:
        FeatureError: the numbers of anchors differ.

    Cost: what one side needs, decomposition and m^3 for each candidate, is shared by all maps; then m^2 for each
    candidate, and r d_x d_y for the map, r being the rank of x.
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
