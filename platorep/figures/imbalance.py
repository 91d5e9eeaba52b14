"""Information imbalance both ways by pair of models, and the intrinsic dimension of their layers."""

from __future__ import annotations

import numpy as np

from platorep.figures import layout, marks, style
from platorep.figures.data import FigureData, Plot, figure
from platorep.figures.layout import Margins
from platorep.results.labels import title_of


TO_Y, TO_X, ASYMMETRY = "information imbalance, x to y", "information imbalance, y to x", "asymmetry of the imbalance"
DIMENSION = "intrinsic dimension, TwoNN"


@figure("study")
def imbalance(data: FigureData) -> Plot:
    """Left: each layer's intrinsic dimension. Right: the information imbalance plane, one point per pair of models.

    The dimension is TwoNN's estimate with its 95 % interval, of the layers that the pairs chose. In the plane, below
    the diagonal the language model (x, by colour) says more about the vision model (y) than the reverse; filled points
    are those whose difference has an interval without 0.

    Args:
        data: the table of `reproduce imbalance`.
    """
    study = data.require("study")
    rows, totals = study.pairs(), study.totals()
    pairs = ["x_model", "y_model"]
    wide = rows.pivot_table(index=pairs, columns="quantity", values="value", sort=False)
    tested = rows[rows.quantity == ASYMMETRY].set_index(pairs)
    table = wide.assign(low=tested.low, high=tested.high).reset_index()
    layers = totals[totals.quantity == DIMENSION].sort_values("value", kind="stable")
    models = list(table.x_model.unique())
    looks = dict(zip(models, style.categorical(len(models)), strict=True))
    summary = totals[totals.quantity == TO_Y].note.iloc[0]
    note = f"{title_of(rows.dataset.iloc[0])}, {summary}; x language, y vision. Filled: the 95 % interval of the "
    note += "difference leaves out 0. Dimension: TwoNN, bars 95 %."
    margins = Margins(layout.widest(list(layers.setting)) + 0.15, marks.tag_width(models) + 0.05, 0.6, 0.15, across=0.7)
    height = max(1.9, 0.13 * len(layers))
    grid = layout.panels(2, 2, (1.9, height), margins, note=note, least=1.1, wraps=True)
    sizes, plane = grid.axes
    for model, look in looks.items():
        part = table[table.x_model == model]
        for apart in (True, False):
            chosen = part[((part.low > 0) | (part.high < 0)) == apart]
            more = {} if apart else {"markerfacecolor": "white", "markeredgecolor": look.color}
            plane.plot(
                chosen[TO_X], chosen[TO_Y], zorder=3, **(look.line() | {"linestyle": "", "markersize": 3.2} | more)
            )
    both = table[[TO_X, TO_Y]].to_numpy()
    ends = min(both.min() - 0.03, 0.95), max(both.max() + 0.03, 1.05)
    plane.plot(ends, ends, color=style.INK, linewidth=0.8, linestyle=":", label="equal")
    plane.axvline(1, color=style.FAINT, linewidth=0.8, zorder=1)
    plane.axhline(1, color=style.FAINT, linewidth=0.8, zorder=1)
    plane.set_xlim(*ends)
    plane.set_ylim(*ends)
    plane.set_xlabel("Δ(vision → language)")
    plane.set_ylabel("Δ(language → vision)")
    marks.key_right(plane, list(looks.items()))
    at = np.arange(len(layers))
    sizes.hlines(at, layers.low, layers.high, color=style.MUTED, linewidth=0.9)
    sizes.plot(layers.value, at, color=style.INK, marker="o", markersize=2.8, linestyle="")
    sizes.set_yticks(at, list(layers.setting))
    sizes.set_ylim(-0.6, len(layers) - 0.4)
    sizes.set_xlim(0, 1.05 * float(layers.high.max()))
    sizes.set_xlabel("intrinsic dimension")
    return Plot(grid.figure, table)
