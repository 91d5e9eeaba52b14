"""Hubs: how unevenly samples occur as neighbours, by depth."""

from __future__ import annotations

from collections.abc import Mapping

from platorep.core.errors import StoreError
from platorep.figures import layout, marks, style
from platorep.figures.data import FigureData, Plot, figure
from platorep.figures.layout import Margins
from platorep.figures.marks import Tag


LEFT = 0.55
TITLES = {
    "in_degree_skewness": "in-degree skewness",
    "max_in_degree": "largest in-degree",
    "never_neighbours": "never a neighbour (share)",
}


@figure("hubness")
def hubness(data: FigureData, *, titles: Mapping[str, str] | None = None) -> Plot:
    """In-degrees of every layer's neighbour graph against relative depth: one panel per number, one line per model.

    In a k-NN graph each sample has k neighbours and is a neighbour of k others on average. Hubs are neighbours of
    many; they widen the null of neighbour metrics.

    Args:
        data: hubness, one row per layer.
        titles: column -> title of a panel, in order; by default those of `TITLES` that are there.

    Raises:
        StoreError: a column is missing.
    """
    layers = data.require("hubness")
    shown = dict(titles) if titles is not None else {c: t for c, t in TITLES.items() if c in layers.columns}
    if missing := sorted({"model", "depth", *shown} - set(layers.columns)) or ([] if shown else list(TITLES)):
        raise StoreError(f"the table of layers lacks {', '.join(missing)}; it has {', '.join(layers.columns)}.")
    models = list(layers.model.unique())
    margins = Margins(LEFT, marks.tag_width(models) + 0.05, 0.45, 0.3, across=0.5)
    grid = layout.panels(len(shown), len(shown), (1.75, 1.75), margins, least=1.0, wraps=True)
    for number, (panel, (column, title)) in enumerate(zip(grid.axes, shown.items(), strict=True)):
        low, high = min(0.0, layers[column].min()), layers[column].max()
        panel.set_xlim(-0.04, 1.04)
        panel.set_ylim(low * 1.08, high + 0.07 * (high - low or 1.0))
        tags = []
        for model, look in zip(models, style.categorical(len(models)), strict=True):
            line = layers[layers.model == model].dropna(subset=["depth"]).sort_values("depth")
            panel.plot(line.depth, line[column], label=model, zorder=3, **look.line(), markevery=max(1, len(line) // 8))
            tags.append(Tag(line[column].iloc[-1], model, look))
        panel.set_title(title, loc="left")
        panel.set_xlabel("relative depth")
        if number % grid.columns == grid.columns - 1 or number == len(shown) - 1:
            marks.tag_right(panel, tags)
    return Plot(grid.figure, layers[["model", "depth", *shown]].reset_index(drop=True))
