"""Input and result of figures."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, cast

import pandas as pd

from platorep.core.errors import StoreError
from platorep.results import protocols, views
from platorep.results.basin import BasinTable
from platorep.results.brains import BrainTable
from platorep.results.stitching import StitchingTable
from platorep.results.studies import StudyTable
from platorep.results.tables import AlignmentTable, CompetenceTable, GalleryTable, SelectionTable
from platorep.results.translation import TranslationTable
from platorep.results.units import ShareTable


if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from platorep.figures.style import PlotStyle

MISSING = {
    "alignment": "scores of layer pairs: run `platorep align`",
    "competence": "the models' competence: run `platorep competence`",
    "galleries": "scores in growing galleries: run `platorep gallery`",
    "translation": "scores of maps between models: run `platorep translate`",
    "brains": "scores of models against brains, which need a model of source=matrix: run `platorep reproduce brains`",
    "basin": "lines between trained networks: run `platorep basin`",
    "stitching": "stitched networks: run `platorep stitch`",
    "hubness": "counts of each layer's neighbour graph, which need a metric on neighbours such as metric=mutual_knn",
    "units": "shares of matched units: run `platorep units`",
    "study": "the numbers of its experiment: run `platorep reproduce` with its name",
}
"""Fields of `FigureData` that a figure can need, with the end of the message if one is missing."""


@dataclass(frozen=True, kw_only=True)
class FigureData:
    """The tables of one experiment. A figure reads those that it needs; see `platorep.figures.needs`.

    Args:
        alignment: scores of all layer pairs, with the facts of the models (`platorep.results.facts.with_facts`).
        selection: tested scores of the layers that the protocol chooses; the figures that need `alignment` read it too.
        select: how the protocol chooses layers: max, heldout, last, depth:0.5.
        competence: measures by model.
        galleries: the table of `platorep gallery`.
        translation: the table of `platorep translate`.
        brains: similarity to brains, reliability and encoding.
        basin: the table of `platorep basin`.
        stitching: the table of `platorep stitch`.
        hubness: one row per layer: the columns of `platorep.stats.hubness.hubness`, model, and depth in [0, 1].
        units: the shares of `platorep units`.
        study: the numbers of an experiment in `platorep.studies`.
    """

    alignment: AlignmentTable | None = None
    selection: SelectionTable | None = None
    select: str = "max"
    competence: CompetenceTable | None = None
    galleries: GalleryTable | None = None
    translation: TranslationTable | None = None
    brains: BrainTable | None = None
    basin: BasinTable | None = None
    stitching: StitchingTable | None = None
    hubness: pd.DataFrame | None = None
    units: ShareTable | None = None
    study: StudyTable | None = None

    @cached_property
    def chosen(self) -> pd.DataFrame:
        """One row per pair of models and metric, with the chosen layers: `platorep.results.protocols.chosen`."""
        return protocols.chosen(self.require("alignment"), self.select, self.selection)

    def pairs(self, metric: str | None = None, dataset: str | None = None) -> pd.DataFrame:
        """The chosen rows of one metric on one dataset: `platorep.results.views.pairs`."""
        return views.pairs(self.chosen, metric, dataset)

    def require(self, need: str) -> Any:
        """One of the tables.

        Raises:
            StoreError: it is not there; the message says how to get it.
        """
        value = getattr(self, need)
        if value is None:
            raise StoreError(f"the figure needs {MISSING[need]} first.")
        return value


@dataclass(frozen=True)
class Plot:
    """A drawn figure, and the numbers that it shows as a tidy table. Notebooks show the figure."""

    figure: Figure
    data: pd.DataFrame

    def _repr_png_(self) -> bytes:
        picture = io.BytesIO()
        self.figure.savefig(picture, format="png", dpi=100)
        return picture.getvalue()


class Drawing(Protocol):
    """A function that is declared as a figure.

    Attributes:
        needs: fields of `FigureData` that it needs.
    """

    needs: tuple[str, ...]

    def __call__(self, data: FigureData, *, style: PlotStyle | None = None, **options: Any) -> Plot:
        """Draws the tables."""
        ...


def figure(*needs: str) -> Callable[[Callable[..., Plot]], Drawing]:
    """Declares a function as a figure, and which tables it needs, keys of `MISSING`.

    The function takes a `FigureData` and options by keyword, and returns a `Plot`. It is drawn in the style that the
    keyword argument `style` asks for.
    """

    def declare(function: Callable[..., Plot]) -> Drawing:
        from platorep.figures.style import styled

        drawing = cast(Drawing, styled(function))
        drawing.needs = needs
        return drawing

    return declare
