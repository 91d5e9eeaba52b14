"""Tables of units: each unit's partner in another model, and shares of units that have one; with views of them.

    rows = platorep.load("outputs").units()    # the shares of every run
    ShareTable(rows).matrix("shared")          # models down, models of the partners across

A direction x to y asks for every unit of x which unit of y it resembles most. The two directions differ.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from platorep.core.errors import unknown_name
from platorep.results.one_run import check_one_run
from platorep.results.tables import CONCATENATION, Table


ALL_LAYERS = CONCATENATION
"""Layer index of rows about all layers together."""

SELF, ZOO = "self", "zoo"
"""Names in place of y's model: the model itself as a ceiling, and every other pretrained model of the run at once."""

PRETRAINED, UNTRAINED = "pretrained", "none"
"""Weights of a trained model, and of one that has none, such as pixels."""

MEASURES = {
    "matched": "have a match by the rule",
    "significant": "have a partner with a corrected p below .05",
    "shared": "are matched and significant",
    "excess": "exceed permuted samples by more than .5",
    "universal": "exceed a rotated basis by more than .5",
}
"""What a share counts among the units of x, in words."""

UNIT_COLUMNS = {
    "dataset": "string",
    "n": "int64",
    "rule": "string",  # of matches: best_buddies or released
    "x_model": "string",
    "x_key": "string",
    "x_layer": "int64",
    "x_layer_name": "string",
    "x_unit": "int64",  # index within the layer
    "x_left_out": "string",  # why the unit takes no part, so that the numbers are missing; empty where it does
    "y_model": "string",
    "y_key": "string",
    "y_layer": "int64",  # of the partner; -1 where the unit takes no part
    "y_layer_name": "string",
    "y_unit": "int64",
    "score": "float64",  # correlation with the partner: the highest over all units of y
    "second": "float64",  # the second highest
    "rank_back": "float64",  # rank of the unit among the correlations of its partner, from 1; NaN beyond 5
    "matched": "bool",  # whether the rule takes the two as a match
    "null_mean": "float64",  # of the highest correlation when the samples of y are permuted
    "threshold": "float64",  # correlation above which the corrected p is below .05
    "p_family": "float64",  # corrected for all units of x (max-T)
    "excess": "float64",  # score - null_mean
    "rotated_mean": "float64",  # of the highest correlation with y in rotated bases
    "excess_rotated": "float64",  # score - rotated_mean
    "permutations": "int64",
    "rotations": "int64",
    "seed": "int64",
    "strata": "string",
    "partial": "string",  # what was removed from every unit: brightness, caption_length, or nothing
    "version": "string",
}

SHARE_COLUMNS = {
    "experiment": "string",  # units
    "dataset": "string",
    "measure": "string",  # key of MEASURES
    "rule": "string",
    "x_model": "string",
    "x_key": "string",
    "x_modality": "string",
    "x_family": "string",
    "x_weights": "string",  # pretrained, random, or none for pixels and word counts
    "x_parameters": "float64",
    "x_layer": "int64",  # -1: all layers
    "x_layer_name": "string",
    "x_depth": "float64",
    "y_model": "string",  # self: x's model against itself; zoo: every other model at once
    "y_key": "string",
    "y_modality": "string",
    "y_family": "string",
    "y_weights": "string",
    "y_layer": "int64",  # of the partners; -1: all layers
    "y_layer_name": "string",
    "units": "int64",  # units of x in its layer that vary
    "count": "int64",  # those of them that the measure counts
    "score": "float64",  # count / units
    "low": "float64",  # 95 % interval for another draw of the samples; NaN for pairs of layers
    "high": "float64",
    "chance": "float64",  # share of matches between independent models, in closed form; NaN for other measures
    "expected": "float64",  # zoo: share under independence of the other models, given each layer's shares
    "null_mean": "float64",  # mean share when the samples of y are permuted
    "null_low": "float64",  # its central 95 %
    "null_high": "float64",
    "rotated": "float64",  # mean share when the basis of each layer of y is rotated
    "n_test": "int64",  # samples; nothing is fitted
    "permutations": "int64",
    "rotations": "int64",
    "seed": "int64",
    "strata": "string",
    "partial": "string",
    "version": "string",
}


