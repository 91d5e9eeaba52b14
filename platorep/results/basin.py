"""The table of networks on lines between others: losses, barriers, soups, and the kernels of the same layers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from platorep.core.errors import StoreError
from platorep.results.one_run import check_one_run
from platorep.results.tables import Table
from platorep.stats.pair_means import pair_mean, reach


BASIN_COLUMNS = {
    "experiment": "string",  # path, kernel, soup
    "dataset": "string",  # of the test pictures
    "architecture": "string",
    "width": "int64",
    "epoch": "int64",  # of training, of both networks
    "relation": "string",  # seeds, fork, halves (of the pictures), copy (the same network with permuted units)
    "shared": "int64",  # epochs that a fork shares; 0 otherwise
    "x_model": "string",
    "y_model": "string",  # empty for a soup
    "method": "string",  # how units were ordered, +repair; ensemble; of a soup: best, uniform, greedy, ensemble, ...
    "layer": "int64",  # of a kernel score, from 0; -1 otherwise
    "share": "float64",  # of x on the line, in [0, 1]; NaN otherwise
    "quantity": "string",  # train_loss, train_accuracy, test_loss, test_accuracy, kernel, dead_units, missed_starts
    "value": "float64",  # losses in nats
    "chance": "float64",  # of a kernel score
    "metric": "string",  # of a kernel score
    "n": "int64",  # pictures
    "seed": "int64",
    "version": "string",
}

PAIR = ["architecture", "width", "epoch", "relation", "shared", "x_model", "y_model"]
"""Columns of a pair of networks."""

GROUP = PAIR[:5]
"""Columns that pairs of the same kind share."""


@dataclass(frozen=True)
class BasinTable(Table):
    """One row per pair of networks, way of matching, place on the line and quantity; soups and kernel scores beside."""

    columns = BASIN_COLUMNS

    def barriers(self, quantity: str = "test_loss") -> pd.DataFrame:
        """One row per pair and method: the barrier, and the value at the middle.

        The barrier of a loss is the largest excess over the chord between the ends, B = max_s [L(s) - s L(1) -
        (1 - s) L(0)]; of an accuracy, the largest shortfall. It is 0 or more, because the ends themselves count.

        Raises:
            StoreError: there are no paths, or rows of several runs with other settings.
        """
        rows = self.frame[(self.frame.experiment == "path") & (self.frame.quantity == quantity)]
        if rows.empty:
            raise StoreError(f"the table has no {quantity} on lines between networks.")
        check_one_run(rows, [*PAIR, "method", "share"], "lines")
        sign = -1.0 if quantity.endswith("accuracy") else 1.0
        barriers = []
        for key, path in rows.groupby([*PAIR, "method"], sort=False):
            path = path.sort_values("share")
            share, value = path.share.to_numpy(), path.value.to_numpy()
            chord = share * value[-1] + (1 - share) * value[0]
            middle = float(np.interp(0.5, share, value))
            ends = float((value[0] + value[-1]) / 2)
            barriers.append((*key, float(np.max(sign * (value - chord))), middle, ends))
        return pd.DataFrame(barriers, columns=[*PAIR, "method", "barrier", "middle", "ends"])

    def means(self, quantity: str = "test_loss") -> pd.DataFrame:
        """Barriers and middles as means over pairs: one row per kind and method.

        low and high are the 95 % interval of the barrier for other networks, by the jackknife of
        `platorep.stats.pair_means`: the unit is the network, not the pair. NaN below three networks.
        """
        rows = []
        for key, pairs in self.barriers(quantity).groupby([*GROUP, "method"], sort=False):
            names = sorted({*pairs.x_model, *pairs.y_model})
            square = pairs.pivot(index="x_model", columns="y_model", values="barrier").reindex(names, columns=names)
            values = square.to_numpy()
            mean, error = pair_mean(np.fmax(values, values.T))
            half = reach(error, len(names))
            means = mean, mean - half, mean + half, pairs.middle.mean(), pairs.ends.mean()
            rows.append((*key, *means, len(pairs), len(names)))
        columns = ["barrier", "low", "high", "middle", "ends", "pairs", "networks"]
        return pd.DataFrame(rows, columns=[*GROUP, "method", *columns])

    def kernels(self) -> pd.DataFrame:
        """The kernel score of each pair, as the mean over its layers, and its chance.

        Raises:
            StoreError: rows of several runs with other settings.
        """
        rows = self.frame[(self.frame.experiment == "kernel") & (self.frame.quantity == "kernel")]
        check_one_run(rows, [*PAIR, "layer", "metric"], "kernel scores")
        return rows.groupby(PAIR, sort=False)[["value", "chance"]].mean().reset_index()
