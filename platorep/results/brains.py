"""The table of comparisons with brains: similarity, reliability and encoding, one row per score.

    rows = platorep.load("outputs").brains()    # of every run
    BrainTable(rows).best()                     # the most similar layer of every model

A similarity is a mean over people, and is read against the two noise ceilings in its row.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import pandas as pd

from platorep.results.one_run import check_one_run
from platorep.results.tables import Table


BRAIN_COLUMNS = {
    "experiment": "string",  # similarity, reliability, encoding
    "dataset": "string",
    "x_model": "string",  # a model, or the name of a control: category, OASM, position, ...
    "x_key": "string",  # empty for controls
    "x_layer": "int64",
    "x_layer_name": "string",
    "x_depth": "float64",  # layer / (layers - 1); NaN for controls
    "y_model": "string",  # the brain
    "y_key": "string",
    "y_layer": "int64",  # its region
    "y_layer_name": "string",
    "direction": "string",  # x to y for encoding; empty for what has none
    "map": "string",  # ridge for encoding; of reliability "split half" and "Spearman-Brown"
    "metric": "string",  # full id of the similarity, or pearson for encoding
    "n_fit": "float64",  # samples that the map was fitted to; NaN where nothing is fitted
    "n_test": "int64",
    "score": "float64",  # similarity: mean over people; encoding: mean over sites of the held-out correlation
    "chance": "float64",  # expected score of an unrelated model; NaN where no closed form is known
    "null_mean": "float64",  # of scores with shuffled pairs (encoding); NaN elsewhere
    "low": "float64",  # 95 % interval: platorep.stats.two_factor, or a bootstrap of blocks for encoding
    "high": "float64",
    "p_value": "float64",  # one-sided, of the score against 0; NaN where none is known
    "lower": "float64",  # noise ceiling: the pool of the other people; NaN with one
    "upper": "float64",  # the pool of all people; of encoding the mean ceiling of the sites
    "people": "int64",  # that were compared with; 1 where only a mean is known
    "seed": "int64",
    "version": "string",
    "note": "string",
}


@dataclass(frozen=True)
class BrainTable(Table):
    """Scores of models against brains: one row per (experiment, metric, layer or control, region of a brain)."""

    columns = BRAIN_COLUMNS

    @property
    def similarity(self) -> pd.DataFrame:
        """The rows that compare a layer or a control with a region."""
        return self.frame[self.frame.experiment == "similarity"]

    def best(self) -> pd.DataFrame:
        """The most similar layer of every model and control to every region, by every metric: rows of `similarity`.

        The layer is chosen on the samples of the score, which lifts it. Ties go to the earlier layer.

        Raises:
            StoreError: rows of several runs with other settings.
        """
        by = ["dataset", "metric", "y_model", "y_layer", "x_model"]
        check_one_run(self.similarity, [*by, "x_layer"], "similarities")
        rows = self.similarity.sort_values(["score", "x_layer"], ascending=[False, True], kind="stable")
        return rows.drop_duplicates(by).sort_index().reset_index(drop=True)

    @classmethod
    def of_rows(cls, rows: Iterable[Mapping[str, Any]]) -> Self:
        """The table of rows that name only what they have; other texts are empty, other numbers NaN.

        Raises:
            StoreError: a row has a column that is not one of the table's.
        """
        empty = {name: "" if kind == "string" else float("nan") for name, kind in BRAIN_COLUMNS.items()}
        return cls.from_frame(pd.DataFrame([{**empty, **row} for row in rows]))
