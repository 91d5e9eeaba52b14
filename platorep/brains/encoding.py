"""Encoding models: ridge regression from features to the sites of a brain, scored on samples of other blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from platorep.core.errors import FeatureError
from platorep.stats.ceilings import spearman_brown
from platorep.stats.intervals import Interval


STRENGTHS = tuple(10.0**power for power in range(-3, 7))
"""Candidate ridge strengths, in units of the mean squared singular value of the centred features."""


@dataclass(frozen=True)
class Ridge:
    """A fitted ridge regression to S sites, with a separate strength for each site.

    Attributes:
        weights: shape (d, S) float64.
        x_mean: mean of the features, shape (d,).
        y_mean: mean of the responses, shape (S,).
        strengths: the penalty of each site, shape (S,).
        freedom: effective degrees of freedom of each site's map, tr(X (X'X + strength I)^-1 X'), shape (S,).
    """

    weights: np.ndarray
    x_mean: np.ndarray
    y_mean: np.ndarray
    strengths: np.ndarray
    freedom: np.ndarray

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Predicted responses of the sites to other samples, shape (m, S)."""
        return (np.asarray(x, dtype=np.float64) - self.x_mean) @ self.weights + self.y_mean


def fit_ridge(x: np.ndarray, y: np.ndarray, strengths: Sequence[float] = STRENGTHS) -> Ridge:
    """Ridge regression that chooses the strength of each site by leave-one-out error, in closed form.

    Let X = U S V' be the singular value decomposition of the centred features. If sample i is left out, the error of
    its prediction is e_i / (1 - h_i), where e is the residual of the fit to all samples and h_i = 1/n + sum_j U_ij^2
    s_j^2 / (s_j^2 + c) (the term 1/n comes from the mean). Only the given samples are used, so no information from a
    test set enters.

    Args:
        x: features, shape (n, d).
        y: responses, shape (n, S).
        strengths: candidates c, in units of the mean of s_j^2.

    Raises:
        FeatureError: shapes do not fit, values are not finite, or the features do not vary.

    Cost n d min(n, d), and n min(n, d) (1 + S) per strength.

    Source: Golub, Heath and Wahba 1979, doi:10.1080/00401706.1979.10489751, for the leave-one-out error.
    """
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if x.ndim != 2 or y.ndim != 2 or len(x) != len(y) or len(x) < 3:
        raise FeatureError(
            f"ridge needs features (n, d) and responses (n, sites), n >= 3; got {x.shape} and {y.shape}."
        )
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise FeatureError("features or responses are not finite. Leave these samples out on both sides.")
    x_mean, y_mean = x.mean(axis=0), y.mean(axis=0)
    u, s, vt = np.linalg.svd(x - x_mean, full_matrices=False)
    if not s[0] > 1e-12 * max(1.0, np.abs(x).max()):
        raise FeatureError("all samples have the same features: there is nothing to fit.")
    unit, turned = (s**2).mean(), u.T @ (y - y_mean)
    errors = []
    for strength in strengths:
        shrink = s**2 / (s**2 + strength * unit)
        leverage = 1 / len(x) + (u**2 * shrink).sum(axis=1)
        residual = y - y_mean - u @ (shrink[:, None] * turned)
        errors.append(((residual / np.maximum(1 - leverage, 1e-12)[:, None]) ** 2).sum(axis=0))
    chosen = np.asarray(strengths)[np.argmin(errors, axis=0)] * unit
    shrinks = s[:, None] ** 2 + chosen[None, :]
    weights = vt.T @ (s[:, None] / shrinks * turned)
    return Ridge(weights, x_mean, y_mean, chosen, (s[:, None] ** 2 / shrinks).sum(axis=0))


