"""The models' matrix for the terminal."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from platorep.results import views
from platorep.results.labels import metric_label, setting


@dataclass(frozen=True)
class MatrixTable:
    """Scores of pairs of models as a rich renderable, as wide as the terminal allows.

    One row an x model, one column a y model, the highest of each row in bold; the longer side goes down. A pair that
    was not scored is a dash. Columns that do not fit side by side follow below, so that every name can be read.

    Args:
        scores: x models down, y models across.
        caption: what the scores are.
    """

    scores: pd.DataFrame
    caption: str

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The tables, one below the other, and the caption."""
        for columns in self.blocks(options.max_width):
            yield self._table(columns)
        yield Text(self.caption, style="italic dim")

    def blocks(self, width: int) -> list[list[str]]:
        """The columns of each table, for a terminal of this width."""
        room = width - max(map(len, ["model", *self.scores.index])) - 4
        blocks: list[list[str]] = [[]]
        for name in self.scores.columns:
            taken = sum(max(len(other), 5) + 3 for other in blocks[-1])
            if blocks[-1] and taken + max(len(name), 5) + 3 > room:
                blocks.append([])
            blocks[-1].append(name)
        return blocks

    def _table(self, columns: list[str]) -> Table:
        table = Table()
        table.add_column("model", overflow="fold")
        for name in columns:
            table.add_column(name, justify="right", overflow="fold")
        for name, row in self.scores.iterrows():
            top = row.max()
            cells = [Text("–" if math.isnan(v) else f"{v:.3f}", style="bold" if v == top else "") for v in row[columns]]
            table.add_row(name, *cells)
        return table


def matrix_table(chosen: pd.DataFrame, *, metric: str | None = None, dataset: str | None = None) -> MatrixTable:
    """The models' matrix of chosen scores. The caption names the metric, the choice of layers, n, dataset and chance.

    Args:
        chosen: rows of `platorep.results.protocols.chosen`.
        metric: full id, when there are several.
        dataset: when there are several.
    """
    pairs = views.pairs(chosen, metric, dataset)
    scores = views.matrix(pairs)
    if len(scores.columns) > len(scores.index):
        scores = scores.T
    chance = views.chance(pairs)
    caption = f"{metric_label(pairs.metric.iloc[0])}, {setting(pairs)}"
    return MatrixTable(scores, caption + ("" if chance is None else f", chance {chance:.3f}"))
