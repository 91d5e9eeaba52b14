"""Does a line that was fitted to some models hold for others?"""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from platorep.core.errors import DataError
from platorep.stats.draws import against
from platorep.stats.families import family_interval


@dataclass(frozen=True)
class Prediction:
    """A least-squares line of some models, evaluated on others.

    Attributes:
        slope: of the line.
        intercept: of the line.
        fitted: R² of the models that it was fitted to, with its 95 % interval over their families.
        predicted: R² of the other models: 1 - sum (y - line)² / sum (y - mean of the other models)², at most 1 and
            negative where the line is worse than the mean of what it predicts; with its 95 % interval over the families
            of both sets. NaN where the other models have one value.
        offset: mean of y - line over the other models, with its interval. 0 where one line holds for both.
        null: mean, and central 95 %, of `predicted` when whole families are exchanged between the sets: one line.
        p: two-sided, of the offset under that exchange; NaN where there is nothing to exchange.
        smallest_p: the smallest p that the exchange can give.
        families: numbers of families in the two sets. Intervals are NaN below 3 families in either.
        models: numbers of models in the two sets.
    """

    slope: float
    intercept: float
    fitted: tuple[float, float, float]
    predicted: tuple[float, float, float]
    offset: tuple[float, float, float]
    null: tuple[float, float, float]
    p: float
    smallest_p: float
    families: tuple[int, int]
    models: tuple[int, int]

    @property
    def sentence(self) -> str:
        """Both R² with their intervals, the offset and its p, in words."""
        old, new = self.models
        text = f"R² {_worded(self.fitted)} on the {old} models of the line, {_worded(self.predicted)} on {new} others"
        text += f"; these lie {_worded(self.offset, 3)} from it"
        if math.isfinite(self.p) and self.smallest_p <= 0.05:
            text += f" (p = {self.p:.2g} by exchange of families)"
        text += "."
        if min(self.families) < LEAST:
            text += f" {self.families[0]} and {self.families[1]} families are too few for intervals."
        return text.replace("-", "−")


LEAST = 3
"""Families in each set from which on there are intervals."""

MOST = 2000
"""Exchanges of families up to which all are counted; of more, so many are drawn."""


