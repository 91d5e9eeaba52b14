"""The table of an experiment beyond scores of layer pairs: measured numbers, each with its null and interval."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import pandas as pd

from platorep.core.version import __version__
from platorep.results.tables import Table


STUDY_COLUMNS = {
    "study": "string",  # name of the experiment, that of its figure
    "dataset": "string",
    "n": "int64",  # samples of the dataset
    "metric": "string",  # id of the metric that chose the layers
    "x_model": "string",  # empty, with y_model, for numbers of all pairs together
    "x_layer": "int64",
    "y_model": "string",
    "y_layer": "int64",
    "x_language": "string",  # of the captions or voices of x; empty for pictures, and where languages play no part
    "y_language": "string",
    "setting": "string",  # what tells apart the numbers of one quantity: a sweep, a kind of negative
    "position": "float64",  # where on the sweep: samples in the gallery, classes; NaN without one
    "quantity": "string",
    "value": "float64",
    "low": "float64",  # 95 % interval; NaN where none is offered
    "high": "float64",
    "null_mean": "float64",  # of the null that the experiment states; NaN where there is none
    "null_low": "float64",  # central 95 % of the null
    "null_high": "float64",
    "p_value": "float64",
    "items": "float64",  # what the number is a mean over: queries, draws
    "permutations": "float64",  # relabellings behind the null; NaN for an exact one
    "seed": "int64",
    "version": "string",
    "note": "string",
}


@dataclass(frozen=True)
class StudyTable(Table):
    """Numbers of one experiment: one row per (pair of models, setting, position, quantity)."""

    columns = STUDY_COLUMNS

    @classmethod
    def of_rows(cls, rows: Iterable[Mapping[str, Any]], **common: Any) -> Self:
        """The table of rows that name only what they have; other texts are empty, other numbers NaN.

        Args:
            rows: columns by name.
            common: columns that all rows share.

        Raises:
            StoreError: a row has a column that is not one of the table's.
        """
        empty = {name: {"string": "", "int64": 0}.get(kind, float("nan")) for name, kind in STUDY_COLUMNS.items()}
        frame = pd.DataFrame([{**empty, "version": __version__, **common, **row} for row in rows])
        return cls.from_frame(frame.reindex(columns=list(STUDY_COLUMNS)) if frame.empty else frame)

    def pairs(self) -> pd.DataFrame:
        """The numbers of single pairs of models."""
        return self.frame[self.frame.x_model != ""]

    def totals(self) -> pd.DataFrame:
        """The numbers of all pairs together: what is compared with published values."""
        return self.frame[self.frame.x_model == ""]
