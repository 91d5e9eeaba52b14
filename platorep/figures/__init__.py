"""Figures: pure functions of tables. The registry names them; nothing is imported before it is drawn.

    figure = draw("fig3", alignment, competence)
    png, pdf = save(figure, Path("outputs/figures/fig3"))

Every figure has the signature `NAME(alignment, competence=None, *, options...) -> matplotlib.figure.Figure` and lives in
the module of its name. A figure never computes a score: it shows what the tables hold and refuses what they lack.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from platorep.core.errors import unknown_name


if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from platorep.results.tables import AlignmentTable, CompetenceTable

FIGURES = {
    "fig2": "vision models by share of tasks solved: alignment within buckets, and a map of the models",
    "fig3": "alignment of language and vision models against 1 - bits per byte, one panel a vision family",
    "fig4": "downstream scores of language models against alignment with vision, family-aware fit",
    "fig9": "alignment against caption length",
    "fig10": "CKNNA over k, centred and scaled, bounded and as released",
    "fig12": "Spearman correlation between metrics over pairs of models",
    "fig13": "alignment by language model under CKA, unbiased CKA, SVCCA, mutual k-NN",
    "fig14": "alignment by language model under CKNNA, cycle, edit and LCS k-NN",
    "matrix": "heatmap of the models' matrix of best scores, values printed",
    "layers": "heatmap of all layer pairs of one pair of models, best pair marked",
    "ladder": "alignment against the dial that controls a model's competence",
    "significance": "every score with its interval and the band that chance reaches",
    "k_curve": "alignment over k/n: score, corrected for chance, lift over chance",
    "n_curve": "alignment over nested galleries of growing n: score, corrected for chance, lift over chance",
    "gallery": "the same queries in growing galleries: score at fixed k and at k proportional to the gallery",
    "hubness": "how unevenly samples serve as neighbours, by depth",
    "controls": "alignment as a growing share of pairs is shuffled",
}
"""What `platorep ls figures` shows: each name is a module here and the function in it."""


def known() -> list[str]:
    """Names that `draw` accepts, in the order of the registry."""
    return list(FIGURES)


def find(name: str) -> Callable[..., Figure]:
    """The function that draws a figure.

    Raises:
        UnknownNameError: no such figure; the message has the nearest names.
    """
    if name not in FIGURES:
        raise unknown_name("figure", name, FIGURES)
    return getattr(importlib.import_module(f"platorep.figures.{name}"), name)


def draw(name: str, alignment: AlignmentTable, competence: CompetenceTable | None = None, **options: Any) -> Figure:
    """Draws one figure of the tables.

    Args:
        name: one of `known()`.
        alignment: scores of layer pairs.
        competence: measures by model; a figure that needs it says so.
        options: the figure's own keyword arguments.

    Raises:
        UnknownNameError: a figure or an option that does not exist.
        StoreError: the tables lack what the figure shows.
    """
    function = find(name)
    allowed = [p.name for p in inspect.signature(function).parameters.values() if p.kind is p.KEYWORD_ONLY]
    for option in options:
        if option not in allowed:
            raise unknown_name(f"option of figure {name}", option, allowed)
    return function(alignment, competence, **options)


def save(figure: Figure, stem: Path) -> list[Path]:
    """Writes `stem`.png and `stem`.pdf and returns their paths; see `platorep.figures.style.save`."""
    return importlib.import_module("platorep.figures.style").save(figure, stem)
