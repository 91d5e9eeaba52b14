"""Alignment by language model under CKNNA, cycle, edit and LCS k-NN (Figure 14)."""

from __future__ import annotations

from collections.abc import Sequence

from platorep.figures.data import FigureData, Plot, figure
from platorep.figures.fig13 import Choice, by_language_model


METRICS: tuple[Choice, ...] = (
    ("cknna", {"k": "10"}),
    ("cycle_knn", {"k": "10"}),
    ("edit_distance_knn", {"k": "10"}),
    ("lcs_knn", {"k": "10"}),
)


@figure("alignment")
def fig14(data: FigureData, *, metrics: Sequence[str] | None = None, dataset: str | None = None) -> Plot:
    """As Figure 13, under CKNNA, cycle k-NN, edit k-NN and LCS k-NN at k = 10 (PRH, Fig. 14).

    CKNNA is the bounded variant; for the paper's own curves name the released one, cknna_prh, in `metrics`.

    Args:
        data: language x vision pairs under several metrics.
        metrics: full ids, one a row; the paper's by default. Those that are missing are named below the figure.
        dataset: when the table holds several.

    Raises:
        StoreError: none of the metrics is in the table.
    """
    return by_language_model(data, METRICS, metrics, dataset)