@dataclass(frozen=True)
class UnitTable(Table):
    """The strongest partner of every unit: one row per unit of x and model y."""

    columns = UNIT_COLUMNS

    @property
    def live(self) -> pd.DataFrame:
        """The rows of units that take part."""
        return self.frame[self.frame.x_left_out == ""]

    def counted(self, measure: str) -> pd.Series:
        """Whether a measure counts each unit that takes part, indexed as `live`.

        Raises:
            UnknownNameError: no such measure.
        """
        rows = self.live
        conditions = {
            "matched": rows.matched,
            "significant": rows.p_family < LEVEL,
            "shared": rows.matched & (rows.p_family < LEVEL),
            "excess": rows.excess > EXCESS,
            "universal": rows.excess_rotated > EXCESS,
        }
        if measure not in conditions:
            raise unknown_name("measure of units", measure, conditions)
        return conditions[measure]


EXCESS, LEVEL = 0.5, 0.05
"""Excess correlation and corrected p from which a unit counts."""


@dataclass(frozen=True)
class ShareTable(Table):
    """Shares of units: one row per (measure, x model, x layer, y model, y layer). Layer -1 stands for all layers."""

    columns = SHARE_COLUMNS

    def whole(self, measure: str) -> pd.DataFrame:
        """The rows of one measure over all layers.

        Raises:
            UnknownNameError: the table has no such measure.
        """
        rows = self.frame[(self.frame.x_layer == ALL_LAYERS) & (self.frame.y_layer == ALL_LAYERS)]
        if measure not in set(rows.measure):
            raise unknown_name("measure of units", measure, rows.measure.unique())
        return rows[rows.measure == measure].reset_index(drop=True)

    def matrix(self, measure: str) -> pd.DataFrame:
        """Shares over all layers: models whose units are counted down, models of their partners across.

        The diagonal is a model against itself. A pair that was not compared is NaN.

        Raises:
            StoreError: rows of several runs with other settings.
        """
        rows = self.whole(measure)
        rows = rows[rows.y_model != ZOO]
        rows = rows.assign(y_model=rows.y_model.where(rows.y_model != SELF, rows.x_model))
        check_one_run(rows, ["x_model", "y_model"], "shares")
        models = list(dict.fromkeys([*rows.x_model, *rows.y_model]))
        return rows.pivot(index="x_model", columns="y_model", values="score").reindex(index=models, columns=models)

    def by_model(self, measure: str) -> pd.DataFrame:
        """One row per pretrained model: `count` and `score` as means over the other pretrained models, and its facts.

        Columns: model, count, score, units, parameters, family.

        Raises:
            StoreError: rows of several runs with other settings.
        """
        rows = pretrained(self.whole(measure))
        check_one_run(rows, ["x_model", "y_model"], "shares")
        means = rows.groupby("x_model", sort=False)[["count", "score"]].mean()
        first = rows.groupby("x_model", sort=False)[["units", "x_parameters", "x_family"]].first()
        names = {"x_model": "model", "x_parameters": "parameters", "x_family": "family"}
        return means.join(first).reset_index().rename(columns=names)


def pretrained(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows about two different models with trained weights: no control, no ceiling, no zoo."""
    return rows[(rows.x_weights == PRETRAINED) & (rows.y_weights == PRETRAINED) & ~rows.y_model.isin([SELF, ZOO])]


def zoo(shares: ShareTable, units: UnitTable) -> ShareTable:
    """Units of each model that a measure counts in every other model, beside the expectation; pretrained models only.

    Under independence of the other models, given how the shares differ between the layers of x, the expected share is
    sum over layers of (units in the layer / units) times the product over models of the layer's share. One row per
    measure and model with two or more others; `chance` is the product of the closed forms, for the measure "matched".

    Args:
        shares: pairs of models; tells their facts.
        units: every unit's partners in the same pairs.
    """
    rows = []
    for measure in dict.fromkeys(shares.frame.measure):
        facts = pretrained(shares.whole(measure))
        live = units.live.assign(counted=units.counted(measure))
        for model, others in facts.groupby("x_model", sort=False):
            if len(others) < 2:
                continue
            of_model = live[(live.x_model == model) & live.y_model.isin(others.y_model)]
            flags = of_model.pivot(index=["x_layer", "x_unit"], columns="y_model", values="counted").astype(bool)
            every, layers = flags.all(axis=1), flags.astype(float).groupby(level="x_layer")
            expected = (layers.mean().prod(axis=1) * layers.size()).sum() / len(flags)
            row = others.iloc[0].to_dict() | {"y_model": ZOO, "y_key": "", "y_modality": "", "y_family": ""}
            row |= {name: np.nan for name in ("low", "high", "null_mean", "null_low", "null_high", "rotated")}
            row |= {"y_weights": "", "units": len(flags), "count": int(every.sum()), "score": every.mean()}
            row |= {"chance": others.chance.prod() if measure == "matched" else np.nan, "expected": float(expected)}
            rows.append(row)
    return ShareTable.from_frame(pd.DataFrame(rows, columns=list(SHARE_COLUMNS)))