def predict(
    x: np.ndarray,
    y: np.ndarray,
    family: Sequence[Hashable] | np.ndarray,
    fit_on: np.ndarray,
    *,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Prediction:
    """Fits y = intercept + slope x to some models by least squares, and evaluates it on all others.

    Args:
        x: competence, one finite number per model.
        y: alignment.
        family: label of each model's family. A family whose models are in both sets counts in both, and is not
            exchanged.
        fit_on: which models the line is fitted to, bool.
        resamples: draws of families, in each set, for the intervals.
        level: nominal coverage.
        seed: of the draws.

    Raises:
        DataError: fewer than 3 models to fit, no other model, or one x for all that are fitted.

    Cost: (resamples + exchanges) times models.
    """
    x, y, fit_on = np.asarray(x, dtype=float), np.asarray(y, dtype=float), np.asarray(fit_on, dtype=bool)
    _, codes = np.unique(np.asarray(family, dtype=object).astype(str), return_inverse=True)
    if fit_on.shape != x.shape or fit_on.sum() < 3 or fit_on.all():
        raise DataError(
            f"a line is fitted to 3 or more models and evaluated on others; got {int(fit_on.sum())} to fit and "
            f"{int((~fit_on).sum())} others."
        )
    if np.ptp(x[fit_on]) == 0:
        raise DataError("the models that the line is fitted to all have one x: there is no line.")
    old, new = (
        [np.flatnonzero((codes == code) & part) for code in np.unique(codes[part])] for part in (fit_on, ~fit_on)
    )
    slope, intercept, *values = _line(x, y, np.flatnonzero(fit_on), np.flatnonzero(~fit_on))
    draws = _draws(x, y, old, new, resamples, seed)
    few = min(len(old), len(new)) < LEAST
    intervals = []
    for place, value in enumerate(values):
        kept = draws[np.isfinite(draws[:, place]), place]
        families = len(old) if place == 0 else min(len(old), len(new))
        bounds = (math.nan, math.nan) if few else family_interval(value, kept, families, level)
        intervals.append((value, float(bounds[0]), min(float(bounds[1]), 1.0) if place < 2 else float(bounds[1])))
    exchanges = _exchanges(x, y, codes, fit_on, seed)
    null, p, smallest = (math.nan,) * 3, math.nan, 1.0
    if len(exchanges) > 1:
        drawn = against(values[1], exchanges[np.isfinite(exchanges[:, 0]), 0])
        null = (drawn.null_mean, drawn.null_low, drawn.null_high)
        p = float((np.abs(exchanges[:, 1]) >= abs(values[2]) - 1e-12).mean())  # the observed sets are among them
        smallest = 1 / len(exchanges)
    counts = (len(old), len(new)), (int(fit_on.sum()), int((~fit_on).sum()))
    fitted, predicted, offset = intervals
    return Prediction(slope, intercept, fitted, predicted, offset, null, p, smallest, *counts)


def _line(x: np.ndarray, y: np.ndarray, old: np.ndarray, new: np.ndarray) -> tuple[float, float, float, float, float]:
    """Slope, intercept, R² of both sets, and mean residual of the second; NaN where there is no line."""
    if np.ptp(x[old]) == 0:
        return (math.nan,) * 5
    a, b = x[old] - x[old].mean(), y[old] - y[old].mean()
    slope = float(a @ b / (a @ a))
    intercept = float(y[old].mean() - slope * x[old].mean())
    residuals = y - intercept - slope * x
    squares = []
    for part in (old, new):
        total = float(np.square(y[part] - y[part].mean()).sum())
        squares.append(1 - float(np.square(residuals[part]).sum()) / total if total > 0 else math.nan)
    return slope, intercept, squares[0], squares[1], float(residuals[new].mean())


def _groups(codes: np.ndarray, part: np.ndarray) -> list[np.ndarray]:
    """The models of each family in one set."""
    return [np.flatnonzero((codes == code) & part) for code in np.unique(codes[part])]


def _draws(
    x: np.ndarray, y: np.ndarray, old: list[np.ndarray], new: list[np.ndarray], resamples: int, seed: int
) -> np.ndarray:
    """R² of both sets and the offset for resampled families of both, shape (resamples, 3)."""
    rng, rows = np.random.default_rng(seed), []
    for _ in range(resamples):
        sets = (np.concatenate([side[i] for i in rng.integers(len(side), size=len(side))]) for side in (old, new))
        rows.append(_line(x, y, *sets)[2:])
    return np.array(rows)


def _exchanges(x: np.ndarray, y: np.ndarray, codes: np.ndarray, fit_on: np.ndarray, seed: int) -> np.ndarray:
    """R² and offset of the other models when whole families change sets, shape (exchanges, 2).

    As many families are fitted as before; families in both sets stay. The observed sets come first.
    """
    both = set(codes[fit_on]) & set(codes[~fit_on])
    old = [code for code in np.unique(codes[fit_on]) if code not in both]
    free = [code for code in np.unique(codes) if code not in both]
    count = math.comb(len(free), len(old))
    if count <= MOST:
        chosen = [tuple(old), *(c for c in itertools.combinations(free, len(old)) if set(c) != set(old))]
    else:
        rng = np.random.default_rng(seed)
        chosen = [tuple(old), *(tuple(rng.choice(free, len(old), replace=False)) for _ in range(MOST))]
    stays = np.isin(codes, list(both))
    rows = []
    for families in chosen:
        inside = np.where(stays, fit_on, np.isin(codes, families))
        if inside.sum() >= 3 and not inside.all():
            rows.append(_line(x, y, np.flatnonzero(inside), np.flatnonzero(~inside))[3:])
    kept = np.array(rows)
    return kept[np.isfinite(kept[:, 1])]


def _worded(value: tuple[float, float, float], digits: int = 2) -> str:
    text = f"{value[0]:.{digits}f}"
    return text + (f" [{value[1]:.{digits}f}, {value[2]:.{digits}f}]" if math.isfinite(value[1]) else "")
