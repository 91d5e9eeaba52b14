"""The table of maps between models: what each carries, beside chance, broken pairs and the kernel score.

    rows = platorep.load("outputs").translation()    # every score of every split, of every run
    TranslationTable(rows).summary()                 # means over splits, with intervals

Scores of maps are translatability, not alignment: the kernel score in the column `kernel` is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from platorep.core.errors import StoreError, unknown_name
from platorep.results.one_run import check_one_run
from platorep.results.tables import Table
from platorep.stats.resampled import corrected_resampled


SELF, SHUFFLED, RANDOM, TRIVIAL = "self", "shuffled", "random", "trivial"
"""Controls: a model with itself, broken pairs of anchors, random weights on either side, pixels or word counts."""

LADDER = ("permutation", "orthogonal", "ridge", "relative", "asif")
"""Maps in the order of tables and figures."""

LOWER_IS_BETTER = ("median_rank",)

TRANSLATION_COLUMNS = {
    "experiment": "string",  # translation, stitching or text_to_concept
    "dataset": "string",
    "n": "int64",  # samples that were split
    "x_model": "string",
    "x_key": "string",
    "x_modality": "string",
    "x_family": "string",
    "x_weights": "string",  # pretrained, random, or none for pixels and word counts
    "x_dial": "string",  # how it was degraded; empty for an intact model
    "x_dose": "float64",
    "x_layer": "int64",
    "x_layer_name": "string",
    "x_width": "int64",
    "y_model": "string",  # self: x's model against itself
    "y_key": "string",
    "y_modality": "string",
    "y_family": "string",
    "y_weights": "string",  # pretrained, random, or none for pixels and word counts
    "y_dial": "string",  # how it was degraded; empty for an intact model
    "y_dose": "float64",
    "y_layer": "int64",
    "y_layer_name": "string",
    "y_width": "int64",
    "direction": "string",  # x to y: samples of x are translated and searched among those of y
    "control": "string",  # self, shuffled, random, trivial; empty for a pair of trained models
    "map": "string",  # permutation, orthogonal, ridge, relative, asif
    "n_fit": "int64",  # anchors
    "n_test": "int64",
    "measure": "string",
    "score": "float64",
    "csls": "float64",  # the score with hubness correction, which looks at all test queries; NaN without retrieval
    "chance": "float64",  # in closed form
    "null_mean": "float64",  # the same cell with broken pairs of anchors
    "low": "float64",  # 95 % interval for other queries in the same gallery
    "high": "float64",
    "strength": "float64",  # penalty of a ridge
    "freedom": "float64",  # its effective degrees of freedom
    "metric": "string",  # of the kernel score
    "kernel": "float64",  # score of the same layers on the same test samples
    "kernel_chance": "float64",  # its mean under relabelling
    "clip": "string",
    "select": "string",  # how the protocol chose the layers
    "seed": "int64",  # of the split and of the order of anchors
    "version": "string",
}

CELL = ["experiment", "dataset", "x_model", "x_key", "x_layer", "y_model", "y_key", "y_layer"]
CELL += ["direction", "control", "map", "measure"]
"""Columns of a curve over anchors."""


@dataclass(frozen=True)
class TranslationTable(Table):
    """Scores of maps: one row per split, pair of layers, direction, map, number of anchors and measure."""

    columns = TRANSLATION_COLUMNS

    def summary(self) -> pd.DataFrame:
        """Means over splits: one row per cell and number of anchors.

        score and csls are means; low and high the corrected resampled 95 % interval of the score; null_mean the mean of
        broken pairs; the other numbers are means as well. With one split the interval is missing.

        Raises:
            StoreError: rows of several runs with other settings.
        """
        by = [*CELL, "n_fit"]
        check_one_run(self.frame, [*by, "seed"], "scores")
        facts = ["x_modality", "y_modality", "x_family", "y_family", "n_test", "n", "metric", "select"]
        means = ["csls", "chance", "null_mean", "strength", "freedom", "kernel", "kernel_chance"]
        scores = self.frame.pivot_table(index=by, columns="seed", values="score", sort=False, dropna=False)
        scores = scores[scores.notna().any(axis=1)]
        groups = self.frame.groupby(by, sort=False)
        rest = groups[facts].first().join(groups[means].mean()).loc[scores.index]
        values, rows = scores.to_numpy(), rest.reset_index()
        rows["score"], rows["splits"] = np.nanmean(values, axis=1), np.isfinite(values).sum(axis=1)
        rows["low"] = rows["high"] = np.nan
        if values.shape[1] > 1:
            for (n, n_test), places in rows.groupby(["n", "n_test"]).groups.items():
                means_of = corrected_resampled(values[places], n_test, n - n_test)
                rows.loc[places, "low"], rows.loc[places, "high"] = means_of.low, means_of.high
        return rows

    def steps(self, measure: str = "recall_at_10") -> pd.DataFrame:
        """Each number of anchors against the next smaller one: gain, and the p of a loss, paired on splits.

        p_less is one-sided for a true gain below 0, by the corrected resampled t test; p_holm is corrected for all
        rows (Holm). Rows that are not in every split take no part: broken pairs, and models with themselves.

        Raises:
            UnknownNameError: the table has no such measure.
            StoreError: one split, or rows of several runs with other settings.
        """
        scores = self._splits(measure, [*CELL, "n_fit"])
        rows = scores.index.to_frame(index=False)
        before = rows.groupby(CELL, sort=False).n_fit.shift()
        places = np.flatnonzero(before.notna())
        gains = scores.to_numpy()[places] - scores.to_numpy()[places - 1]
        return self._tested(rows.loc[places].assign(before=before[places].astype(int)), gains, measure)

    def compare(self, better: str, worse: str, measure: str = "recall_at_10") -> pd.DataFrame:
        """One map against another in every cell: mean difference, its interval, and the p of a loss, paired on splits.

        Raises:
            UnknownNameError: the table has no such measure or map.
            StoreError: one split, or rows of several runs with other settings.
        """
        by = [name for name in CELL if name != "map"] + ["n_fit"]
        scores = self._splits(measure, [*by, "map"]).unstack("map").dropna(how="all", axis=1)
        known = scores.columns.get_level_values("map").unique()
        for name in (better, worse):
            if name not in known:
                raise unknown_name("map in the table of translations", name, known)
        a, b = scores.xs(better, axis=1, level="map"), scores.xs(worse, axis=1, level="map")
        both = a.notna().all(axis=1) & b.notna().all(axis=1)
        gains = (a[both] - b[both]).to_numpy()
        return self._tested(a.index[both].to_frame(index=False), gains, measure)

    def _splits(self, measure: str, by: list[str]) -> pd.DataFrame:
        """Scores of one measure: rows by cell and anchors, columns by split, larger being better."""
        if measure not in set(self.frame.measure):
            raise unknown_name("measure in the table of translations", measure, self.frame.measure.unique())
        rows = self.frame[(self.frame.measure == measure) & ~self.frame.control.isin([SHUFFLED, SELF])]
        if rows.seed.nunique() < 2:
            raise StoreError("differences are tested over two or more splits; the table has one.")
        check_one_run(rows, [*CELL, "n_fit", "seed"], "scores")
        sign = -1 if measure in LOWER_IS_BETTER else 1
        return sign * rows.pivot_table(index=by, columns="seed", values="score", sort=True).dropna()

    def _tested(self, rows: pd.DataFrame, gains: np.ndarray, measure: str) -> pd.DataFrame:
        sizes = self.frame[["n", "n_test"]].drop_duplicates()
        n, n_test = int(sizes.n.iloc[0]), int(sizes.n_test.iloc[0])
        means = corrected_resampled(gains, n_test, n - n_test)
        p = np.clip(means.p_less, 0, 1)
        order = np.argsort(p, kind="stable")
        holm = np.empty(len(p))
        holm[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1)
        return rows.assign(gain=means.mean, low=means.low, high=means.high, p_less=p, p_holm=holm).reset_index(
            drop=True
        )


def at_all_anchors(table: TranslationTable, measure: str) -> pd.DataFrame:
    """One row per pair of models from all anchors: a column per map, the mean of both directions over all splits.

    Rows of broken pairs and of a model with itself take no part; null_mean has the former, as the mean over maps.

    Returns:
        Columns x_model, y_model, x_layer_name, y_layer_name, control, n_fit, n_test, chance, null_mean, kernel,
        kernel_chance, and the maps of `LADDER` that were fitted.

    Raises:
        StoreError: rows of several runs with other settings.
    """
    frame = table.frame
    rows = frame[(frame.experiment == "translation") & (frame.measure == measure)]
    rows = rows[~rows.control.isin([SHUFFLED, SELF]) & (rows.n_fit == rows.n_fit.max())]
    pair = ["x_model", "x_layer", "y_model", "y_layer"]
    check_one_run(rows, [*pair, "direction", "map", "seed"], "scores")
    scores = rows.pivot_table(index=pair, columns="map", values="score", sort=False)
    groups = rows.groupby(pair, sort=False)
    facts = groups[["x_layer_name", "y_layer_name", "control", "n_fit", "n_test"]].first()
    means = groups[["chance", "null_mean", "kernel", "kernel_chance"]].mean()
    return facts.join(means).join(scores[[name for name in LADDER if name in scores]]).reset_index()
