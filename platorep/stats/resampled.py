"""Scores over repeated random splits of one set of items, which are not independent of each other."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from platorep.core.errors import FeatureError


class Resampled(NamedTuple):
    """Means over splits, of many scores at once: arrays of one shape."""

    mean: np.ndarray
    standard_error: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p_less: np.ndarray


def corrected_resampled(scores: np.ndarray, n_test: int, n_rest: int) -> Resampled:
    """Mean score over J random splits, with the corrected resampled t interval.

    The splits share items, so that their scores vary together: the variance of the mean is
    (1 / J + n_test / n_rest) s^2, where s^2 is the variance between splits, with J - 1 degrees of freedom (Nadeau and
    Bengio 2003). The correction stands for the correlation of two splits' scores by the share of the items that they
    have in common in their tests. It applies to differences of two scores on the same splits as well.

    Args:
        scores: shape (..., J).
        n_test: items of a test set.
        n_rest: all other items: those that anchors are drawn from, whether a map uses all of them or a few.

    Returns:
        Mean, its standard error, the 95 % interval, and p_less, the one-sided p of a mean of 0 or more against one
        below 0.

    Raises:
        FeatureError: fewer than 2 splits.

    Coverage measured, nominal 95 %: 95 to 100 %, 87 % over 5 splits of a score of .995; without the correction 73 to
    93 %. The one-sided test of two equals at 5 % rejects 0.2 to 7.5 % (docs/statistics.md).
    """
    from scipy.stats import t as student  # loads for about a second, and tables of maps are read without it

    splits = scores.shape[-1]
    if splits < 2:
        raise FeatureError(f"the spread over splits needs at least 2 of them; got {splits}.")
    average = scores.mean(axis=-1)
    error = np.sqrt((1 / splits + n_test / n_rest) * scores.var(axis=-1, ddof=1))
    reach = student.ppf(0.975, splits - 1) * error
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = np.where(error > 0, average / error, np.sign(average) * np.inf)
    p_less = np.where(np.isnan(statistic), 1.0, student.cdf(np.nan_to_num(statistic), splits - 1))
    return Resampled(average, error, average - reach, average + reach, p_less)
