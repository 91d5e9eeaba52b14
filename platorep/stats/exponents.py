"""Exponents of power laws over models, with an interval that takes model families into account."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from platorep.core.errors import DataError
from platorep.stats.families import family_interval, family_lines
from platorep.stats.trends import MIN_FAMILIES


@dataclass(frozen=True)
class Exponent:
    """Least-squares slope of log value on log size over models.

    Attributes:
        value: the exponent.
        low: lower end of its 95 % interval over families, NaN below `MIN_FAMILIES` families.
        high: upper end.
        intercept: log10 of the value at size 1.
        models: number of models.
        families: number of families.
    """

    value: float
    low: float
    high: float
    intercept: float
    models: int
    families: int

    @property
    def sentence(self) -> str:
        """The exponent, its interval and the number of families in words."""
        text = f"exponent {self.value:.2f}"
        text += f" [{self.low:.2f}, {self.high:.2f}]" if math.isfinite(self.low) else ""
        text = text.replace("-", "−") + f" over {self.models} models"
        if math.isfinite(self.low):
            return f"{text} of {self.families} families"
        return (
            f"{text}; {self.families} {'family is' if self.families == 1 else 'families are'} too few for an interval"
        )


def exponent(size: np.ndarray, value: np.ndarray, families: np.ndarray) -> Exponent:
    """The exponent b of value = a size^b, by least squares on logarithms; the interval resamples families.

    Args:
        size: numbers of parameters, shape (models,), positive, not all equal.
        value: counts or shares, shape (models,), positive.
        families: label of each model's family, shape (models,).

    Raises:
        DataError: fewer than two sizes, or a size or value that has no logarithm.

    Coverage measured, nominal 95 %: docs/statistics.md.
    """
    size, value = np.asarray(size, dtype=np.float64), np.asarray(value, dtype=np.float64)
    if not (np.isfinite(size) & np.isfinite(value) & (size > 0) & (value > 0)).all():
        raise DataError("an exponent needs positive finite sizes and values: leave out models that have none.")
    if len(np.unique(size)) < 2:
        raise DataError(f"an exponent needs models of two sizes; got {len(np.unique(size))}.")
    x, y = np.log10(size), np.log10(value)
    slope, intercept = np.polyfit(x, y, 1)
    count, low, high = len(np.unique(families)), math.nan, math.nan
    if count >= MIN_FAMILIES:
        slopes, _ = family_lines(x, y, np.asarray(families), x[:1])
        low, high = (float(end) for end in family_interval(slope, slopes, count))
    return Exponent(float(slope), low, high, float(intercept), len(x), count)
