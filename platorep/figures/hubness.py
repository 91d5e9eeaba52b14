"""How unevenly samples serve as neighbours, by depth."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from platorep.core.errors import StoreError
from platorep.figures import style
from platorep.figures.style import Tag
from platorep.results.tables import AlignmentTable, CompetenceTable


LEFT = 0.55
TITLES = {
    "in_degree_skewness": "in-degree skewness",
    "max_in_degree": "largest in-degree",
    "never_neighbours": "never a neighbour (share)",
}


@style.styled
def hubness(
    alignment: AlignmentTable | None = None,
    competence: CompetenceTable | None = None,
    *,
    layers: pd.DataFrame | None = None,
    titles: Mapping[str, str] | None = None,
) -> Figure:
    """In-degree figures of every layer's neighbour graph against relative depth: one panel a figure, one line a model.

    In a k-NN graph each sample has k neighbours and is a neighbour of k others on average. Hubs are neighbours of many;
    they widen the null of neighbour metrics.

    Args:
        alignment: not used.
        competence: not used.
        layers: one row a layer: the columns of `platorep.stats.hubness.hubness`, and model and depth in [0, 1].
        titles: column -> title of a panel, in order; by default those of `TITLES` that are there.

    Raises:
        StoreError: a column is missing.
    """
    if layers is None:
        raise StoreError(
            "hubness is a property of neighbour graphs, which the alignment table does not hold: pass layers=..."
        )
    shown = dict(titles) if titles is not None else {c: t for c, t in TITLES.items() if c in layers.columns}
    if missing := sorted({"model", "depth", *shown} - set(layers.columns)) or ([] if shown else list(TITLES)):
        raise StoreError(f"the table of layers lacks {', '.join(missing)}; it has {', '.join(layers.columns)}.")
    models = list(layers.model.unique())
    looks = style.categorical(len(models))
    figure, axes = style.panels(
        1,
        len(shown),
        panel=(1.75, 1.75),
        left=LEFT,
        right=style.tag_width(models) + 0.05,
        bottom=0.5,
        top=0.3,
        gap=(0.5, 0),
    )
    for panel, (column, title) in zip(axes, shown.items(), strict=True):
        low, high = min(0.0, layers[column].min()), layers[column].max()
        panel.set_xlim(-0.04, 1.04)
        panel.set_ylim(low * 1.08, high + 0.07 * (high - low or 1.0))
        tags = []
        for model, look in zip(models, looks, strict=True):
            line = layers[layers.model == model].dropna(subset=["depth"]).sort_values("depth")
            panel.plot(line.depth, line[column], label=model, zorder=3, **look.line(), markevery=max(1, len(line) // 8))
            tags.append(Tag(line[column].iloc[-1], model, look))
        panel.set_title(title, loc="left")
        panel.set_xlabel("relative depth")
    style.tag_right(axes[-1], tags)
    return figure
