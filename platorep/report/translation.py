"""The section of maps between models: scores of each map from all anchors, pair by pair."""

from __future__ import annotations

from typing import Any

from platorep.results.translation import LADDER, TranslationTable, at_all_anchors


def section(table: TranslationTable | None) -> dict[str, Any] | None:
    """Data of the template from a table of maps; None without a table.

    Returns:
        maps: names of the maps, in the order of the columns; rows: one per pair of models, those with the best map
        first; anchors, tested: numbers of samples; splits: number of splits; best: the largest score of each row.
    """
    if table is None:
        return None
    rows = at_all_anchors(table, "recall_at_10")
    maps = [name for name in LADDER if name in rows]
    rows = rows.assign(best=rows[maps].max(axis=1)).sort_values("best", ascending=False, kind="stable")
    return {
        "maps": maps,
        "rows": rows.to_dict("records"),
        "anchors": int(rows.n_fit.iloc[0]),
        "tested": int(rows.n_test.iloc[0]),
        "splits": int(table.frame.seed.nunique()),
    }
