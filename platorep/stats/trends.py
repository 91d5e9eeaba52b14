"""Does alignment rise with competence? Trend tests that take model families into account.

Models of one family share data, tokeniser and recipe. If they are treated as independent, a rank correlation without
any true relation has a p-value below .05 about a third of the time. Permuting within families restores 5 %.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy import stats

from platorep.core.errors import DataError, SpecError
from platorep.stats.extrapolation import Prediction, predict
from platorep.stats.permutations import Permutations


MIN_FAMILIES = 5
"""Fewest families for which an interval is given: with 3 or 4 it would span nearly all of [-1, 1]."""


@dataclass(frozen=True)
class Trend:
    """A rank correlation over models, with tests that respect families.

    Attributes:
        statistic: "spearman" or "kendall" (tau-b).
        value: the correlation over all models, in [-1, 1].
        slope: Theil-Sen slope, median of (y_j - y_i) / (x_j - x_i) over all pairs of models.
        naive_p: two-sided p of models taken as independent; see the notes before quoting it.
        p: two-sided p under permutation of x within families.
        smallest_p: smallest p that these families can give.
        arrangements: permutations used; all of them where `exact`.
        exact: True where every arrangement was counted, False where they were sampled.
        models: number of models.
        families: number of families: the effective sample size for claims about new families.
        low: lower end of the family bootstrap interval, NaN below MIN_FAMILIES families.
        high: upper end.
        without: value with each family left out; NaN where it is undefined.
        prediction: the line of the models of `fit_on`, evaluated on the others; None without `fit_on`.
        notes: caveats to state with the numbers.
    """

    statistic: str
    value: float
    slope: float
    naive_p: float
    p: float
    smallest_p: float
    arrangements: int
    exact: bool
    models: int
    families: int
    low: float
    high: float
    without: dict[Hashable, float]
    notes: tuple[str, ...]
    prediction: Prediction | None = None

    @property
    def sentence(self) -> str:
        """The correlation, its interval, the family-aware p and the number of families, in words.

        It says so where the families are too few for a p or for a claim about other families.
        """
        name = "Spearman" if self.statistic == "spearman" else "Kendall"
        text = f"{name} correlation {self.value:.2f}"
        if math.isfinite(self.low):
            text += f" [{self.low:.2f}, {self.high:.2f}]"
        text = text.replace("-", "−")
        text += f" over {self.models} models of {self.families} {'family' if self.families == 1 else 'families'}"
        if self.smallest_p > 0.05:
            text += "; the families are too small for a test within them."
        else:
            text += f"; p = {self.p:.2g} by permutation within families."
        if self.families < MIN_FAMILIES:
            few = "One family is" if self.families == 1 else f"{self.families} families are"
            text += f" {few} too few to say whether this holds for other families."
        return text


def trend(
    x: Sequence[float] | np.ndarray | pd.Series,
    y: Sequence[float] | np.ndarray | pd.Series,
    family: Sequence[Hashable] | np.ndarray | pd.Series,
    *,
    fit_on: Sequence[bool] | np.ndarray | pd.Series | None = None,
    statistic: Literal["spearman", "kendall"] = "spearman",
    permutations: int = 9999,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Trend:
    """Rank correlation of y with x over models, tested by permutation within families.

    The permutation test asks whether better models of one family align better. Differences between families, which
    may have many causes, cannot make it reject. Where the families admit no more
    arrangements than `permutations`, all are counted and p is exact.

    Args:
        x: competence, one number per model.
        y: alignment, one number per model. Average a matrix over the other side's models first: the cells of one row
            are not independent.
        family: label of each model's family.
        fit_on: one bool per model: a least-squares line is fitted to these and evaluated on the others
            (`platorep.stats.extrapolation.predict`), as `Trend.prediction`.
        statistic: "spearman" or "kendall".
        permutations: number of relabellings to sample if there are too many to enumerate.
        resamples: bootstrap draws of families.
        level: nominal coverage of the interval; see `_family_interval`.
        seed: seed of the permutations and of the bootstrap.

    Raises:
        DataError: lengths that differ, fewer than 3 models, values that are not finite, constant x or y, missing
            families.
        SpecError: an unknown statistic or a level outside (0, 1).

    Cost: permutations times models (spearman) or models^2 (kendall).
    """
    if statistic not in ("spearman", "kendall"):
        raise SpecError(f"statistic must be 'spearman' or 'kendall'; got {statistic!r}.")
    if not 0 < level < 1:
        raise SpecError(f"level is a coverage between 0 and 1, such as 0.95; got {level}.")
    x, y, codes, names = _checked(x, y, family)
    value, naive_p = (float(v) for v in (stats.spearmanr if statistic == "spearman" else stats.kendalltau)(x, y))
    groups = [np.flatnonzero(codes == c) for c in range(len(names))]
    test = _test(x, y, codes, groups, statistic, permutations, seed)
    low, high = _family_interval(x, y, groups, statistic, level, resamples, seed)
    prediction = None
    if fit_on is not None:
        marked = np.asarray(fit_on, dtype=bool)
        prediction = predict(x, y, codes, marked, resamples=resamples, level=level, seed=seed)
    rest = ((name, np.delete(x, group), np.delete(y, group)) for name, group in zip(names, groups, strict=True))
    return Trend(
        statistic=statistic,
        value=value,
        slope=float(stats.theilslopes(y, x).slope),
        naive_p=naive_p,
        models=len(x),
        families=len(names),
        low=low,
        high=high,
        without={name: _correlation(a, b, statistic) for name, a, b in rest},
        notes=_notes(len(x), len(names), test),
        prediction=prediction,
        **test,
    )


def _test(x, y, codes, groups, statistic, permutations, seed) -> dict[str, Any]:
    """The two-sided permutation test within families: p, smallest_p, arrangements, exact.

    p counts arrangements whose statistic lies at least as far from the null's mean as the observed one.
    """
    arrangements = math.prod(math.factorial(len(g)) for g in groups)
    exact = arrangements <= permutations
    orders = _all_orders(groups) if exact else Permutations.draw(len(x), permutations, seed, codes).order
    if not exact:  # the observed one counts among the K + 1
        orders = np.concatenate([np.arange(len(x), dtype=orders.dtype)[None], orders])
    distances = _statistics(x, y, orders, statistic)
    distances = np.abs(distances - distances.mean())
    observed = distances[0]  # both sets of orders begin with the identity
    return {
        "p": float((distances >= observed - 1e-9).mean()),
        "smallest_p": float((distances >= distances.max() - 1e-9).mean()) if exact else 1 / len(orders),
        "arrangements": len(orders) - (not exact),
        "exact": exact,
    }


def _notes(models: int, families: int, test: dict[str, Any]) -> tuple[str, ...]:
    notes = [
        f"naive p takes {models} models as independent; they come from {families} families, and it rejects too often."
    ]
    if test["smallest_p"] > 0.05:
        notes.append(
            f"the smallest attainable p is {test['smallest_p']:.3g} ({test['arrangements']} arrangements within "
            "families): nothing can be significant at .05."
        )
    if families < MIN_FAMILIES:
        notes.append(f"{families} families are too few for an interval over families; at least {MIN_FAMILIES} needed.")
    return tuple(notes)


def _checked(x, y, family) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[Hashable]]:
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    codes, names = pd.factorize(np.asarray(family))
    if not (x.ndim == 1 and x.shape == y.shape == codes.shape) or len(x) < 3:
        raise DataError(
            f"a trend needs x, y and family of one length, at least 3; got {x.shape}, {y.shape} and {codes.shape}."
        )
    if not (np.isfinite(x) & np.isfinite(y)).all():
        place = np.flatnonzero(~(np.isfinite(x) & np.isfinite(y)))[0]
        raise DataError(f"model {place} has a value that is not finite. Leave it out.")
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        raise DataError("x or y is constant over the models: there is no order to correlate.")
    if (codes < 0).any():
        raise DataError(
            f"model {np.flatnonzero(codes < 0)[0]} has no family. Give each model one, its own name if it stands alone."
        )
    return x, y, codes, list(names)


def _all_orders(groups: list[np.ndarray]) -> np.ndarray:
    """Every permutation within groups, the identity first, shape (arrangements, models)."""
    n = sum(map(len, groups))
    rows = np.array(
        [np.concatenate(parts) for parts in itertools.product(*(itertools.permutations(g) for g in groups))],
        dtype=np.int64,
    )
    orders = np.empty_like(rows)
    orders[:, np.concatenate(groups)] = rows
    return orders.reshape(-1, n)


def _statistics(x: np.ndarray, y: np.ndarray, orders: np.ndarray, statistic: str) -> np.ndarray:
    """The correlation (Spearman's rho or Kendall's tau-b) of x[order] with y for each order, shape (orders,)."""
    if statistic == "spearman":
        a, b = (stats.rankdata(v) - (len(v) + 1) / 2 for v in (x, y))
        return a[orders] @ b / (np.linalg.norm(a) * np.linalg.norm(b))
    a, b = (np.sign(v[:, None] - v[None, :]) for v in (x, y))
    scale = np.linalg.norm(a) * np.linalg.norm(b)
    return np.array([(a[order][:, order] * b).sum() for order in orders]) / scale


def _correlation(x: np.ndarray, y: np.ndarray, statistic: str) -> float:
    """The correlation of x with y, NaN where it is undefined; SciPy's value without the cost of its p."""
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return math.nan
    return float(_statistics(x, y, np.arange(len(x))[None], statistic)[0])


