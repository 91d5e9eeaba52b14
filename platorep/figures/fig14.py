"""Figure 14: alignment of language and vision models under CKNNA, cycle, edit and LCS k-NN."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from platorep.figures import style
from platorep.figures.fig13 import Choice, by_language_model
from platorep.results.tables import AlignmentTable, CompetenceTable
from platorep.results.views import Dose


METRICS: tuple[Choice, ...] = (
    ("cknna", {"k": "10"}),
    ("cycle_knn", {"k": "10"}),
    ("edit_distance_knn", {"k": "10"}),
    ("lcs_knn", {"k": "10"}),
)


@style.styled
def fig14(
    alignment: AlignmentTable,
    competence: CompetenceTable | None = None,
    *,
    metrics: Sequence[str] | None = None,
    dataset: str | None = None,
    doses: Mapping[str, Dose] | None = None,
) -> Figure:
    """As Figure 13, under CKNNA, cycle k-NN, edit k-NN and LCS k-NN at k = 10 (PRH, Fig. 14).

    CKNNA is the bounded variant; for the paper's own curves name the released one, cknna_prh, in `metrics`.

    Args:
        alignment: language x vision pairs under several metrics.
        competence: not used.
        metrics: full ids, one a row; the paper's by default.
        dataset: when the table holds several.
        doses: degraded models; read from the names by default (`views.doses`).

    Raises:
        StoreError: none of the metrics is in the table; those that are missing are named below the figure.
    """
    return by_language_model(alignment, METRICS, metrics, dataset, doses)
