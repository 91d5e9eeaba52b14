"""A value beside draws of its null: mean, central 95 % and p."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Null(NamedTuple):
    """Columns of a table of results."""

    null_mean: float
    null_low: float
    null_high: float
    p_value: float
    permutations: float


def against(value: float, draws: np.ndarray, *, two_sided: bool = False) -> Null:
    """A value against draws of its null.

    p = (1 + number of draws at least as large) / (draws + 1); two-sided, at least as far from the draws' mean.

    Args:
        value: the observed value.
        draws: shape (K,), at least one.
        two_sided: whether small values count as well.
    """
    mean = float(draws.mean())
    more = np.abs(draws - mean) >= abs(value - mean) - 1e-12 if two_sided else draws >= value - 1e-12
    low, high = np.quantile(draws, [0.025, 0.975])
    return Null(mean, float(low), float(high), float((1 + more.sum()) / (1 + len(draws))), float(len(draws)))
