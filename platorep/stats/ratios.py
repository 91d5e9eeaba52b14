"""Ratios over documents of unequal size, with standard errors."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike


def ratio_of_sums(above: ArrayLike, below: ArrayLike) -> tuple[float, float]:
    """sum(a) / sum(b) over n documents, and its standard error by linearisation.

    The error is sqrt(n / (n - 1) * sum((a_i - r b_i)^2)) / sum(b): documents are the independent units, and long ones
    weigh more. NaN for a single document.

    Args:
        above: a, shape (n,), such as bits.
        below: b, shape (n,), positive, such as bytes.
    """
    a, b = np.asarray(above, dtype=np.float64), np.asarray(below, dtype=np.float64)
    ratio, n = a.sum() / b.sum(), len(a)
    return float(ratio), math.sqrt(((a - ratio * b) ** 2).sum() * n / (n - 1)) / float(b.sum()) if n > 1 else math.nan


def mean_of_ratios(above: ArrayLike, below: ArrayLike) -> tuple[float, float]:
    """Mean over n documents of a_i / b_i, and its standard error; short documents weigh as much as long ones.

    Args:
        above: a, shape (n,).
        below: b, shape (n,), positive.
    """
    each = np.asarray(above, dtype=np.float64) / np.asarray(below, dtype=np.float64)
    return float(each.mean()), float(each.std(ddof=1)) / math.sqrt(len(each)) if len(each) > 1 else math.nan
