"""Scores against their null: chance-corrected, calibrated as by Gröger, Wen and Brbić, and p from exact moments."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.stats import pearson3

from platorep.core.errors import SpecError


def chance_corrected(score: np.ndarray | float, null_mean: np.ndarray | float, best: float = 1.0) -> np.ndarray | float:
    """Chance-corrected score (s - mu0) / (s_max - mu0): 0 at chance, 1 at the maximum, negative below chance.

    For mutual_knn with mu0 = k / (n - 1) this is R_NX(k) of the dimensionality-reduction literature (Lee and Verleysen
    2009): ((n - 1) s - k) / (n - 1 - k). Shape and dtype follow the arguments. For a maximum over layers, pass the mean
    of the null maxima.

    Args:
        score: observed score or scores.
        null_mean: expected score under relabelling; broadcast against score.
        best: largest value that the metric can take.

    Raises:
        SpecError: an unbounded metric, or a null mean that reaches the maximum.
    """
    _check_bounded(best)
    if np.any(np.asarray(null_mean) >= best):
        raise SpecError(
            f"the null mean reaches the metric's maximum {best:g}: no score can be told from chance. "
            "Lower k, or take more samples."
        )
    return (score - null_mean) / (best - null_mean)


class Calibrated(NamedTuple):
    """Gröger, Wen and Brbić's calibrated score, each of shape (P,) float64."""

    score: np.ndarray  # in [0, 1]: 0 where the observed score is not above the threshold
    threshold: np.ndarray  # tau
    p: np.ndarray


def calibrated(observed: np.ndarray, null: np.ndarray, *, alpha: float = 0.05, best: float = 1.0) -> Calibrated:
    """Calibrated score clip((s - tau) / (s_max - tau), 0, 1), after Gröger et al. 2026 (arXiv 2602.14486).

    tau is the ceil((1 - alpha) (K + 1))-th smallest of the K null scores and the observed one, without interpolation;
    p = (1 + #{null >= s}) / (K + 1). With the null of the maximum over layers (`MaxNull`) it is their aggregation-aware
    algorithm 2. The score mixes the size of the effect with K, alpha and the null's spread; `chance_corrected` does
    not.

    Args:
        observed: scores, shape (P,).
        null: scores under relabelling, shape (P, K).
        alpha: level of the threshold; theirs is 0.05 with K = 200, or 500 in their experiments.
        best: largest value that the metric can take.

    Raises:
        SpecError: alpha outside (0, 1); K < 1/alpha - 1, for which tau is the largest value and no score can pass it;
            an unbounded metric, such as cknna_prh, whose values have no common scale.
    """
    _check_bounded(best)
    if not 0 < alpha < 1:
        raise SpecError(f"alpha is a level between 0 and 1, such as 0.05; got {alpha}.")
    observed, null = np.asarray(observed, dtype=np.float64), np.asarray(null, dtype=np.float64)
    if null.ndim != 2 or observed.shape != null.shape[:1]:
        raise SpecError(
            f"calibration needs observed scores (P,) and null scores (P, K); got {observed.shape} and {null.shape}."
        )
    draws = null.shape[1] + 1
    if alpha * draws < 1 - 1e-9:
        raise SpecError(
            f"{draws - 1} permutations cannot reach alpha = {alpha:g}: "
            f"at least {math.ceil(1 / alpha - 1e-9) - 1} are needed."
        )
    # rounding may put the product slightly above a whole number
    rank = math.ceil((1 - alpha) * draws - 1e-9)
    threshold = np.sort(np.column_stack([observed, null]), axis=1)[:, rank - 1]
    # Where even the threshold is the maximum, nothing exceeds it: the score is 0, not 0/0.
    room = best - threshold
    score = np.clip(np.divide(observed - threshold, room, out=np.zeros_like(observed), where=room > 0), 0, 1)
    return Calibrated(score, threshold, (1 + (null >= observed[:, None]).sum(axis=1)) / draws)


def skewed_p(z: np.ndarray | float, skewness: np.ndarray | float) -> np.ndarray | float:
    """One-sided p-value of z = (score - null mean) / null sd by the Pearson type III law with the null's skewness.

    The null of CKA is skewed to the right if the samples vary in few dimensions; a Gaussian p then rejects 7 to 8 % at
    the 5 % level and 3 % at the 1 % level. With `NullMoments.skewness` the rates are those of the table in
    docs/statistics.md. With skewness 0 the result is the Gaussian p.
    """
    return pearson3.sf(z, skewness)


def _check_bounded(best: float) -> None:
    if not math.isfinite(best):
        raise SpecError(
            "an unbounded metric (such as cknna_prh) has no maximum to calibrate against. Use cknna, or report z and p."
        )