@dataclass(frozen=True)
class Encoding:
    """Held-out predictions of all samples.

    Attributes:
        predicted: shape (n, S); each sample is predicted by the map that was fitted without its fold.
        responses: shape (n, S).
        folds: fold of each sample, shape (n,).
        freedom: mean effective degrees of freedom over folds, shape (S,).
    """

    predicted: np.ndarray
    responses: np.ndarray
    folds: np.ndarray
    freedom: np.ndarray

    @property
    def correlations(self) -> np.ndarray:
        """Pearson's r of each site over held-out samples, shape (S,): computed within folds, then averaged over folds.

        The mean of each fold is subtracted, so differences between the means of folds have no effect. NaN for a site
        that does not vary, and 0 for a site whose predictions do not vary.
        """
        every = [
            _columns_r(self.predicted[self.folds == f], self.responses[self.folds == f]) for f in np.unique(self.folds)
        ]
        return np.mean(every, axis=0)

    @property
    def explained(self) -> np.ndarray:
        """Held-out R^2 of each site, 1 - SSE / SST, shape (S,), where SST is around the means of the other folds."""
        means = np.stack([self.responses[self.folds != fold].mean(axis=0) for fold in self.folds])
        total = ((self.responses - means) ** 2).sum(axis=0)
        return 1 - ((self.responses - self.predicted) ** 2).sum(axis=0) / np.where(total > 0, total, np.nan)

    def interval(self, *, level: float = 0.95, seed: int = 0) -> Interval:
        """Interval of the mean correlation over sites for other folds of samples; the sites are fixed.

        The maps are fixed too. The fold is the unit, because samples within a fold are close in time. The interval is
        the mean over folds plus and minus t(F - 1) standard errors.

        The measured coverage of the nominal 95 % interval is 90 %, for the mean correlation of the same maps on fresh
        samples, because correlations within small folds are a little too low.

        Raises:
            FeatureError: there are fewer than 2 folds.
        """
        from scipy.stats import t as student

        labels = np.unique(self.folds)
        if len(labels) < 2:
            raise FeatureError(f"an interval needs at least 2 folds; got {len(labels)}.")
        each = np.array(
            [np.nanmean(_columns_r(self.predicted[self.folds == f], self.responses[self.folds == f])) for f in labels]
        )
        error = float(each.std(ddof=1) / len(labels) ** 0.5)
        reach = float(student.ppf((1 + level) / 2, len(labels) - 1)) * error
        mean = float(each.mean())
        return Interval(mean, mean - reach, mean + reach, error, level, "encoding folds", conditional=True)


def encode(x: np.ndarray, responses: np.ndarray, folds: np.ndarray) -> Encoding:
    """Held-out predictions of every site from features.

    Args:
        x: features, shape (n, d).
        responses: shape (n, S).
        folds: fold of each sample, shape (n,), such as from `block_folds`, whose folds never divide a block.

    Raises:
        FeatureError: as for `fit_ridge`, or there are fewer than 2 folds.
    """
    folds = np.asarray(folds)
    responses = np.asarray(responses, dtype=np.float64)
    if len(folds) != len(x) or len(np.unique(folds)) < 2:
        raise FeatureError(
            f"encoding needs a fold for each of {len(x)} samples, and at least 2; got {len(folds)} labels."
        )
    predicted, freedom = np.empty_like(responses), []
    for fold in np.unique(folds):
        inside = folds == fold
        fitted = fit_ridge(np.asarray(x)[~inside], responses[~inside])
        predicted[inside] = fitted.predict(np.asarray(x)[inside])
        freedom.append(fitted.freedom)
    return Encoding(predicted, responses, folds, np.mean(freedom, axis=0))


def block_folds(blocks: Sequence[object], count: int = 5) -> np.ndarray:
    """Fold of each sample, shape (n,) int64. Whole blocks are assigned to folds in order of appearance.

    Args:
        blocks: one label per sample: its run, story or session. Samples of one block are close in time.
        count: number of folds, at most the number of blocks.

    Raises:
        FeatureError: there are fewer than 2 blocks or folds, or more folds than blocks.
    """
    order = {block: i for i, block in enumerate(dict.fromkeys(blocks))}
    if not 2 <= count <= len(order):
        raise FeatureError(f"{count} folds of {len(order)} blocks; expected at least 2 folds and a block for each.")
    return np.array([order[block] * count // len(order) for block in blocks])


def site_ceilings(repetitions: np.ndarray) -> np.ndarray:
    """The highest possible correlation of each site with a model of its expected response, shape (S,).

    It is the square root of the reliability: the mean correlation between pairs of repetitions, extended to their mean
    by the Spearman-Brown formula. 0 if that is not positive. Report the ceiling beside a score; do not divide a score
    by a small ceiling.

    Args:
        repetitions: responses, shape (R, n, S), R >= 2.

    Raises:
        FeatureError: the repetitions have another shape.
    """
    values = np.asarray(repetitions, dtype=np.float64)
    if values.ndim != 3 or len(values) < 2:
        raise FeatureError(f"ceilings of sites need responses (R >= 2, samples, sites); got {values.shape}.")
    pairs = [(a, b) for a in range(len(values)) for b in range(a)]
    mean = np.clip(np.mean([_columns_r(values[a], values[b]) for a, b in pairs], axis=0), 0, 1)
    return np.sqrt([spearman_brown(r, len(values)) for r in mean])


def _columns_r(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Pearson's r of columns; 0 where the first does not vary, NaN where the second does not."""
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    norm_a, norm_b = np.linalg.norm(a, axis=0), np.linalg.norm(b, axis=0)
    r = (a * b).sum(axis=0) / (np.where(norm_a > 1e-12, norm_a, 1) * np.where(norm_b > 1e-12, norm_b, np.nan))
    return np.where(norm_a > 1e-12, r, 0 * norm_b)
