"""The section of brains: each model's most similar layer between the noise ceilings, region by region."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from platorep.results.brains import BrainTable
from platorep.results.labels import metric_label


STRIP = 200
"""Width of the strip beside a score, in drawing units."""


def section(table: BrainTable | None) -> list[dict[str, Any]]:
    """Data of the template from a table of brains: one entry per brain, region and metric; none without a table.

    Returns:
        brain, region, metric, people, n, lower, upper: the facts that all rows share; rows: one per model or control,
        the most similar first: `BrainTable.best` with the score of the last layer, and `strip`; reliability: its rows.
    """
    if table is None:
        return []
    best, names = table.best(), ["y_model", "y_layer_name", "metric"]
    last = table.similarity.sort_values("x_layer").groupby([*names, "x_model"]).score.last().rename("last")
    best = best.merge(last.reset_index(), on=[*names, "x_model"])
    reliability = table.frame[table.frame.experiment == "reliability"]
    sections = []
    for (brain, region, metric), rows in best.groupby(names, sort=False):
        first = rows.iloc[0]
        known = reliability[(reliability[names] == [brain, region, metric]).all(axis=1)]
        sections.append(
            {
                "brain": brain,
                "region": region,
                "metric": metric_label(metric),
                "people": int(first.people),
                "n": int(first.n_test),
                "lower": first.lower,
                "upper": first.upper,
                "rows": _with_strips(rows).to_dict("records"),
                "reliability": known.to_dict("records"),
            }
        )
    return sections


def _with_strips(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows with the positions of score, interval, ceilings and 0 on a strip from the lowest to the highest of them."""
    columns = ["score", "low", "high", "lower", "upper"]
    ends = np.append(rows[columns].to_numpy(), 0.0)
    start, stop = np.nanmin(ends), np.nanmax(ends)
    places = (rows[columns].assign(zero=0.0) - start) / ((stop - start) or 1.0) * STRIP
    rows = rows.assign(strip=places.round(1).to_dict("records"))
    return rows.sort_values("score", ascending=False, kind="stable")