def _family_interval(x, y, groups, statistic, level, resamples, seed) -> tuple[float, float]:
    """Interval of the correlation for other families; NaN below MIN_FAMILIES.

    It resamples families with replacement, takes the standard error of Fisher's z = artanh(value), widened by
    sqrt(F / (F - 1)), and t quantiles with F - 1 degrees of freedom for F families. The percentile interval is too
    narrow with few families. Measured coverage at nominal 95 %: 93 to 99 %, the higher with few families.
    """
    families = len(groups)
    if families < MIN_FAMILIES:
        return math.nan, math.nan
    rng = np.random.default_rng(seed)
    draws = (np.concatenate([groups[g] for g in rng.integers(families, size=families)]) for _ in range(resamples))
    values = np.array([_correlation(x[rows], y[rows], statistic) for rows in draws])
    bound = 1 - 1e-3  # artanh(±1) is infinite; a resample of one family repeated may be perfectly ordered
    z = np.arctanh(np.clip(values[np.isfinite(values)], -bound, bound))
    error = z.std(ddof=1) * math.sqrt(families / (families - 1))
    reach = stats.t.ppf((1 + level) / 2, families - 1) * error
    centre = math.atanh(min(max(_correlation(x, y, statistic), -bound), bound))
    return math.tanh(centre - reach), math.tanh(centre + reach)
